//! Deliberate bugs of the log, compiled only under the feature `planted-bugs`.

use crs_storage::wal::PlantedFault;

/// The bug that `CRS_PLANTED_BUG` names: `skip-sync` or `ack-before-sync`.
#[cfg(feature = "planted-bugs")]
pub(super) fn fault() -> Option<PlantedFault> {
    match std::env::var("CRS_PLANTED_BUG").ok()?.as_str() {
        "skip-sync" => Some(PlantedFault::SkipSync),
        "ack-before-sync" => Some(PlantedFault::AckBeforeSync),
        _ => None,
    }
}

/// None in any program that is installed.
#[cfg(not(feature = "planted-bugs"))]
pub(super) fn fault() -> Option<PlantedFault> {
    None
}
