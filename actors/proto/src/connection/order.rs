//! Order of posts to one receiver (design.md §5): one at a time, and after a failure nothing
//! later until the failed one is repeated.

use crs_types::{MessageId, Uri};

use crate::codec::Request;
use crate::wire::ErrorCode;

/// Receivers to which a post of one connection may have failed, before it is cut.
pub const BROKEN_RECEIVERS_MAX: usize = 16;

/// Posts under way, posts that wait behind them, and receivers whose order is broken. Empty for
/// an idle connection and then without any allocation.
#[derive(Debug, Default)]
pub(super) struct PostOrder {
    under_way: Vec<(Uri, MessageId)>,
    waiting: Vec<(Uri, Request)>,
    broken: Vec<(Uri, MessageId)>,
}

/// What to do with a post now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Run,
    /// Held back; a later [`PostOrder::next`] gives it out.
    Wait,
    Broken(MessageId),
}

impl PostOrder {
    /// Whose turn it is when a post comes. On `Wait` the caller hands it to [`PostOrder::hold`],
    /// on `Run` to [`PostOrder::start`]. The failed one, posted again, mends the order: what
    /// comes after it waits for it, and is broken again when it fails.
    pub(super) fn turn(&mut self, to: &Uri, mid: MessageId) -> Turn {
        if let Some(at) = self.broken.iter().position(|(receiver, _)| receiver == to) {
            let failed = self.broken[at].1;
            if failed != mid {
                return Turn::Broken(failed);
            }
            self.broken.remove(at);
        }
        if self.under_way.iter().any(|(receiver, _)| receiver == to) {
            Turn::Wait
        } else {
            Turn::Run
        }
    }

    pub(super) fn hold(&mut self, to: Uri, request: Request) {
        self.waiting.push((to, request));
    }

    pub(super) fn start(&mut self, to: Uri, mid: MessageId) {
        self.under_way.push((to, mid));
    }

    /// A post failed before it was started (a rate limit). Those that wait came before it and are
    /// not touched.
    pub(super) fn failed(&mut self, to: &Uri, mid: MessageId) -> Result<(), TooMany> {
        if self.broken.iter().any(|(receiver, _)| receiver == to) {
            return Ok(());
        }
        if self.broken.len() >= BROKEN_RECEIVERS_MAX {
            return Err(TooMany);
        }
        self.broken.push((to.clone(), mid));
        Ok(())
    }

    /// A started post ended. When it may be repeated, what waits for it must be refused
    /// ([`PostOrder::next`] gives it out).
    pub(super) fn ended(
        &mut self,
        to: &Uri,
        mid: MessageId,
        retryable: bool,
    ) -> Result<(), TooMany> {
        self.under_way.retain(|entry| entry.0 != *to || entry.1 != mid);
        if retryable {
            // It was started before whatever else failed meanwhile, so it has to come first.
            self.broken.retain(|entry| entry.0 != *to);
            return self.failed(to, mid);
        }
        self.broken.retain(|entry| entry.0 != *to || entry.1 != mid);
        if self.broken.is_empty() {
            self.broken = Vec::new();
        }
        Ok(())
    }

    /// The oldest post that waits for `to`, when nothing to it is under way.
    pub(super) fn next(&mut self, to: &Uri) -> Option<Request> {
        if self.under_way.iter().any(|(receiver, _)| receiver == to) {
            return None;
        }
        let at = self.waiting.iter().position(|(receiver, _)| receiver == to)?;
        Some(self.waiting.remove(at).1)
    }

    pub(super) fn shrink(&mut self) {
        if self.under_way.is_empty() && self.waiting.is_empty() {
            self.under_way = Vec::new();
            self.waiting = Vec::new();
        }
    }
}

/// More broken receivers than [`BROKEN_RECEIVERS_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// True for errors after which the same post may succeed later: then order demands that nothing
/// overtakes it. After the others it never will, and the client drops it.
pub const fn breaks_order(code: ErrorCode) -> bool {
    match code {
        ErrorCode::RateLimited
        | ErrorCode::InFlight
        | ErrorCode::Quota
        | ErrorCode::OrderBroken
        | ErrorCode::Unavailable
        | ErrorCode::DiskFull
        | ErrorCode::Capacity
        | ErrorCode::Internal => true,
        ErrorCode::Malformed
        | ErrorCode::UnknownOp
        | ErrorCode::BadArgument
        | ErrorCode::TooLarge
        | ErrorCode::NotAttached
        | ErrorCode::Denied
        | ErrorCode::NotFound
        | ErrorCode::Gone
        | ErrorCode::NotAllowed
        | ErrorCode::IdConflict
        | ErrorCode::IdTooOld
        | ErrorCode::RelayLimit => false,
    }
}
