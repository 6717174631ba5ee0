//! Directives of one node (C-089…C-093): its name, role, folders and user.

use super::directive::{Directive, Repeats, Scope};
use super::draft::Draft;
use super::problem::Wrong;
use super::types::{Certificate, Config, DbBackup};
use super::values::{self, Args};

/// A directive of `crs-local.conf` that may stand once.
pub(super) const fn once(
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    same: fn(&Config, &Config) -> bool,
    parse: fn(&mut Draft, Args<'_>) -> Result<(), Wrong>,
) -> Directive {
    Directive {
        name,
        usage,
        scope: Scope::Local,
        repeats: Repeats::Once,
        reload: false,
        about,
        same,
        parse,
    }
}

pub(super) const DIRECTIVES: &[Directive] = &[
    once(
        "crsname",
        "<name>",
        "Name of this node: one of the `host` lines of crs.conf.",
        |a, b| a.name == b.name,
        crsname,
    ),
    once(
        "db-backup",
        "none|replicate-from-peer|read-from",
        "Role as database backup of the peer; `read-from` on the survivor when the peer is gone for good. \
         Default: none.",
        |a, b| a.db_backup == b.db_backup,
        db_backup,
    ),
    once(
        "data-dir",
        "<path>",
        "Data folder; default /opt/crs/data. (Extension.)",
        |a, b| a.paths.data == b.paths.data,
        |draft, mut args| {
            draft.data_dir = Some(args.path("a folder")?);
            args.end()
        },
    ),
    once(
        "accounts-dir",
        "<path>",
        "Folder of the accounts' files; default /opt/crs/accounts. (Extension.)",
        |a, b| a.paths.accounts == b.paths.accounts,
        |draft, mut args| {
            draft.accounts_dir = Some(args.path("a folder")?);
            args.end()
        },
    ),
    once(
        "scripts-dir",
        "<path>",
        "Folder of notify.sh; default /opt/crs/scripts. (Extension.)",
        |a, b| a.paths.scripts == b.paths.scripts,
        |draft, mut args| {
            draft.scripts_dir = Some(args.path("a folder")?);
            args.end()
        },
    ),
    once(
        "backup-dir",
        "<path>",
        "Folder of backup archives; default /opt/crs/backup. (Extension.)",
        |a, b| a.paths.backup == b.paths.backup,
        |draft, mut args| {
            draft.backup_dir = Some(args.path("a folder")?);
            args.end()
        },
    ),
    once(
        "admin-socket",
        "<path>",
        "Unix socket of crs-cli; default /opt/crs/run/crs.sock. (Extension.)",
        |a, b| a.paths.admin_socket == b.paths.admin_socket,
        |draft, mut args| {
            draft.admin_socket = Some(args.path("a path")?);
            args.end()
        },
    ),
    once(
        "disk-min-free",
        "<size>",
        "Posts are refused while the data folder's disk has less free space; default 256MiB. (Extension.)",
        |a, b| a.disk_min_free == b.disk_min_free,
        |draft, mut args| {
            draft.disk_min_free = Some(values::bytes(args.next("a size")?, 1 << 20, 1 << 50)?);
            args.end()
        },
    ),
    once(
        "user",
        "<name>",
        "User the node must run as: it refuses to start as anybody else, so that no file ends up with a wrong \
         owner. (Extension.)",
        |a, b| a.user == b.user,
        user,
    ),
    once(
        "worker-threads",
        "<number>",
        "Threads that serve connections; default: one for each processor. (Extension.)",
        |a, b| a.worker_threads == b.worker_threads,
        |draft, mut args| {
            let word = args.next("a number of threads")?;
            draft.worker_threads = Some(values::number(word, "a number of threads", 1, 256)?);
            args.end()
        },
    ),
    Directive {
        reload: true,
        ..once(
            "certificate",
            "<chain.pem> <key.pem>",
            "Certificate for the client port, in place of one by the pool's own CA: leaf first, then what signed it, \
             and its key. (Extension.)",
            |a, b| a.certificate == b.certificate,
            certificate,
        )
    },
];

fn certificate(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let chain = args.path("a PEM file with the certificate chain")?;
    let key = args.path("a PEM file with the key")?;
    draft.certificate = Some(Certificate { chain, key });
    args.end()
}

fn crsname(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    draft.name = Some(values::node_name(args.next("the name of this node")?)?);
    args.end()
}

fn db_backup(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let roles = [
        ("none", DbBackup::None),
        ("replicate-from-peer", DbBackup::ReplicateFromPeer),
        ("read-from", DbBackup::ReadFrom),
    ];
    draft.db_backup = values::choice(args.next("none, replicate-from-peer or read-from")?, &roles)?;
    args.end()
}

fn user(draft: &mut Draft, mut args: Args<'_>) -> Result<(), Wrong> {
    let name = args.next("a user name")?;
    let ok = (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !ok {
        return Err(Wrong::expected("expected a user name").got(name));
    }
    draft.user = Some(name.to_owned());
    args.end()
}
