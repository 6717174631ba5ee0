//! May an update file be applied now? (Q-34: serial and period.)

use crs_types::{Period, Timestamp};

use super::UpdateFile;

/// The file may be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is newer than all before.
    New,
    /// It has the newest serial: the same file again, which the caller verifies by its hash.
    Again,
}

/// The file may not be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inadmissible {
    /// A newer file has been applied.
    #[error("serial {found} is older than {newest}, which has been applied; use the newest file")]
    OlderSerial {
        /// Newest serial applied to the account.
        newest: u64,
        /// Serial of this file.
        found: u64,
    },
    /// Its month is not the previous, current or next one.
    #[error(
        "the file is for {found}, but it is {current} now: only the previous, current and next \
         month can be applied (override with --force)"
    )]
    Period {
        /// This month.
        current: Period,
        /// Month of the file.
        found: Period,
    },
}

/// Decides by period and serial. `newest_serial` is the newest ever applied to the account;
/// `force` overrides the period only.
pub fn admissible(
    update: &UpdateFile,
    now: Timestamp,
    newest_serial: Option<u64>,
    force: bool,
) -> Result<Admission, Inadmissible> {
    let current = Period::at(now);
    let near = [current.previous(), current, current.next()].contains(&update.period);
    if !near && !force {
        return Err(Inadmissible::Period { current, found: update.period });
    }
    match newest_serial {
        Some(newest) if update.serial < newest => {
            Err(Inadmissible::OlderSerial { newest, found: update.serial })
        }
        Some(newest) if update.serial == newest => Ok(Admission::Again),
        Some(_) | None => Ok(Admission::New),
    }
}
