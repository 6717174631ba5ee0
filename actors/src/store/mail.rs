//! Mailboxes: posts, pages and acknowledgements of attached clients.

use std::time::Duration;

use crs_proto::delivery::Page;
use crs_proto::wire::message::{Ack, Acked, Content, Fetched, Item, Post, Posted, Receipt};
use crs_proto::wire::{Bytes64, ErrorBody, ErrorCode, word};
use crs_storage::Body;
use crs_storage::command::mailbox as command;
use crs_storage::store::MailItem;
use crs_types::limits::{MAILBOX_BYTES_MAX, MESSAGE_RETENTION};
use crs_types::{AccountId, Uri};
use futures_util::FutureExt;

use super::confirmed::{Step, trace};
use super::errors::{of_read, of_write};
use super::{StoreServices, user};
use crate::context::NodeContext;
use crate::services::{Answering, Mail, Party, Waiting};
use crate::settings::LimitSettings;
use crate::trace::MessageState;

/// When a sender with too many remembered ids tries again, in milliseconds: some are forgotten
/// every half minute.
const IDS_RETRY_MS: u64 = 60_000;

impl Mail for StoreServices {
    fn post(&self, from: Party, to_account: AccountId, post: Post) -> Answering<Posted> {
        self.clone().confirm(from, to_account, post).boxed()
    }

    fn fetch(&self, from: Party, page: Page) -> Answering<Fetched> {
        self.clone().page(from, page).boxed()
    }

    fn ack(&self, from: Party, ack: Ack) -> Answering<Acked> {
        self.clone().acknowledge(from, ack).boxed()
    }

    fn waiting(&self, account: AccountId, uri: Uri) -> Answering<Waiting> {
        let store = self.store.clone();
        async move {
            let waiting = store.waiting(&user(account, uri)).await.map_err(|e| of_read(&e))?;
            let items = waiting.messages.saturating_add(waiting.receipts);
            Ok(Waiting { items, newest: waiting.newest })
        }
        .boxed()
    }
}

impl StoreServices {
    async fn confirm(
        self,
        from: Party,
        to_account: AccountId,
        post: Post,
    ) -> Result<Posted, ErrorBody> {
        let context = self.context()?;
        let now = context.clock.now();
        let keep = post.expires_ms.map_or(MESSAGE_RETENTION, Duration::from_millis);
        let mid = post.mid;
        let command = command::Post {
            to: user(to_account, post.to),
            from: user(from.account, from.uri),
            mid,
            time: now,
            expires: now.plus(keep.min(MESSAGE_RETENTION)),
            body: Body::new(post.body.0),
            quota: quota(&context.settings().limits, self.store.mailbox_groups()),
        };
        let confirmed = self.store.post(command).await.map_err(|e| {
            let error = of_write(&e);
            context.metrics.traffic.refused.count(&word(&error.code));
            error
        })?;
        let duplicate = outcome(&confirmed.reply)?;
        Ok(Posted { mid, copies: confirmed.copies, duplicate })
    }

    async fn page(self, from: Party, page: Page) -> Result<Fetched, ErrorBody> {
        let context = self.context()?;
        let key = user(from.account, from.uri);
        let fetched = self.store.fetch(&key, page.after, page.max_items, page.max_bytes).await;
        let fetched = fetched.map_err(|e| of_read(&e))?;
        self.store.note_read(&key);
        let now = context.clock.now();
        for item in &fetched.items {
            if let MailItem::Content { mid, from, .. } = item {
                context.metrics.traffic.delivered.increment(1);
                let step = Step { from, to: &key, mid: *mid };
                trace(&context, now, MessageState::Delivered, step);
            }
        }
        Ok(Fetched { items: fetched.items.into_iter().map(item).collect(), more: fetched.more })
    }

    async fn acknowledge(self, from: Party, ack: Ack) -> Result<Acked, ErrorBody> {
        let time = self.context()?.clock.now();
        let command = command::Ack { user: user(from.account, from.uri), n: ack.n, time };
        let confirmed = self.store.ack(command).await.map_err(|e| of_write(&e))?;
        Ok(Acked { removed: confirmed.reply })
    }

    pub(super) fn context(&self) -> Result<std::sync::Arc<NodeContext>, ErrorBody> {
        let stopping = || ErrorBody::retry(ErrorCode::Unavailable, "the node is stopping", 1000);
        self.context.upgrade().ok_or_else(stopping)
    }
}

/// The receiver's limits. What an account may have is spread over the groups as its users are;
/// each group allows at least one full mailbox.
fn quota(limits: &LimitSettings, groups: u16) -> command::Quota {
    let share = limits.account_bytes / u64::from(groups.max(1));
    let account_bytes = Some(share.max(MAILBOX_BYTES_MAX));
    command::Quota { account_bytes, ..command::Quota::default() }
}

/// Whether a post was there before, or why it was refused.
pub(super) fn outcome(reply: &command::PostReply) -> Result<bool, ErrorBody> {
    use command::PostReply as R;
    let (code, text) = match reply {
        R::Stored { .. } => return Ok(false),
        R::Duplicate { .. } => return Ok(true),
        R::IdConflict => (ErrorCode::IdConflict, "this id was posted before with other content"),
        R::IdTooOld => (ErrorCode::IdTooOld, "this id is older than 35 days"),
        R::IdInFuture => (ErrorCode::IdTooOld, "this id is more than a day in the future"),
        R::BodyTooLong => (ErrorCode::TooLarge, "a body has at most 64 KiB"),
        R::QuotaExceeded => {
            (ErrorCode::Quota, "the mailbox of the receiver or the account is full")
        }
        R::TooManyIds => {
            let text = "too many messages in the last 35 days";
            return Err(ErrorBody::retry(ErrorCode::Quota, text, IDS_RETRY_MS));
        }
    };
    Err(ErrorBody::new(code, text))
}

fn item(item: MailItem) -> Item {
    match item {
        MailItem::Content { n, mid, from, account, time, body } => {
            let body = Bytes64(body.as_bytes().to_vec());
            Item::Content(Content { n, mid, from, account, time, body })
        }
        MailItem::Receipt { n, mid, by, account, time } => {
            Item::Receipt(Receipt { n, mid, by, account, time })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// design.md §5: a post that cannot be confirmed now has an error that says when it may be.
    #[test]
    fn a_full_mailbox_says_when_to_try_again() {
        let error = outcome(&command::PostReply::QuotaExceeded).unwrap_err();
        assert_eq!((error.code, error.retry_ms), (ErrorCode::Quota, Some(60_000)));
        let error = outcome(&command::PostReply::IdConflict).unwrap_err();
        assert_eq!((error.code, error.retry_ms), (ErrorCode::IdConflict, None));
    }

    #[test]
    fn an_account_has_a_share_of_every_group_and_room_for_a_mailbox() {
        let limits = LimitSettings::default();
        assert_eq!(quota(&limits, 4).account_bytes, Some(1 << 30), "4 GiB in 4 groups");
        let small = LimitSettings { account_bytes: 1 << 20, ..limits };
        assert_eq!(quota(&small, 4).account_bytes, Some(MAILBOX_BYTES_MAX));
    }

    #[test]
    fn a_sender_with_too_many_ids_is_told_when_to_try_again() {
        let refused = outcome(&command::PostReply::TooManyIds).unwrap_err();
        assert_eq!((refused.code, refused.retry_ms), (ErrorCode::Quota, Some(IDS_RETRY_MS)));
    }
}
