//! What the node tells of a message once it is durable. Called by the store, so that it is told
//! also when the client has gone before the answer was ready.

use crs_proto::wire::word;
use crs_storage::UserKey;
use crs_storage::command::mailbox::{Ack, AckedContent, ClaimReply, Post, PostReply, UpdateNote};
use crs_storage::command::{MailboxCommand, MailboxReply};
use crs_types::{MessageId, Timestamp, Uri};

use super::mail::outcome;
use crate::context::NodeContext;
use crate::trace::{MessageEvent, MessageState, MessageTrack, TraceEvent};

/// A command of a mailbox group has been confirmed.
pub(super) fn confirmed(context: &NodeContext, command: &MailboxCommand, reply: &MailboxReply) {
    match (command, reply) {
        (MailboxCommand::Post(post), MailboxReply::Post(reply)) => posted(context, post, reply),
        (MailboxCommand::Ack(ack), MailboxReply::Acked { contents, .. }) => {
            acked(context, ack, contents);
        }
        (MailboxCommand::Claim(_), MailboxReply::Claim(ClaimReply::Refused(reply))) => {
            refused(context, reply);
        }
        (MailboxCommand::NoteUpdate(update), MailboxReply::Done { changed: true }) => {
            let traffic = &context.metrics.traffic;
            match update.note {
                UpdateNote::Offered => traffic.offered.increment(1),
                UpdateNote::Confirmed => traffic.confirmed.increment(1),
            }
        }
        // What was proposed by the store itself, or notes that are no step of anything.
        _ => {}
    }
}

fn posted(context: &NodeContext, post: &Post, reply: &PostReply) {
    match reply {
        PostReply::Stored { .. } => context.metrics.traffic.posted.increment(1),
        PostReply::Duplicate { .. } => return context.metrics.traffic.repeated.increment(1),
        PostReply::IdConflict
        | PostReply::IdTooOld
        | PostReply::IdInFuture
        | PostReply::BodyTooLong
        | PostReply::QuotaExceeded
        | PostReply::TooManyIds => return refused(context, reply),
    }
    let step = Step { from: &post.from.uri, to: &post.to, mid: post.mid };
    trace(context, post.time, MessageState::PostedContent, step);
}

fn refused(context: &NodeContext, reply: &PostReply) {
    if let Err(error) = outcome(reply) {
        context.metrics.traffic.refused.count(&word(&error.code));
    }
}

fn acked(context: &NodeContext, ack: &Ack, contents: &[AckedContent]) {
    context.metrics.traffic.acked.increment(contents.len() as u64);
    for AckedContent { mid, from } in contents {
        trace(context, ack.time, MessageState::PostedAck, Step { from, to: &ack.user, mid: *mid });
    }
}

/// Whose message took a step.
pub(super) struct Step<'a> {
    /// The sender.
    pub(super) from: &'a Uri,
    /// The receiver.
    pub(super) to: &'a UserKey,
    /// The message.
    pub(super) mid: MessageId,
}

/// Shows a step of a message in the trace (C-345…C-357).
pub(super) fn trace(context: &NodeContext, time: Timestamp, state: MessageState, step: Step<'_>) {
    if context.trace.enabled() {
        context.trace.emit(TraceEvent::Message(MessageEvent {
            time,
            from: step.from.clone(),
            to: step.to.uri.clone(),
            state,
            account: MessageTrack::Account(step.to.account.clone()),
            id: step.mid,
        }));
    }
}
