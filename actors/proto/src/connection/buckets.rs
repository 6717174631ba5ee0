//! The token buckets of one user: all connections of the user share them, and they outlive
//! the last one, so that neither a reconnect nor a second connection is a way around a rate.

use crs_types::Mono;

use super::config::Rates;
use crate::codec::Op;
use crate::rate::Bucket;
use crate::wire::{ErrorBody, ErrorCode};

/// One bucket for each class of request; all start full.
///
/// Keyed by account and URI, not by device: a device id is whatever the client says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserBuckets {
    attach: Bucket,
    invite: Bucket,
    message: Bucket,
    lookup: Bucket,
    other: Bucket,
}

impl UserBuckets {
    /// Takes the token that `op` costs; `rate-limited` with the time to wait when there is none.
    pub fn take(&mut self, rates: &Rates, op: &Op, now: Mono) -> Result<(), ErrorBody> {
        let (bucket, rate) = match op {
            Op::Attach(_) => (&mut self.attach, rates.attach),
            Op::Invite(_) => (&mut self.invite, rates.invite),
            Op::Post(_) => (&mut self.message, rates.message),
            Op::Lookup(_) => (&mut self.lookup, rates.lookup),
            Op::Detach(_)
            | Op::Bye(_)
            | Op::Time(_)
            | Op::Ringing(_)
            | Op::Answer(_)
            | Op::Hangup(_)
            | Op::Fetch(_)
            | Op::Ack(_)
            | Op::Alloc(_)
            | Op::Refresh(_)
            | Op::Free(_)
            | Op::UpdateGet(_)
            | Op::UpdateConfirm(_) => (&mut self.other, rates.other),
        };
        bucket.take(rate, now).map_err(|wait| {
            let text =
                format!("`{}` is limited to {} a minute", op.name().as_str(), rate.per_minute);
            let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
            ErrorBody::retry(ErrorCode::RateLimited, text, retry_ms)
        })
    }

    /// When all of them are full again: from then on a new set is as good as this one.
    pub fn full_at(&self) -> Mono {
        let Self { attach, invite, message, lookup, other } = self;
        let all = [attach, invite, message, lookup, other];
        all.into_iter().map(Bucket::full_at).max().unwrap_or_default()
    }
}
