//! How many relays there are, were made and were refused: written by the control actor, read
//! when somebody scrapes.

use std::sync::atomic::{AtomicU64, Ordering};

use crs_proto::session::RelayFailure;
use crs_proto::wire::relay::RelayKind;
use crs_relay::RelayType;

/// The types a client can ask for today, with their names in `show relay`.
pub(super) const KINDS: [(RelayKind, RelayType); 2] =
    [(RelayKind::Rtp, RelayType::Rtp), (RelayKind::Opaque, RelayType::Opaque)];

/// Figures of one type of relay.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Live now.
    pub(super) live: AtomicU64,
    /// Made since the start.
    pub(super) made: AtomicU64,
    /// Refused by a limit.
    pub(super) limit: AtomicU64,
    /// Refused because the data plane did not answer.
    pub(super) unavailable: AtomicU64,
}

/// Figures of all [`KINDS`], in their order.
#[derive(Debug, Default)]
pub(super) struct AllFigures([Figures; KINDS.len()]);

impl AllFigures {
    /// The figures of one kind.
    pub(super) fn of(&self, kind: RelayKind) -> &Figures {
        match kind {
            RelayKind::Rtp => &self.0[0],
            RelayKind::Opaque => &self.0[1],
        }
    }

    /// Counts how a request for a relay ended.
    pub(super) fn asked<T>(&self, kind: RelayKind, answer: &Result<T, RelayFailure>) {
        let figures = self.of(kind);
        let counter = match answer {
            Ok(_) => &figures.made,
            Err(RelayFailure::Limit) => &figures.limit,
            Err(RelayFailure::Unavailable) => &figures.unavailable,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
