//! One run: so many packets a second for so long, and what the forwarder made of them.

use std::time::Duration;

use crs_types::{Clock as _, Mono, SystemClock};

use super::child::Forwarder;
use super::clients::{BURST, Clients};

/// Time between two portions of a paced load.
const TICK: Duration = Duration::from_micros(250);

/// How much is offered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Offer {
    /// Packets per second.
    Paced(f64),
    /// As many as the sender can.
    Flood,
}

/// What came of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Packets per second offered.
    pub(super) offered: f64,
    /// Packets per second forwarded, as the forwarder counts them.
    pub(super) pps: f64,
    /// Share of the offered packets that did not come out at the clients (paced), or that the
    /// forwarder did not send (flood).
    pub(super) loss: f64,
    /// CPU seconds of the pinned thread per million forwarded packets.
    pub(super) cpu_s_per_mpkt: f64,
    /// CPU time of the pinned thread over wall time.
    pub(super) busy: f64,
    /// Share of the time that the thread was ready but another had its core.
    pub(super) robbed: f64,
}

impl Run {
    /// The core was the thread's own: in a flood it had nine tenths of it, and in a paced run it
    /// lost no more than a tenth to others.
    pub(super) fn valid(&self, offer: Offer) -> bool {
        match offer {
            Offer::Flood => self.busy >= 0.9,
            Offer::Paced(_) => self.robbed <= 0.1,
        }
    }
}

pub(super) fn run(
    forwarder: &mut Forwarder,
    clients: &mut Clients,
    offer: Offer,
    time: Duration,
) -> anyhow::Result<Run> {
    clients.drain_all()?;
    let (sent, received) = (clients.sent, clients.received);
    let before = forwarder.counted()?;
    let scheduled = forwarder.scheduled()?;
    let clock = SystemClock::new();
    match offer {
        Offer::Flood => flood(clients, &clock, time)?,
        Offer::Paced(rate) => paced(clients, &clock, rate, time)?,
    }
    let wall = clock.mono().since(Mono::default());
    // In a flood the thread's share is looked at while it is still busy; what waits in its socket
    // buffer at the end is a small part of the run.
    let busy_time = forwarder.scheduled()?.ran.saturating_sub(scheduled.ran);
    clients.drain_all()?;
    let after = forwarder.counted()?;
    let end = forwarder.scheduled()?;
    let offered = (clients.sent - sent) as f64;
    let forwarded = (after.forwarded - before.forwarded) as f64;
    let out = match offer {
        Offer::Flood => forwarded,
        Offer::Paced(_) => (clients.received - received) as f64,
    };
    let cpu = (end.ran - scheduled.ran).as_secs_f64();
    Ok(Run {
        offered: offered / wall.as_secs_f64(),
        pps: forwarded / wall.as_secs_f64(),
        loss: 1.0 - out / offered.max(1.0),
        cpu_s_per_mpkt: cpu / forwarded.max(1.0) * 1e6,
        busy: busy_time.as_secs_f64() / wall.as_secs_f64(),
        robbed: (end.waited - scheduled.waited).as_secs_f64() / wall.as_secs_f64(),
    })
}

fn flood(clients: &mut Clients, clock: &SystemClock, time: Duration) -> anyhow::Result<()> {
    while clock.mono().since(Mono::default()) < time {
        clients.send(BURST * 8, BURST);
        clients.drain()?;
    }
    Ok(())
}

fn paced(
    clients: &mut Clients,
    clock: &SystemClock,
    rate: f64,
    time: Duration,
) -> anyhow::Result<()> {
    let begin = clients.sent;
    loop {
        let passed = clock.mono().since(Mono::default());
        if passed >= time {
            return Ok(());
        }
        let due = (passed.as_secs_f64() * rate) as u64;
        let missing = due.saturating_sub(clients.sent - begin);
        // After a stall of the sender the rest of the portion is not made up for at once.
        let most = (rate * TICK.as_secs_f64() * 4.0) as u64 + 1;
        clients.send(missing.min(most) as usize, 4);
        clients.drain()?;
        let next = clock.mono().since(Mono::default());
        if let Some(rest) = (passed + TICK).checked_sub(next) {
            spin(clock, next + rest);
        }
    }
}

/// Waits without giving the core away: a sleep would be longer than a portion.
fn spin(clock: &SystemClock, until: Duration) {
    while clock.mono().since(Mono::default()) < until {
        std::hint::spin_loop();
    }
}
