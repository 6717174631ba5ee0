//! The store, its groups, its disk.

use crs_admin_api::command::doctor::Check;
use crs_types::shell;

use super::{fail, ok, warn};
use crate::admin::AdminContext;

const GROUP: &str = "storage";
const MIB: u64 = 1 << 20;
const FREE_WANTED: u64 = 2048 * MIB;
const FREE_NEEDED: u64 = 512 * MIB;
/// Commands waiting in a group beyond which posts begin to be refused.
const QUEUED_WARNING: u64 = 1000;
const SYNC_SLOW_MICROS: u64 = 100_000;

pub(super) fn store(context: &AdminContext) -> Check {
    let status = context.store.status();
    let queued: u64 = status.groups.iter().map(|group| group.queued).sum();
    let sync = status.last_sync_micros as f64 / 1000.0;
    let text = format!(
        "{} MiB of log, {queued} commands waiting, last sync {sync:.1} ms",
        status.log_bytes / MIB
    );
    let check = ok(GROUP, "store", text);
    let cause = "the disk is slow: every message waits for it";
    if queued > QUEUED_WARNING || status.last_sync_micros > SYNC_SLOW_MICROS {
        return warn(check, cause, "iostat -x 5 3");
    }
    check
}

pub(super) fn quorum(context: &AdminContext) -> Check {
    let status = context.store.status();
    let without: Vec<String> = status
        .groups
        .iter()
        .filter(|group| group.leader.is_none())
        .map(|group| group.group.to_string())
        .collect();
    if without.is_empty() {
        return ok(GROUP, "quorum", format!("all {} groups have a leader", status.groups.len()));
    }
    let check = ok(GROUP, "quorum", format!("groups without a leader: {}", without.join(", ")));
    let cause = "too few nodes of the pool are up: nothing can be confirmed";
    fail(check, cause, "crs-cli show node")
}

pub(super) fn disk(context: &AdminContext) -> Check {
    let status = context.store.status();
    let place = context.facts.data_dir.display();
    let free = status.free_bytes;
    // The event `disk low` comes when less than twice what must be free is.
    let wanted = FREE_WANTED.max(context.facts.disk_min_free.saturating_mul(2));
    let check = ok(GROUP, "disk", format!("{} MiB free at {place}", free / MIB));
    let fix = format!("du -xsh {}/* | sort -h", shell::word(&place.to_string()));
    if status.disk_full || free < FREE_NEEDED {
        fail(check, "messages are refused while the disk is full", &fix)
    } else if free < wanted {
        warn(check, "messages will be refused when the disk is full", &fix)
    } else {
        check
    }
}
