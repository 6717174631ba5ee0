//! The stored form of a session, so that it can be resumed by another process or node.
//!
//! Deadlines are stored as wall-clock times, connections not at all (their ids end with the
//! process) and the relay not either (its legs end with it): every party of a restored session is
//! lost until it comes back, and asks for a new leg. Media has as long to begin as after an answer.

use crs_types::envelope::{self, DecodeError, Version};
use crs_types::{DeviceId, Mono, SessionId, Timestamp};
use serde::{Deserialize, Serialize};

use super::DetailWord;
use super::core::{Branch, BranchState, Phase, Presence, Session};
use super::media::{self, Relay};
use super::types::{BRANCHES_MAX, End, Parties, SessionConfig};
use crate::connection::Now;
use crate::wire::Bytes64;
use crate::wire::call::HangupReason;
use crate::wire::relay::RelayKind;

/// Version of the record.
pub const RECORD_VERSION: Version = Version(1);
/// Largest record: offer, answer and parties.
pub const RECORD_MAX: usize = 64 * 1024;

/// Why a record is not a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Not a record of this version.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The record contradicts itself.
    #[error("session record: {0}")]
    Inconsistent(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Record {
    id: SessionId,
    parties: Parties,
    media: RelayKind,
    since: Timestamp,
    offer: Vec<u8>,
    branches: Vec<(DeviceId, StoredBranch)>,
    phase: StoredPhase,
}

#[derive(Serialize, Deserialize)]
enum StoredBranch {
    Offered,
    Ringing,
    Answered,
    Left(HangupReason, Option<DetailWord>),
}

#[derive(Serialize, Deserialize)]
enum StoredPhase {
    Calling { ringing: bool, deadline: Timestamp },
    Talk { branch: u64, answer: Vec<u8>, since: Timestamp },
    Ended { end: End, until: Timestamp, answered: Option<(DeviceId, Timestamp)> },
}

impl Session {
    /// The record of this session as of `now`.
    pub fn save(&self, now: Now) -> Vec<u8> {
        let wall = |deadline: Mono| now.wall.plus(deadline.since(now.mono));
        let phase = match &self.phase {
            Phase::Calling { ringing, deadline } => {
                StoredPhase::Calling { ringing: *ringing, deadline: wall(*deadline) }
            }
            Phase::Talk { branch, answer, since, media_check: _ } => StoredPhase::Talk {
                branch: *branch as u64,
                answer: answer.0.clone(),
                since: *since,
            },
            Phase::Ended { end, until, answered } => {
                StoredPhase::Ended { end: *end, until: wall(*until), answered: answered.clone() }
            }
        };
        let branches = self.branches.iter().map(|b| (b.device.clone(), store(b.state))).collect();
        let record = Record {
            id: self.id,
            parties: self.parties.clone(),
            media: self.media,
            since: self.since,
            offer: self.offer.0.clone(),
            branches,
            phase,
        };
        // Every field has a known length, so encoding cannot fail; an empty record is refused
        // by name when it is read.
        envelope::encode(RECORD_VERSION, &record).unwrap_or_default()
    }

    /// A session from its record. All parties count as lost since `now`.
    pub fn restore(config: &SessionConfig, bytes: &[u8], now: Now) -> Result<Self, RestoreError> {
        let record: Record = envelope::decode(RECORD_VERSION, bytes, RECORD_MAX)?;
        if record.branches.len() > BRANCHES_MAX {
            return Err(RestoreError::Inconsistent("too many devices"));
        }
        let lost = Presence::LostSince(now.mono);
        let mono = |at: Timestamp| now.mono.plus(at.since(now.wall));
        let branches: Vec<Branch> = record
            .branches
            .into_iter()
            .map(|(device, state)| Branch { device, presence: lost, state: load(state) })
            .collect();
        let phase = match record.phase {
            StoredPhase::Calling { ringing, deadline } => {
                Phase::Calling { ringing, deadline: mono(deadline) }
            }
            StoredPhase::Talk { branch, answer, since } => {
                let branch = usize::try_from(branch).unwrap_or(usize::MAX);
                if branches.get(branch).is_none_or(|b| b.state != BranchState::Answered) {
                    return Err(RestoreError::Inconsistent("no device has answered"));
                }
                let media_check = Some(media::first_check(config, now));
                Phase::Talk { branch, answer: Bytes64(answer), since, media_check }
            }
            StoredPhase::Ended { end, until, answered } => {
                Phase::Ended { end, until: mono(until), answered }
            }
        };
        Ok(Self {
            id: record.id,
            parties: record.parties,
            media: record.media,
            since: record.since,
            offer: Bytes64(record.offer),
            caller: lost,
            branches,
            phase,
            relay: Relay::None,
        })
    }
}

fn store(state: BranchState) -> StoredBranch {
    match state {
        BranchState::Offered => StoredBranch::Offered,
        BranchState::Ringing => StoredBranch::Ringing,
        BranchState::Answered => StoredBranch::Answered,
        BranchState::Left(reason, detail) => StoredBranch::Left(reason, detail),
    }
}

fn load(state: StoredBranch) -> BranchState {
    match state {
        StoredBranch::Offered => BranchState::Offered,
        StoredBranch::Ringing => BranchState::Ringing,
        StoredBranch::Answered => BranchState::Answered,
        StoredBranch::Left(reason, detail) => BranchState::Left(reason, detail),
    }
}
