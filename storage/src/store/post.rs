//! Posting: the id is claimed in the sender's group, then the message is stored in the receiver's.

use crs_types::GroupId;

use super::group::CONFIRM_TIMEOUT;
use super::{Confirmed, Store, WriteError};
use crate::command::mailbox::{Claim, ClaimReply, Post, PostReply};
use crate::command::{MailboxCommand, MailboxReply};

impl Store {
    /// Posts a message. Confirmed when it is durable in the receiver's group; an error or a crash
    /// in the middle leaves at most the claim of its id, which the same message gets past and no
    /// other.
    pub async fn post(&self, post: Post) -> Result<Confirmed<PostReply>, WriteError> {
        let steps = tokio::time::timeout(CONFIRM_TIMEOUT, self.claim_and_post(post));
        let confirmed = steps.await.unwrap_or(Err(WriteError::Unknown))?;
        let metrics = &self.inner.config.metrics;
        metrics.posts.increment(1);
        if confirmed.reply == PostReply::IdConflict {
            metrics.id_conflicts.increment(1);
        }
        Ok(confirmed)
    }

    async fn claim_and_post(&self, post: Post) -> Result<Confirmed<PostReply>, WriteError> {
        let (group, home) = (self.group_of(&post.to.uri), self.group_of(&post.from.uri));
        // Within one group the post's own entry claims the id. What is refused claims nothing.
        if home != group && post.refusal().is_none() {
            let claim = MailboxCommand::Claim(Claim::of(&post));
            let post = MailboxCommand::Post(post);
            // Looked at before the claim, so that a full disk does not fill up with claims.
            self.inner.admit((claim.weight() + post.weight()) as u64)?;
            if let Some(refused) = self.claim(home, claim).await? {
                return Ok(refused);
            }
            return self.store_message(group, post).await;
        }
        self.store_message(group, MailboxCommand::Post(post)).await
    }

    /// Why the message must not be stored; `None` when the id is for it.
    async fn claim(
        &self,
        home: GroupId,
        claim: MailboxCommand,
    ) -> Result<Option<Confirmed<PostReply>>, WriteError> {
        let Confirmed { reply, copies } = self.propose_mailbox(home, claim).await?;
        match reply {
            MailboxReply::Claim(ClaimReply::Claimed | ClaimReply::Same) => Ok(None),
            MailboxReply::Claim(ClaimReply::Refused(reply)) => {
                Ok(Some(Confirmed { reply, copies }))
            }
            MailboxReply::Post(_)
            | MailboxReply::Acked { .. }
            | MailboxReply::Receipts { .. }
            | MailboxReply::Removed { .. }
            | MailboxReply::Done { .. }
            | MailboxReply::OverLimit { .. } => Err(WriteError::NoGroup(home)),
        }
    }

    async fn store_message(
        &self,
        group: GroupId,
        post: MailboxCommand,
    ) -> Result<Confirmed<PostReply>, WriteError> {
        let Confirmed { reply, copies } = self.propose_mailbox(group, post).await?;
        match reply {
            MailboxReply::Post(reply) => Ok(Confirmed { reply, copies }),
            MailboxReply::Claim(_)
            | MailboxReply::Acked { .. }
            | MailboxReply::Receipts { .. }
            | MailboxReply::Removed { .. }
            | MailboxReply::Done { .. }
            | MailboxReply::OverLimit { .. } => Err(WriteError::NoGroup(group)),
        }
    }
}
