//! What the operator is told of handshakes that failed. The peer is told by its alert only.
//!
//! The verifier belongs to all connections of a listener, so it leaves what it has found in a
//! slot of the handshake's task.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use crs_proto::rate::{Bucket, Rate};
use crs_types::{AccountId, ClientAddr, Mono, Uri};
use rustls::{CertificateError, Error};

use super::handshake::HandshakeError;
use crate::context::NodeContext;
use crate::trace::{ObjectEvent, TraceEvent};

/// Lines about refused certificates in a minute; whoever has a certificate can ask for one with
/// each connection. The next line tells how many were left out.
pub const REFUSED_LINES_MAX: u32 = 60;

/// Why handshakes fail: the words of `crs_handshake_failures_total`, `timeout` and `upgrade` apart.
pub const FAILURES: &[&str] = &[
    NO_CERTIFICATE,
    UNKNOWN_ACCOUNT,
    OTHER_CA,
    EXPIRED,
    NOT_YET_VALID,
    REVOKED,
    WRONG_USAGE,
    MALFORMED,
    PEER_ALERT,
    BROKEN_OFF,
    TLS,
];

/// None was shown.
const NO_CERTIFICATE: &str = "no-certificate";
/// It names an account that is not here.
pub(super) const UNKNOWN_ACCOUNT: &str = "unknown-account";
/// No CA of its account has issued it.
pub(super) const OTHER_CA: &str = "other-ca";
/// Its month, and the time for a late update, are over.
pub(super) const EXPIRED: &str = "expired";
/// Its month has not begun.
pub(super) const NOT_YET_VALID: &str = "not-yet-valid";
/// A newer generation of the user's keys is in force.
pub(super) const REVOKED: &str = "revoked";
/// It is not for clients.
pub(super) const WRONG_USAGE: &str = "wrong-usage";
/// It is no certificate, or none of our kind.
pub(super) const MALFORMED: &str = "malformed";
/// The peer sent an alert: it does not take the node's certificate.
const PEER_ALERT: &str = "peer-alert";
/// The peer went away in the middle.
const BROKEN_OFF: &str = "broken-off";
/// Anything else in TLS.
const TLS: &str = "tls";

/// What the verifier has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// A word of [`FAILURES`].
    pub why: &'static str,
    /// The user, when a CA of the account has issued the certificate. Whether the peer has its key
    /// is not known yet.
    pub user: Option<(AccountId, Uri)>,
}

tokio::task_local! {
    static FOUND: RefCell<Option<Refused>>;
}

/// Leaves what the verifier has found, for [`watching`].
pub(super) fn leave(refused: Refused) {
    // Outside a handshake's task nobody asks.
    let _ = FOUND.try_with(|found| found.replace(Some(refused)));
}

/// Runs a handshake; the second of the answer is what its verifier has left.
pub(super) async fn watching<T>(handshake: impl Future<Output = T>) -> (T, Option<Refused>) {
    let run = async {
        let ended = handshake.await;
        (ended, FOUND.with(RefCell::take))
    };
    FOUND.scope(RefCell::default(), run).await
}

/// The word for a failed handshake; `None` for what has counters of its own.
pub(super) fn word(error: &HandshakeError) -> Option<&'static str> {
    match error {
        HandshakeError::Unused | HandshakeError::Timeout | HandshakeError::Upgrade(_) => None,
        HandshakeError::Refused { refused, .. } => Some(refused.why),
        HandshakeError::Tls(error) => Some(of_tls(error)),
        HandshakeError::NoCertificate => Some(NO_CERTIFICATE),
        HandshakeError::Identity(_) => Some(MALFORMED),
        HandshakeError::Retired => Some(OTHER_CA),
        HandshakeError::Io(_) => Some(BROKEN_OFF),
    }
}

fn of_tls(error: &std::io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    #[allow(clippy::wildcard_enum_match_arm, reason = "a foreign, non-exhaustive enum")]
    match inner {
        Some(Error::NoCertificatesPresented) => NO_CERTIFICATE,
        Some(Error::InvalidCertificate(CertificateError::BadEncoding)) => MALFORMED,
        Some(Error::AlertReceived(_)) => PEER_ALERT,
        Some(_) => TLS,
        None => BROKEN_OFF,
    }
}

/// Lines of a listener about certificates that an account here has issued.
#[derive(Debug, Default)]
pub struct RefusedLines(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    bucket: Bucket,
    left_out: u64,
}

impl RefusedLines {
    /// How many were left out since the last line, when there may be one now.
    fn take(&self, now: Mono) -> Option<u64> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.bucket.take(Rate::per_minute(REFUSED_LINES_MAX), now).is_err() {
            lines.left_out = lines.left_out.saturating_add(1);
            return None;
        }
        Some(std::mem::take(&mut lines.left_out))
    }

    /// Tells the operator whose certificate was refused: in `crs.log` (and `trace event`), and in
    /// `trace client` of that user. A stranger's certificate makes no line.
    pub(super) fn tell(&self, context: &NodeContext, addr: ClientAddr, refused: &Refused) {
        let Some((account, uri)) = &refused.user else { return };
        let Some(left_out) = self.take(context.clock.mono()) else { return };
        let why = refused.why;
        tracing::info!(%account, %uri, %addr, why, left_out, "certificate refused");
        if context.trace.enabled() {
            context.trace.emit(TraceEvent::Object(ObjectEvent {
                time: context.clock.now(),
                from: uri.clone(),
                account: account.clone(),
                event: format!("certificate refused: {why}"),
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_about_refused_certificates_are_bounded_and_those_left_out_are_told() {
        let lines = RefusedLines::default();
        let now = Mono::from_micros(1_000_000_000);
        let told = (0..100).filter_map(|_| lines.take(now)).collect::<Vec<_>>();
        assert_eq!(told, vec![0; REFUSED_LINES_MAX as usize]);
        let later = now.plus(Duration::from_secs(1));
        assert_eq!(lines.take(later), Some(40));
        assert_eq!(lines.take(later), None);
    }
}
