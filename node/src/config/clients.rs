//! Directives about clients (C-078…C-088, Q-55): keep-alive, detach-cleanup, address maps, limits.

use crs_actors::settings::{DetachCleanupRule, KeepAlive, KeepAliveRule, LimitSettings, Settings};

use super::directive::{Directive, Repeats, Scope};
use super::draft::Draft;
use super::problem::Wrong;
use super::types::{AddrMap, Config};
use super::values::{self, Args};

const DAY_MS: u64 = 86_400_000;

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "keep-alive",
        usage: "<ip/mask>|<uri@account-id> tcp|ws <interval ms> [<grace period ms>]",
        scope: Scope::Pool,
        repeats: Repeats::Many,
        reload: true,
        about: "How silent clients are probed: TCP keep-alive or WebSocket ping. The first matching line wins, \
                when a client connects. Default: ws 1260000 30000.",
        same: |a, b| a.settings.keep_alive == b.settings.keep_alive,
        parse: keep_alive,
    },
    Directive {
        name: "detach-cleanup",
        usage: "<ip/mask>|<uri@account-id> <delay ms>",
        scope: Scope::Pool,
        repeats: Repeats::Many,
        reload: true,
        about: "Closes the connection this long after a registration was denied or ended by the server. The first \
                matching line wins. Default: the connection stays.",
        same: |a, b| a.settings.detach_cleanup == b.settings.detach_cleanup,
        parse: detach_cleanup,
    },
    Directive {
        name: "addr-map",
        usage: "<from-IP> <to-IP>",
        scope: Scope::Pool,
        repeats: Repeats::Many,
        reload: true,
        about: "Address to use instead of another for outgoing connections and forwarded media.",
        same: |a, b| a.pool.addr_map == b.pool.addr_map,
        parse: addr_map,
    },
    Directive {
        name: "rate-limit",
        usage: "attach|invite|message|lookup|failed-handshakes <per minute>",
        scope: Scope::Pool,
        repeats: Repeats::Many,
        reload: true,
        about: "Requests a user may make each minute, over all devices and reconnects (10, 30, 120, 60 by default), and \
                failed handshakes of one address before its connections are refused (60). (Extension.)",
        same: |a, b| rates(a) == rates(b),
        parse: rate_limit,
    },
    Directive {
        name: "limit",
        usage: "connections|sessions <number> | account-bytes <size>",
        scope: Scope::Pool,
        repeats: Repeats::Many,
        reload: true,
        about: "Client connections (60000) and sessions (10000) a node takes at once, and the bytes of messages that \
                may wait for the users of one account (4GiB; at least 256MiB in each mailbox group): what keeps \
                one account from filling the disk for all. (Extension.)",
        same: |a, b| most(a) == most(b),
        parse: limit,
    },
];

/// What `rate-limit` says, and below what `limit` says: together all of the limits.
fn rates(config: &Config) -> [u32; 5] {
    let LimitSettings {
        connections: _,
        sessions: _,
        account_bytes: _,
        attach_per_minute,
        invite_per_minute,
        message_per_minute,
        lookup_per_minute,
        failed_handshakes_per_minute,
    } = config.settings.limits;
    [
        attach_per_minute,
        invite_per_minute,
        message_per_minute,
        lookup_per_minute,
        failed_handshakes_per_minute,
    ]
}

fn most(config: &Config) -> (usize, usize, u64) {
    let limits = &config.settings.limits;
    (limits.connections, limits.sessions, limits.account_bytes)
}

fn keep_alive(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let subject = values::subject(args.next("ip/mask or uri@account-id")?)?;
    let method =
        values::choice(args.next("a method, tcp or ws")?, &[("tcp", false), ("ws", true)])?;
    let interval = values::millis(args.next("an interval")?, "an interval", 1000, DAY_MS)?;
    let grace = match args.maybe() {
        Some(_) if !method => {
            return Err(Wrong::expected("expected no grace period: it exists only with ws"));
        }
        Some(word) => Some(values::millis(word, "a grace period", 100, 600_000)?),
        None => None,
    };
    args.end()?;
    let keep_alive = if method {
        KeepAlive::Ws { interval, grace: grace.unwrap_or_else(default_grace) }
    } else {
        KeepAlive::Tcp { interval }
    };
    draft.settings.keep_alive.push(KeepAliveRule { subject, keep_alive });
    Ok(())
}

fn default_grace() -> std::time::Duration {
    match Settings::default().keep_alive_default {
        KeepAlive::Ws { grace, .. } => grace,
        KeepAlive::Tcp { interval } => interval,
    }
}

fn detach_cleanup(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let subject = values::subject(args.next("ip/mask or uri@account-id")?)?;
    let delay = values::millis(args.next("a delay")?, "a delay", 0, DAY_MS)?;
    args.end()?;
    draft.settings.detach_cleanup.push(DetachCleanupRule { subject, delay });
    Ok(())
}

fn addr_map(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let from = values::ip(args.next("an IP address")?)?;
    let to = values::ip(args.next("the IP address to use instead")?)?;
    args.end()?;
    if from.is_ipv4() != to.is_ipv4() {
        return Err(Wrong::expected("expected two IPv4 or two IPv6 addresses"));
    }
    if draft.addr_map.iter().any(|map| map.from == from) {
        return Err(Wrong::expected("expected one map for each address").got(&from.to_string()));
    }
    draft.addr_map.push(AddrMap { from, to });
    Ok(())
}

#[derive(Clone, Copy)]
enum Rate {
    Attach,
    Invite,
    Message,
    Lookup,
    FailedHandshakes,
}

fn rate_limit(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let rates = [
        ("attach", Rate::Attach),
        ("invite", Rate::Invite),
        ("message", Rate::Message),
        ("lookup", Rate::Lookup),
        ("failed-handshakes", Rate::FailedHandshakes),
    ];
    let which = values::choice(args.next("what is limited")?, &rates)?;
    let value =
        values::number(args.next("a number per minute")?, "a number per minute", 1, 1_000_000)?;
    let limits = &mut draft.settings.limits;
    let slot = match which {
        Rate::Attach => &mut limits.attach_per_minute,
        Rate::Invite => &mut limits.invite_per_minute,
        Rate::Message => &mut limits.message_per_minute,
        Rate::Lookup => &mut limits.lookup_per_minute,
        Rate::FailedHandshakes => &mut limits.failed_handshakes_per_minute,
    };
    *slot = value;
    args.end()
}

#[derive(Clone, Copy)]
enum Limited {
    Connections,
    Sessions,
    AccountBytes,
}

fn limit(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let kinds = [
        ("connections", Limited::Connections),
        ("sessions", Limited::Sessions),
        ("account-bytes", Limited::AccountBytes),
    ];
    let which = values::choice(args.next("what is limited")?, &kinds)?;
    let mut number = || values::number(args.next("a number")?, "a number", 1, 1_000_000);
    let limits = &mut draft.settings.limits;
    match which {
        Limited::Connections => limits.connections = number()?,
        Limited::Sessions => limits.sessions = number()?,
        Limited::AccountBytes => {
            limits.account_bytes = values::bytes(args.next("a size")?, 1 << 20, 1 << 50)?;
        }
    }
    args.end()
}
