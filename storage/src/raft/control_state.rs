//! State machine of group 0: a value in memory, rebuilt at the start from snapshot and log.

use std::sync::Arc;

use arc_swap::ArcSwap;
use crs_types::envelope::{self, DecodeError, Version};
use tokio::sync::watch;

use super::types::{Command, Reply};
use crate::command::control::{ControlState, StateV1};
use crate::table::{Rows, TableError};

/// Version 1 had no newest serial of an account.
const VERSION: Version = Version(2);
const KEY: &[u8] = b"control";
const STATE_MAX: usize = 64 * 1024 * 1024;

/// The control state and who watches it.
pub(crate) struct ControlMachine {
    pub(crate) state: ArcSwap<ControlState>,
    pub(crate) changes: watch::Sender<u64>,
}

impl ControlMachine {
    pub(crate) fn new() -> Self {
        let changes = watch::Sender::new(0);
        Self { state: ArcSwap::default(), changes }
    }

    /// Applies the commands of several entries, then publishes the result once.
    pub(crate) fn apply(&self, batches: &[(u64, &[Command])]) -> Vec<Vec<Reply>> {
        let mut state = ControlState::clone(&self.state.load());
        let apply = |command: &Command| match command {
            Command::Control(command) => Reply::Control(state.apply(command)),
            Command::Mailbox(_) => Reply::WrongGroup,
        };
        let mut apply = apply;
        let replies =
            batches.iter().map(|(_, batch)| batch.iter().map(&mut apply).collect()).collect();
        self.publish(state);
        replies
    }

    pub(crate) fn to_rows(&self) -> Result<Rows, TableError> {
        let bytes = envelope::encode(VERSION, &**self.state.load())
            .map_err(|e| TableError::Corrupt { what: e.to_string() })?;
        Ok(vec![(KEY.to_vec(), bytes)])
    }

    pub(crate) fn load(&self, rows: &Rows) -> Result<(), TableError> {
        for (key, value) in rows {
            if key == KEY {
                let state = decode(value);
                let corrupt = |e| TableError::Corrupt { what: format!("control state: {e}") };
                self.publish(state.map_err(corrupt)?);
            }
        }
        Ok(())
    }

    fn publish(&self, state: ControlState) {
        let version = state.version;
        self.state.store(Arc::new(state));
        self.changes.send_if_modified(|seen| std::mem::replace(seen, version) != version);
    }
}

/// The state as this version of the program wrote it, or the one before.
fn decode(value: &[u8]) -> Result<ControlState, DecodeError> {
    match value.first() {
        Some(1) => envelope::decode::<StateV1>(Version(1), value, STATE_MAX).map(Into::into),
        Some(_) | None => envelope::decode(VERSION, value, STATE_MAX),
    }
}
