//! Keep-alive of a connection: a WebSocket ping after silence, a close when nothing comes back
//! (C-092, Q-54).

use std::time::Duration;

use crs_types::Mono;

/// How dead connections are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// WebSocket pings.
    Ws,
    /// The socket's own keep-alive (SO_KEEPALIVE); nothing to do here.
    Tcp,
}

/// Settings of the keep-alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAliveConfig {
    /// How dead connections are found.
    pub method: Method,
    /// The server pings after this much silence.
    pub interval: Duration,
    /// The client has this long to answer.
    pub grace: Duration,
}

impl Default for KeepAliveConfig {
    fn default() -> Self {
        Self {
            method: Method::Ws,
            interval: Duration::from_millis(1_260_000),
            grace: Duration::from_millis(30_000),
        }
    }
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAliveDue {
    /// Send a ping.
    Ping,
    /// The client is gone: close with `keepalive-timeout`.
    Timeout,
}

/// The state of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    heard: Mono,
    pinged: bool,
}

impl KeepAlive {
    /// A connection that has just been heard of.
    pub fn new(now: Mono) -> Self {
        Self { heard: now, pinged: false }
    }

    /// Anything came from the client: a frame, a pong, a ping.
    pub fn heard(&mut self, now: Mono) {
        *self = Self::new(now);
    }

    /// What is due now, if anything. A `Timeout` repeats until the connection is closed.
    pub fn poll(&mut self, config: &KeepAliveConfig, now: Mono) -> Option<KeepAliveDue> {
        if self.deadline(config)? > now {
            return None;
        }
        if self.pinged {
            return Some(KeepAliveDue::Timeout);
        }
        // The grace counts from the ping, which may be late when the node was busy.
        *self = Self { heard: now, pinged: true };
        Some(KeepAliveDue::Ping)
    }

    /// When to call [`KeepAlive::poll`] next.
    pub fn deadline(&self, config: &KeepAliveConfig) -> Option<Mono> {
        match config.method {
            Method::Tcp => None,
            Method::Ws if self.pinged => Some(self.heard.plus(config.grace)),
            Method::Ws => Some(self.heard.plus(config.interval)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: KeepAliveConfig = KeepAliveConfig {
        method: Method::Ws,
        interval: Duration::from_secs(100),
        grace: Duration::from_secs(10),
    };

    fn at(secs: u64) -> Mono {
        Mono::from_micros(secs * 1_000_000)
    }

    #[test]
    fn silence_brings_a_ping_and_more_silence_the_end() {
        let mut core = KeepAlive::new(at(0));
        assert_eq!(core.poll(&CONFIG, at(99)), None);
        assert_eq!(core.deadline(&CONFIG), Some(at(100)));
        assert_eq!(core.poll(&CONFIG, at(100)), Some(KeepAliveDue::Ping));
        assert_eq!(core.poll(&CONFIG, at(109)), None);
        assert_eq!(core.poll(&CONFIG, at(110)), Some(KeepAliveDue::Timeout));
    }

    #[test]
    fn anything_heard_starts_over() {
        let mut core = KeepAlive::new(at(0));
        assert_eq!(core.poll(&CONFIG, at(105)), Some(KeepAliveDue::Ping));
        core.heard(at(106));
        assert_eq!(core.poll(&CONFIG, at(116)), None);
        assert_eq!(core.deadline(&CONFIG), Some(at(206)));
    }

    #[test]
    fn the_grace_counts_from_a_late_ping() {
        let mut core = KeepAlive::new(at(0));
        assert_eq!(core.poll(&CONFIG, at(500)), Some(KeepAliveDue::Ping));
        assert_eq!(core.poll(&CONFIG, at(501)), None);
    }

    #[test]
    fn the_tcp_method_leaves_it_to_the_socket() {
        let config = KeepAliveConfig { method: Method::Tcp, ..CONFIG };
        let mut core = KeepAlive::new(at(0));
        assert_eq!((core.poll(&config, at(9999)), core.deadline(&config)), (None, None));
    }
}
