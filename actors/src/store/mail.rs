//! Mailboxes: posts, pages and acknowledgements of attached clients.

use std::time::Duration;

use crs_proto::delivery::Page;
use crs_proto::wire::message::{Ack, Acked, Content, Fetched, Item, Post, Posted, Receipt};
use crs_proto::wire::{Bytes64, ErrorBody, ErrorCode};
use crs_storage::Body;
use crs_storage::command::mailbox as command;
use crs_storage::store::MailItem;
use crs_types::limits::MESSAGE_RETENTION;
use crs_types::{AccountId, MessageId, Timestamp, Uri};
use futures_util::FutureExt;

use super::errors::{of_read, of_write};
use super::{StoreServices, user};
use crate::context::NodeContext;
use crate::services::{Answering, Mail, Party, Waiting};
use crate::trace::{MessageEvent, MessageState, MessageTrack, TraceEvent};

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
        let (mid, to) = (post.mid, post.to);
        let command = command::Post {
            to: user(to_account.clone(), to.clone()),
            from: user(from.account, from.uri.clone()),
            mid,
            time: now,
            expires: now.plus(keep.min(MESSAGE_RETENTION)),
            body: Body::new(post.body.0),
            quota: command::Quota::default(),
        };
        let confirmed = self.store.post(command).await.map_err(|e| of_write(&e))?;
        let duplicate = outcome(&confirmed.reply)?;
        if !duplicate {
            let state = MessageState::PostedContent;
            trace(&context, now, Step { from: from.uri, to, account: to_account, mid, state });
        }
        Ok(Posted { mid, copies: confirmed.copies, duplicate })
    }

    async fn page(self, from: Party, page: Page) -> Result<Fetched, ErrorBody> {
        let context = self.context()?;
        let key = user(from.account.clone(), from.uri.clone());
        let fetched = self.store.fetch(&key, page.after, page.max_bytes).await;
        let mut fetched = fetched.map_err(|e| of_read(&e))?;
        self.store.note_read(&key);
        let more = fetched.more || fetched.items.len() > page.max_items;
        fetched.items.truncate(page.max_items);
        let now = context.clock.now();
        for item in &fetched.items {
            if let MailItem::Content { mid, from: sender, .. } = item {
                trace(
                    &context,
                    now,
                    Step {
                        from: sender.clone(),
                        to: from.uri.clone(),
                        account: from.account.clone(),
                        mid: *mid,
                        state: MessageState::Delivered,
                    },
                );
            }
        }
        Ok(Fetched { items: fetched.items.into_iter().map(item).collect(), more })
    }

    async fn acknowledge(self, from: Party, ack: Ack) -> Result<Acked, ErrorBody> {
        let context = self.context()?;
        let now = context.clock.now();
        let key = user(from.account.clone(), from.uri.clone());
        // The items are looked at only for those who trace: the store removes them by number.
        let known =
            if context.trace.enabled() { self.contents(&key, &ack.n).await } else { vec![] };
        let command = command::Ack { user: key, n: ack.n, time: now };
        let confirmed = self.store.ack(command).await.map_err(|e| of_write(&e))?;
        for (mid, sender) in known {
            trace(
                &context,
                now,
                Step {
                    from: sender,
                    to: from.uri.clone(),
                    account: from.account.clone(),
                    mid,
                    state: MessageState::PostedAck,
                },
            );
        }
        Ok(Acked { removed: confirmed.reply })
    }

    /// Ids and senders of those of the messages `n` (sorted) that lie in the first page of them.
    async fn contents(&self, key: &crs_storage::UserKey, n: &[u64]) -> Vec<(MessageId, Uri)> {
        let after = n.first().map_or(0, |first| first.saturating_sub(1));
        let page = self.store.fetch(key, after, u64::from(u16::MAX)).await.unwrap_or_default();
        let wanted = page.items.into_iter().filter_map(|item| match item {
            MailItem::Content { n: number, mid, from, .. } => {
                n.binary_search(&number).is_ok().then_some((mid, from))
            }
            MailItem::Receipt { .. } => None,
        });
        wanted.collect()
    }

    pub(super) fn context(&self) -> Result<std::sync::Arc<NodeContext>, ErrorBody> {
        let stopping = || ErrorBody::retry(ErrorCode::Unavailable, "the node is stopping", 1000);
        self.context.upgrade().ok_or_else(stopping)
    }
}

/// Whether a post was there before, or why it was refused.
fn outcome(reply: &command::PostReply) -> Result<bool, ErrorBody> {
    use command::PostReply as R;
    let (code, text) = match reply {
        R::Stored { .. } => return Ok(false),
        R::Duplicate { .. } => return Ok(true),
        R::IdConflict => (ErrorCode::IdConflict, "this id was posted before with other content"),
        R::IdTooOld => (ErrorCode::IdTooOld, "this id is older than 35 days"),
        R::IdInFuture => (ErrorCode::IdTooOld, "this id is more than a day in the future"),
        R::BodyTooLong => (ErrorCode::TooLarge, "a body has at most 64 KiB"),
        R::QuotaExceeded => (ErrorCode::Quota, "the receiver's mailbox is full"),
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

struct Step {
    from: Uri,
    to: Uri,
    account: AccountId,
    mid: MessageId,
    state: MessageState,
}

fn trace(context: &NodeContext, time: Timestamp, step: Step) {
    if context.trace.enabled() {
        context.trace.emit(TraceEvent::Message(MessageEvent {
            time,
            from: step.from,
            to: step.to,
            state: step.state,
            account: MessageTrack::Account(step.account),
            id: step.mid,
        }));
    }
}
