//! The real programs against kill -9 and a full disk. The long versions are `crs-load messages
//! --kill9`, scripts/crash-disk (power cuts) and scripts/disk-full.

mod bed;
mod disk_full;
mod kill;
