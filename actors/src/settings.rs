//! Settings that a running node may change (SIGHUP): keep-alive and detach-cleanup rules, limits,
//! log level. Everything else is fixed at start.

use std::net::IpAddr;
use std::time::Duration;

use crs_types::{AccountId, Uri};

/// What SIGHUP reloads. Read anew at each use; a change reaches new connections, detaches and
/// requests, never a request under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `keep-alive` lines in file order; the first match wins (C-078…C-083).
    pub keep_alive: Vec<KeepAliveRule>,
    /// Used when no line matches.
    pub keep_alive_default: KeepAlive,
    /// `detach-cleanup` lines in file order; the first match wins (C-086, C-087).
    pub detach_cleanup: Vec<DetachCleanupRule>,
    /// Limits of clients and sessions.
    pub limits: LimitSettings,
    /// Log level and filter, in `tracing` syntax.
    pub log_filter: String,
}

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// `ip/mask`.
    Network {
        /// Network address, normalised.
        ip: IpAddr,
        /// Prefix length in bits.
        prefix: u8,
    },
    /// `uri@account-id`.
    User {
        /// The user.
        uri: Uri,
        /// The account.
        account: AccountId,
    },
}

/// One `keep-alive` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepAliveRule {
    /// Which clients.
    pub subject: Subject,
    /// What to do.
    pub keep_alive: KeepAlive,
}

/// How a silent client is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// `tcp`: the kernel's keep-alive, idle time and interval both `interval`, 3 probes.
    Tcp {
        /// Idle time before the first probe, and between probes.
        interval: Duration,
    },
    /// `ws`: a WebSocket ping after `interval` of silence, cut after `grace` without a pong.
    Ws {
        /// Silence before the ping.
        interval: Duration,
        /// How long the pong may take.
        grace: Duration,
    },
}

/// One `detach-cleanup` line: the connection is closed `delay` after the registration was denied
/// or ended by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachCleanupRule {
    /// Which clients.
    pub subject: Subject,
    /// Time between unregistration and close.
    pub delay: Duration,
}

/// Limits of clients. Rates are per client and minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// Client connections, handshakes included.
    pub connections: usize,
    /// Attaches per minute and connection.
    pub attach_per_minute: u32,
    /// Invites per minute and connection.
    pub invite_per_minute: u32,
    /// Posts per minute and connection.
    pub message_per_minute: u32,
    /// Lookups per minute and connection.
    pub lookup_per_minute: u32,
    /// Failed handshakes per minute and address before new connections are refused.
    pub failed_handshakes_per_minute: u32,
    /// Sessions of this node that may exist at once.
    pub sessions: usize,
    /// Bytes of the messages that wait for all users of an account; each mailbox group takes its
    /// share, but never less than one full mailbox.
    pub account_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep_alive: Vec::new(),
            keep_alive_default: KeepAlive::Ws {
                interval: Duration::from_millis(1_260_000),
                grace: Duration::from_millis(30_000),
            },
            detach_cleanup: Vec::new(),
            limits: LimitSettings::default(),
            log_filter: "info,ractor=warn".to_owned(),
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            connections: 60_000,
            attach_per_minute: 10,
            invite_per_minute: 30,
            message_per_minute: 120,
            lookup_per_minute: 60,
            failed_handshakes_per_minute: 60,
            sessions: 10_000,
            account_bytes: 4 << 30,
        }
    }
}

impl Subject {
    /// True when this rule is about a client at `ip` that is `uri` of `account`.
    pub fn matches(&self, ip: IpAddr, uri: &Uri, account: &AccountId) -> bool {
        match self {
            Self::Network { ip: network, prefix } => in_network(ip, *network, *prefix),
            Self::User { uri: u, account: a } => u == uri && a == account,
        }
    }
}

impl Settings {
    /// The keep-alive of a client: first matching line, or the default.
    pub fn keep_alive_for(&self, ip: IpAddr, uri: &Uri, account: &AccountId) -> KeepAlive {
        self.keep_alive
            .iter()
            .find(|rule| rule.subject.matches(ip, uri, account))
            .map_or(self.keep_alive_default, |rule| rule.keep_alive)
    }

    /// When to close after a denial or an unregistration by the server; `None`: never (C-088).
    pub fn detach_cleanup_for(
        &self,
        ip: IpAddr,
        uri: &Uri,
        account: &AccountId,
    ) -> Option<Duration> {
        self.detach_cleanup
            .iter()
            .find(|rule| rule.subject.matches(ip, uri, account))
            .map(|rule| rule.delay)
    }
}

fn in_network(ip: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (crs_types::addr::normalised(ip), crs_types::addr::normalised(network)) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let shift = 32 - u32::from(prefix.min(32));
            shift == 32 || u32::from(a) >> shift == u32::from(n) >> shift
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let shift = 128 - u32::from(prefix.min(128));
            shift == 128 || u128::from(a) >> shift == u128::from(n) >> shift
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(ip: &str, prefix: u8) -> Subject {
        Subject::Network { ip: ip.parse().unwrap(), prefix }
    }

    #[test]
    fn first_matching_line_wins() {
        let uri = Uri::parse("+46701").unwrap();
        let account = AccountId::parse("police").unwrap();
        let tcp = |secs| KeepAlive::Tcp { interval: Duration::from_secs(secs) };
        let settings = Settings {
            keep_alive: vec![
                KeepAliveRule { subject: network("10.0.0.0", 8), keep_alive: tcp(1) },
                KeepAliveRule {
                    subject: Subject::User { uri: uri.clone(), account: account.clone() },
                    keep_alive: tcp(2),
                },
                KeepAliveRule { subject: network("::", 0), keep_alive: tcp(3) },
            ],
            ..Settings::default()
        };
        let of = |ip: &str, uri: &Uri| settings.keep_alive_for(ip.parse().unwrap(), uri, &account);
        assert_eq!(of("10.255.0.1", &uri), tcp(1));
        assert_eq!(of("::ffff:10.1.1.1", &uri), tcp(1));
        assert_eq!(of("11.0.0.1", &uri), tcp(2));
        let other = Uri::parse("+46702").unwrap();
        assert_eq!(of("2001:db8::1", &other), tcp(3));
        assert_eq!(of("11.0.0.1", &other), Settings::default().keep_alive_default);
    }
}
