//! Directives of the pool (C-067…C-074): keys, hosts, names.

use crs_types::Secret;

use super::directive::{Directive, Repeats, Scope};
use super::draft::Draft;
use super::problem::Wrong;
use super::types::{KeyLength, PoolConfig, PoolKey};
use super::values::{self, Args};

/// Keys that may be configured at once: the current one and the one it replaces.
const KEYS_MAX: usize = 2;
/// Mailbox groups of a pool.
const GROUPS_MAX: u16 = 64;

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "key",
        usage: "<secret> [128bit|256bit]",
        scope: Scope::Pool,
        repeats: Repeats::Many,
        reload: false,
        about: "Shared secret of the pool, generated (for instance by `openssl rand -base64 32`), base64 or \
                hexadecimal, at least 16 bytes for 128bit and 32 for 256bit (the default). A second line is \
                accepted from peers too while a key is being replaced.",
        same: |a, b| secrets(&a.pool) == secrets(&b.pool),
        parse: key,
    },
    Directive {
        name: "host",
        usage: "<instance>",
        scope: Scope::Pool,
        repeats: Repeats::Many,
        reload: false,
        about: "Declares a node of the pool.",
        same: |a, b| a.pool.hosts.iter().map(|h| &h.name).eq(b.pool.hosts.iter().map(|h| &h.name)),
        parse: host,
    },
    Directive {
        name: "ip",
        usage: "<instance> <IP>",
        scope: Scope::Pool,
        repeats: Repeats::Many,
        reload: false,
        about: "Public address of a node: where clients reach its ports.",
        same: |a, b| a.pool.hosts.iter().map(|h| h.ip).eq(b.pool.hosts.iter().map(|h| h.ip)),
        parse: ip,
    },
    Directive {
        name: "iw-listen-port",
        usage: "<port>",
        scope: Scope::Pool,
        repeats: Repeats::Once,
        reload: false,
        about: "Port of incoming inter-working connections; default 8080.",
        same: |a, b| a.pool.iw_listen_port == b.pool.iw_listen_port,
        parse: iw_listen_port,
    },
    Directive {
        name: "server-name",
        usage: "<DNS name>",
        scope: Scope::Pool,
        repeats: Repeats::Many,
        reload: false,
        about: "DNS name under which clients reach the pool; it is put into the nodes' certificates. (Extension.)",
        same: |a, b| a.pool.server_names == b.pool.server_names,
        parse: server_name,
    },
    Directive {
        name: "mailbox-groups",
        usage: "<number>",
        scope: Scope::Pool,
        repeats: Repeats::Once,
        reload: false,
        about: "Raft groups that share the mailboxes of a new pool, 1 to 64; default 4. Fixed when the pool is \
                first initialised. (Extension.)",
        same: |a, b| a.pool.mailbox_groups == b.pool.mailbox_groups,
        parse: mailbox_groups,
    },
    Directive {
        name: "development",
        usage: "",
        scope: Scope::Pool,
        repeats: Repeats::Once,
        reload: false,
        about: "Marks a pool made by `crs-node --dev`: its nodes refuse to listen on anything but loopback. \
                (Extension.)",
        same: |a, b| a.pool.development == b.pool.development,
        parse: |draft, args| {
            draft.development = true;
            args.end()
        },
    },
];

fn secrets(pool: &PoolConfig) -> Vec<&Secret> {
    pool.keys.iter().map(|key| &key.secret).collect()
}

fn key(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let word = args.next("a shared secret")?;
    let length = match args.maybe() {
        Some(word) => values::key_length(word)?,
        None => KeyLength::Bits256,
    };
    args.end()?;
    let secret = values::secret(word, length)?;
    if draft.keys.len() == KEYS_MAX {
        return Err(Wrong::expected(format!("expected at most {KEYS_MAX} key lines")));
    }
    draft.keys.push(PoolKey { secret, length });
    Ok(())
}

fn host(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let name = values::node_name(args.next("the name of a node")?)?;
    args.end()?;
    if draft.hosts.contains(&name) {
        return Err(Wrong::expected("expected every node once").got(name.as_str()));
    }
    draft.hosts.push(name);
    Ok(())
}

fn ip(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let name = values::node_name(args.next("the name of a node")?)?;
    let ip = values::ip(args.next("its IP address")?)?;
    args.end()?;
    if draft.ips.iter().any(|(known, _)| *known == name) {
        return Err(Wrong::expected("expected one address for each node").got(name.as_str()));
    }
    draft.ips.push((name, ip));
    Ok(())
}

fn iw_listen_port(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    draft.iw_listen_port = Some(values::port(args.next("a port")?)?);
    args.end()
}

fn server_name(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    draft.server_names.push(values::dns_name(args.next("a DNS name")?)?);
    args.end()
}

fn mailbox_groups(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let word = args.next("a number of groups")?;
    draft.mailbox_groups = Some(values::number(word, "a number of groups", 1, GROUPS_MAX)?);
    args.end()
}
