//! What the service manager is told; nothing when there is none.

use std::time::Duration;

use sd_notify::NotifyState;

/// The node serves.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again. Must be followed by [`ready`].
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(stamp) => send(&[NotifyState::Reloading, stamp]),
        Err(_) => send(&[NotifyState::Reloading]),
    }
}

/// The node drains and then ends within `at_most`.
pub fn stopping(at_most: Duration) {
    let micros = u32::try_from(at_most.as_micros()).unwrap_or(u32::MAX);
    send(&[
        NotifyState::Stopping,
        NotifyState::Status("draining"),
        NotifyState::ExtendTimeoutUsec(micros),
    ]);
}

/// How often [`alive`] must be called; `None` when nobody watches.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|timeout| timeout / 2)
}

/// The node is alive.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(module = "node", %error, "the service manager was not told");
    }
}
