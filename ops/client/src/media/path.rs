//! Whether the path to the relay still carries: a client that moves (another network, a new NAT
//! mapping) hears nothing any more, and has to bind its leg again. Silence is the only sign there is:
//! a living path brings the other side's media or, when that is silent, answers to our own requests.

use std::time::Duration;

use crs_types::Mono;

/// Consent is refreshed this often on a path that carries (RFC 7675: it lasts 30 s).
const REFRESH: Duration = Duration::from_secs(5);
/// After so much silence the relay is asked, and again this often.
const QUIET: Duration = Duration::from_millis(500);
/// After so much silence the socket itself is given up, and each new one, too: its address may be
/// one that this host has no more.
const DEAD: Duration = Duration::from_millis(1500);

/// What to do about the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// Send a Binding request.
    Ask,
    /// Open a new socket, then send a Binding request from it.
    Renew,
}

/// Watches one path.
#[derive(Debug)]
pub struct PathWatch {
    heard: Mono,
    asked: Mono,
    opened: Mono,
}

impl PathWatch {
    /// A path that has just been bound.
    pub fn new(now: Mono) -> Self {
        Self { heard: now, asked: now, opened: now }
    }

    /// A datagram came from the relay.
    pub fn heard(&mut self, now: Mono) {
        self.heard = now;
    }

    /// What is due; call it a few times within [`QUIET`].
    pub fn poll(&mut self, now: Mono) -> Step {
        let silent = now.since(self.heard);
        let step = if silent >= DEAD && now.since(self.opened) >= DEAD {
            self.opened = now;
            Step::Renew
        } else if now.since(self.asked) >= if silent >= QUIET { QUIET } else { REFRESH } {
            Step::Ask
        } else {
            return Step::Wait;
        };
        self.asked = now;
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono::from_micros(1_000_000 + ms * 1000)
    }

    /// The steps taken by a client that polls every 100 ms and hears something until `last`.
    fn steps(last: u64, end: u64) -> Vec<(u64, Step)> {
        let mut path = PathWatch::new(at(0));
        let mut taken = Vec::new();
        for ms in (100..=end).step_by(100) {
            if ms <= last {
                path.heard(at(ms));
            }
            match path.poll(at(ms)) {
                Step::Wait => {}
                step @ (Step::Ask | Step::Renew) => taken.push((ms, step)),
            }
        }
        taken
    }

    #[test]
    fn a_path_that_carries_is_refreshed_every_five_seconds() {
        assert_eq!(steps(20_000, 12_000), [(5_000, Step::Ask), (10_000, Step::Ask)]);
    }

    #[test]
    fn a_silent_path_is_asked_for_and_then_left() {
        use Step::{Ask, Renew};
        let expected = [
            (1_500, Ask),
            (2_000, Ask),
            (2_500, Renew),
            (3_000, Ask),
            (3_500, Ask),
            (4_000, Renew),
        ];
        assert_eq!(steps(1_000, 4_000), expected);
    }

    #[test]
    fn one_datagram_ends_the_search() {
        let mut path = PathWatch::new(at(0));
        assert_eq!(path.poll(at(1_600)), Step::Renew);
        path.heard(at(1_650));
        assert_eq!(path.poll(at(1_700)), Step::Wait);
        assert_eq!(path.poll(at(2_100)), Step::Wait);
        assert_eq!(path.poll(at(2_150)), Step::Ask, "silent for half a second again");
    }
}
