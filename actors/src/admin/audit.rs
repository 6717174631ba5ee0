//! The audit log: one line for every command that changes something or reveals a secret.

use crs_admin_api::AdminError;
use crs_ops::log::AUDIT;

/// Who is at the other end of an admin connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    /// User id of the process, from the kernel.
    pub(super) uid: u32,
    /// Its process id, when the kernel tells.
    pub(super) pid: Option<i32>,
}

/// Writes the line. `what` names the command and its subject, never a secret.
pub(super) fn line(peer: Peer, what: &str, outcome: Result<(), &AdminError>) {
    let Peer { uid, pid } = peer;
    let pid = pid.unwrap_or(0);
    match outcome {
        Ok(()) => {
            tracing::info!(target: AUDIT, module = "audit", "uid {uid} pid {pid}: {what}: done");
        }
        Err(error) => {
            let code = &error.code;
            tracing::info!(
                target: AUDIT, module = "audit", "uid {uid} pid {pid}: {what}: refused ({code})"
            );
        }
    }
}
