//! Directives of one node's ports and addresses (extensions, so that pools live on loopback
//! without root; defaults from C-022…C-029 and design.md §4).

use super::directive::{Directive, Repeats, Scope};
use super::draft::Draft;
use super::local::once;
use super::problem::Wrong;
use super::values::{self, Args};

/// Clients (C-022).
pub(super) const CLIENT_PORT: u16 = 5223;
/// Media (C-023).
pub(super) const MEDIA_PORT: u16 = 146;
/// Pool control (C-024).
pub(super) const POOL_PORT: u16 = 8090;
/// Pool bulk (C-025).
pub(super) const BULK_PORT: u16 = 8091;
/// Inter-working (C-027).
pub(super) const IW_PORT: u16 = 8080;
/// Metrics and health.
pub(super) const METRICS_PORT: u16 = 9146;

pub(super) const DIRECTIVES: &[Directive] = &[
    once(
        "client-listen",
        "<ip>:<port>",
        "Clients and remote admins; default 0.0.0.0:5223. Port 0 takes a free one. (Extension.)",
        |a, b| a.listen.client == b.listen.client,
        |draft, mut args| {
            draft.client_listen = Some(values::listen(args.next("an address")?, CLIENT_PORT)?);
            args.end()
        },
    ),
    Directive {
        name: "media-listen",
        usage: "<ip>:<port>",
        scope: Scope::Local,
        repeats: Repeats::Many,
        reload: false,
        about: "Media, UDP, at most four lines, best first; default 0.0.0.0:146. (Extension.)",
        same: |a, b| a.listen.media == b.listen.media,
        parse: media_listen,
    },
    Directive {
        name: "media-address",
        usage: "<ip>",
        scope: Scope::Local,
        repeats: Repeats::Many,
        reload: false,
        about: "Address at which clients reach the media port, at most four lines, best first; default: the `ip` \
                line of this node, else the address it listens on. A warning tells one whose family, IPv4 or IPv6, \
                no `media-listen` serves. (Extension.)",
        same: |a, b| a.media_addresses == b.media_addresses,
        parse: media_address,
    },
    once(
        "metrics-listen",
        "<ip>:<port>|off",
        "Metrics and health, HTTP without authentication: loopback by default, 127.0.0.1:9146. (Extension.)",
        |a, b| a.listen.metrics == b.listen.metrics,
        metrics_listen,
    ),
    once(
        "pool-listen",
        "<ip>:<port>",
        "Control connections of the pool, UDP; default 0.0.0.0:8090. (Extension.)",
        |a, b| a.listen.pool == b.listen.pool,
        |draft, mut args| {
            draft.pool_listen = Some(values::listen(args.next("an address")?, POOL_PORT)?);
            args.end()
        },
    ),
    once(
        "bulk-listen",
        "<ip>:<port>",
        "Bulk transfers of the pool, UDP; default 0.0.0.0:8091. (Extension.)",
        |a, b| a.listen.bulk == b.listen.bulk,
        |draft, mut args| {
            draft.bulk_listen = Some(values::listen(args.next("an address")?, BULK_PORT)?);
            args.end()
        },
    ),
    once(
        "iw-listen",
        "<ip>:<port>",
        "Inter-working connections; default 0.0.0.0 and the port of `iw-listen-port`. (Extension.)",
        |a, b| a.listen.iw == b.listen.iw,
        |draft, mut args| {
            draft.iw_listen = Some(values::listen(args.next("an address")?, IW_PORT)?);
            args.end()
        },
    ),
];

fn media_listen(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let addr = values::listen(args.next("an address")?, MEDIA_PORT)?;
    args.end()?;
    push_bounded(&mut draft.media_listen, addr)
}

fn media_address(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let word = args.next("an address")?;
    args.end()?;
    let ip = values::ip(word)?;
    if ip.is_unspecified() {
        return Err(Wrong::expected("expected an address that clients can reach").got(word));
    }
    push_bounded(&mut draft.media_address, ip)
}

fn metrics_listen(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let word = args.next("an address or off")?;
    args.end()?;
    let addr = if word.eq_ignore_ascii_case("off") {
        None
    } else {
        Some(values::listen(word, METRICS_PORT)?)
    };
    if addr.is_some_and(|addr| !addr.ip().is_loopback()) {
        draft.remark(
            "metrics are served without authentication; keep this address from the Internet",
        );
    }
    draft.metrics_listen = Some(addr);
    Ok(())
}

fn push_bounded<T>(list: &mut Vec<T>, value: T) -> Result<(), Wrong> {
    let max = crs_relay::config::ADDRESSES_MAX;
    if list.len() == max {
        return Err(Wrong::expected(format!("expected at most {max} lines of it")));
    }
    list.push(value);
    Ok(())
}
