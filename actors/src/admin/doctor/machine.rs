//! Limits, memory and clock of the machine, as the running node has them.

use std::fs;
use std::time::Duration;

use crs_admin_api::command::doctor::Check;

use super::{fail, ok, warn};
use crate::admin::AdminContext;

const GROUP: &str = "system";
const MEMORY_WANTED_KB: u64 = 512 * 1024;
const MEMORY_NEEDED_KB: u64 = 128 * 1024;
/// Clocks of a pool may differ by this much before anybody cares.
const BACKWARDS_ALLOWED: Duration = Duration::from_secs(300);
/// How long a jump of the clock is worth a look.
const JUMP_REMEMBERED: Duration = Duration::from_secs(86_400);

pub(super) fn open_files(context: &AdminContext) -> Check {
    let name = "open-files";
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .and_then(|line| line.split_whitespace().nth(3))
        .map(|word| word.parse().unwrap_or(u64::MAX));
    let used = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    let wanted = context.facts.open_files_wanted;
    let Some(limit) = soft else { return ok(GROUP, name, "unknown on this system") };
    let check = ok(GROUP, name, format!("{used} of {limit} open files"));
    let fix = &context.facts.commands.open_files;
    if used.saturating_mul(10) > limit.saturating_mul(9) {
        fail(check, "clients are refused when all are used", fix)
    } else if limit < wanted {
        warn(check, &format!("{wanted} are wanted for the configured clients"), fix)
    } else {
        check
    }
}

pub(super) fn memory() -> Check {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = meminfo
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))
        .and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    let Some(kb) = available else { return ok(GROUP, "memory", "unknown on this system") };
    let check = ok(GROUP, "memory", format!("{} MiB available", kb / 1024));
    let cause = "the system ends programs that take memory when there is none left";
    match kb {
        0..MEMORY_NEEDED_KB => fail(check, cause, "ps aux --sort=-rss | head"),
        MEMORY_NEEDED_KB..MEMORY_WANTED_KB => warn(check, cause, "ps aux --sort=-rss | head"),
        MEMORY_WANTED_KB.. => check,
    }
}

/// A clock that stands before something that has happened was set back, or is wrong; one that
/// jumped of late may do so again.
pub(super) fn clock(context: &AdminContext) -> Check {
    let now = context.now();
    let control = context.store.control();
    let newest = control
        .accounts
        .values()
        .flat_map(|account| account.updates.values().map(|update| update.applied))
        .max();
    let check = ok(GROUP, "clock", format!("it is {now}"));
    let fix = "timedatectl set-ntp true";
    if let Some(newest) = newest.filter(|newest| newest.since(now) > BACKWARDS_ALLOWED) {
        let cause = format!("an update was applied at {newest}, which is still to come");
        return fail(check, &cause, fix);
    }
    match context.facts.watched.found().clock_jump {
        Some((at, what)) if now.since(at) < JUMP_REMEMBERED => {
            let cause = format!("{what} at {at}: keys and traces go by the clock");
            warn(check, &cause, fix)
        }
        Some(_) | None => check,
    }
}
