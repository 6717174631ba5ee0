//! Messages: runs the effects of the inbox and of the outbox.

use std::time::Duration;

use crs_proto::codec::{Fields, Op};
use crs_proto::wire::lookup::{Found, Lookup};
use crs_proto::wire::message::{Ack, Acked, Fetch, Fetched, Item, Post, Posted};
use crs_proto::wire::{Bytes64, ErrorBody, ErrorCode};
use crs_types::{MessageId, Uri};

use super::Driver;
use super::requests::Pending;
use crate::client::command::{Confirmed, Reply};
use crate::core::{inbox, outbox};
use crate::crypto::{self, OpenFailure};
use crate::error::{ClientError, code_word};
use crate::event::{Event, ReceivedMessage};
use crate::journal::JournalError;

/// Pause before a message that cannot be sealed yet is tried again.
const SEAL_RETRY: Duration = Duration::from_secs(5);

/// What an inbox batch was for.
pub(super) enum InboxWrite {
    /// The core's `Store`.
    Items,
    /// The application is done with this entry.
    Done(u64, Option<Reply<()>>),
}

impl Driver {
    pub(super) fn send(
        &mut self,
        to: Uri,
        body: Vec<u8>,
        reply: Reply<MessageId>,
        confirmed: Reply<Confirmed>,
    ) {
        if body.len() > outbox::PLAIN_MAX {
            let (what, limit) = ("bytes in one message", outbox::PLAIN_MAX);
            let _ = reply.send(Err(ClientError::Busy { what, limit }));
            return;
        }
        let mut random = [0; 10];
        crs_types::Rng::fill(&mut self.rng, &mut random);
        let mid = MessageId::from_parts(self.options.clock.now(), random);
        self.accepting.insert(mid, (reply, confirmed));
        self.outbox_input(outbox::Input::Accept(mid, to, body));
    }

    pub(super) fn done(&mut self, seq: u64, reply: Reply<()>) {
        let effects = self.inbox.handle(inbox::Input::Done(seq), self.options.clock.mono());
        let known = effects.iter().any(|e| matches!(e, inbox::Effect::StoreDone(_)));
        let mut reply = Some(reply);
        for effect in effects {
            if let inbox::Effect::StoreDone(seq) = effect {
                let record = vec![inbox::Record::Done(seq)];
                self.inbox_writer.push(InboxWrite::Done(seq, reply.take()), record);
            } else {
                self.inbox_effect(effect);
            }
        }
        // The core has forgotten the entry, the disk has not.
        if !known && self.undone.remove(&seq) {
            let record = vec![inbox::Record::Done(seq)];
            self.inbox_writer.push(InboxWrite::Done(seq, reply.take()), record);
        }
        if let Some(reply) = reply.filter(|_| !known) {
            let _ = reply.send(Ok(()));
        }
    }

    pub(super) fn inbox_input(&mut self, input: inbox::Input) {
        for effect in self.inbox.handle(input, self.options.clock.mono()) {
            self.inbox_effect(effect);
        }
    }

    fn inbox_effect(&mut self, effect: inbox::Effect) {
        match effect {
            inbox::Effect::Fetch(after) => {
                self.requests.push(Op::Fetch(Fetch { after, max_bytes: None }), Pending::Fetch);
            }
            inbox::Effect::Store(records) => self.inbox_writer.push(InboxWrite::Items, records),
            inbox::Effect::StoreDone(seq) => {
                self.inbox_writer.push(InboxWrite::Done(seq, None), vec![inbox::Record::Done(seq)]);
            }
            inbox::Effect::Ack(n) => self.requests.push(Op::Ack(Ack { n }), Pending::Ack),
            inbox::Effect::Hand(seq, entry) => self.to_hand.push_back((seq, entry)),
            inbox::Effect::WakeAt(at) => self.inbox_wake = Some(at),
        }
    }

    pub(super) fn inbox_written(
        &mut self,
        tokens: Vec<InboxWrite>,
        result: Result<(), JournalError>,
    ) {
        let failure = match result {
            Ok(()) => {
                self.storage_failure = None;
                None
            }
            Err(error) => Some(self.journal_failed(&error)),
        };
        for token in tokens {
            match (token, &failure) {
                (InboxWrite::Items, None) => self.inbox_input(inbox::Input::Stored),
                (InboxWrite::Items, Some(_)) => self.inbox_input(inbox::Input::StoreFailed),
                (InboxWrite::Done(_, reply), None) => {
                    reply.map(|reply| reply.send(Ok(())));
                }
                (InboxWrite::Done(seq, reply), Some(why)) => {
                    self.undone.insert(seq);
                    let why = JournalError::NotTaken(why.clone());
                    reply.map(|reply| reply.send(Err(why.into())));
                }
            }
        }
    }

    pub(super) fn fetched(&mut self, result: Result<Fields, ErrorBody>) {
        match result.map(|fields| fields.parse::<Fetched>()) {
            Ok(Ok(page)) => self.page(page),
            Ok(Err(error)) => self.lost(&format!("msg.fetch: {error}")),
            Err(error) => {
                let retry = error.retry_ms.map(Duration::from_millis);
                self.inbox_input(inbox::Input::Refused(retry));
            }
        }
    }

    fn page(&mut self, page: Fetched) {
        let mut items = Vec::with_capacity(page.items.len());
        let mut more = page.more;
        for item in page.items {
            match self.open_item(item) {
                Some(opened) => items.push(opened),
                None if items.is_empty() => {
                    // The key for the next one is on its way: come back when it is here.
                    self.inbox_input(inbox::Input::Refused(Some(Duration::from_secs(2))));
                    return;
                }
                None => {
                    more = true;
                    break;
                }
            }
        }
        self.inbox_input(inbox::Input::Fetched(items, more));
    }

    /// `None` when the key may still come with a key update that is under way.
    fn open_item(&mut self, item: Item) -> Option<(u64, Option<inbox::Entry>)> {
        let n = item.n();
        let entry = match item {
            Item::Other(_) => None,
            Item::Receipt(receipt) => {
                let key = inbox::Key {
                    receipt: true,
                    account: receipt.account,
                    from: receipt.by,
                    mid: receipt.mid,
                };
                Some(inbox::Entry { key, time: receipt.time, content: Ok(Vec::new()) })
            }
            Item::Content(content) => {
                let now = self.options.clock.now();
                let opened = match crypto::open(self.profile.identity(), &content, now) {
                    Ok(plain) => Ok(plain),
                    Err(OpenFailure::UnknownKey(_)) if self.updates.under_way() => return None,
                    Err(OpenFailure::UnknownKey(why) | OpenFailure::Unreadable(why)) => Err(why),
                };
                let key = inbox::Key {
                    receipt: false,
                    account: content.account,
                    from: content.from,
                    mid: content.mid,
                };
                Some(inbox::Entry { key, time: content.time, content: opened })
            }
        };
        Some((n, entry))
    }

    pub(super) fn acked(&mut self, result: Result<Fields, ErrorBody>) {
        match result.map(|fields| fields.parse::<Acked>()) {
            Ok(_) => self.inbox_input(inbox::Input::Acked),
            Err(error) => {
                let retry = error.retry_ms.map(Duration::from_millis);
                self.inbox_input(inbox::Input::Refused(retry));
            }
        }
    }

    /// Hands entries to the application while it has room.
    pub(super) fn hand_out(&mut self) {
        while let Some((seq, entry)) = self.to_hand.front() {
            let (seq, entry) = (*seq, entry.clone());
            let Some(entry) = self.unless_withheld(seq, entry) else {
                self.to_hand.pop_front();
                continue;
            };
            let inbox::Entry { key, time, content } = entry;
            let event = if key.receipt {
                Event::Receipt { seq, mid: key.mid, by: key.from, time }
            } else {
                let (mid, from, account) = (key.mid, key.from, key.account);
                Event::Message(ReceivedMessage { seq, mid, from, account, time, content })
            };
            if self.events.try_send(event).is_err() {
                return;
            }
            self.to_hand.pop_front();
        }
    }

    pub(super) fn outbox_input(&mut self, input: outbox::Input) {
        for effect in self.outbox.handle(input, self.options.clock.mono()) {
            self.outbox_effect(effect);
        }
    }

    fn outbox_effect(&mut self, effect: outbox::Effect) {
        match effect {
            outbox::Effect::Store(token, records) => self.outbox_writer.push(token, records),
            outbox::Effect::Accepted(mid) => {
                if let Some((reply, confirmed)) = self.accepting.remove(&mid) {
                    let _ = reply.send(Ok(mid));
                    if !confirmed.is_closed() {
                        self.confirming.insert(mid, confirmed);
                    }
                }
            }
            outbox::Effect::NotAccepted(mid) => {
                if let Some((reply, _)) = self.accepting.remove(&mid) {
                    let _ = reply.send(Err(self.not_accepted()));
                }
            }
            outbox::Effect::Seal(mid, to, plain) => self.seal(mid, to, &plain),
            // A post for a connection that was lost meanwhile is made again on the next one.
            outbox::Effect::Post(..) if self.online.is_none() => {}
            outbox::Effect::Post(mid, to, body) => {
                let post = Post { mid, to, body: Bytes64(body), expires_ms: None };
                self.requests.push(Op::Post(post), Pending::Post(mid));
            }
            outbox::Effect::Failed(mid, code, text) => {
                // It may fail before it is on disk here, as when the keys are known and bad.
                let early = self.accepting.remove(&mid).map(|(reply, confirmed)| {
                    let _ = reply.send(Ok(mid));
                    confirmed
                });
                if let Some(reply) = self.confirming.remove(&mid).or(early) {
                    let failed = ClientError::Refused { code: code.clone(), text: text.clone() };
                    let _ = reply.send(Err(failed));
                }
                self.tell(Event::PostFailed { mid, code, text });
            }
            outbox::Effect::Reconnect => self.lost("the server expects another message first"),
            outbox::Effect::WakeAt(at) => self.outbox_wake = Some(at),
        }
    }

    fn not_accepted(&self) -> ClientError {
        if self.outbox.len() >= outbox::ENTRIES_MAX {
            let (what, limit) = ("messages in the outbox", outbox::ENTRIES_MAX);
            return ClientError::Busy { what, limit };
        }
        let why = self.status.borrow().trouble.clone().unwrap_or_default();
        ClientError::Journal(JournalError::NotTaken(why))
    }

    pub(super) fn outbox_written(&mut self, tokens: Vec<u64>, result: Result<(), JournalError>) {
        match result {
            Ok(()) => {
                self.storage_failure = None;
                if let Some(last) = tokens.last() {
                    self.outbox_input(outbox::Input::Stored(*last));
                }
            }
            Err(error) => {
                self.journal_failed(&error);
                for token in tokens {
                    self.outbox_input(outbox::Input::StoreFailed(token));
                }
            }
        }
    }

    pub(super) fn posted(&mut self, mid: MessageId, result: Result<Fields, ErrorBody>) {
        match result.map(|fields| fields.parse::<Posted>()) {
            Ok(Ok(posted)) => {
                let Posted { copies, duplicate, .. } = posted;
                if let Some(reply) = self.confirming.remove(&mid) {
                    let _ = reply.send(Ok(Confirmed { mid, copies, duplicate }));
                }
                self.outbox_input(outbox::Input::Confirmed(mid));
                self.tell(Event::Posted { mid, copies });
            }
            Ok(Err(error)) => self.lost(&format!("msg.post: {error}")),
            Err(error) => {
                // For those who wait for the confirmation: it will be tried again.
                let why = ClientError::Server(error.clone()).to_string();
                self.status.send_modify(|s| s.trouble = Some(why));
                self.outbox_input(outbox::Input::Refused(mid, error));
            }
        }
    }

    fn seal(&mut self, mid: MessageId, to: Uri, plain: &[u8]) {
        let now = self.options.clock.mono();
        let known = self.options.known.iter().find(|found| found.uri == to);
        match known.or_else(|| self.found.fresh(&to, now)).cloned() {
            Some(found) => {
                let input = match self.seal_to(found, mid, plain) {
                    Ok(body) => outbox::Input::Sealed(mid, body),
                    Err(error @ ClientError::ContactChanged { .. }) => {
                        let failed = ("contact-changed".to_owned(), error.to_string());
                        outbox::Input::SealFailed(mid, Err(failed))
                    }
                    Err(_) if self.updates.under_way() => {
                        outbox::Input::SealFailed(mid, Ok(SEAL_RETRY))
                    }
                    Err(error) => {
                        let failed = ("untrusted".to_owned(), error.to_string());
                        outbox::Input::SealFailed(mid, Err(failed))
                    }
                };
                self.outbox_input(input);
            }
            None => {
                self.seal_waiting.push((mid, to.clone()));
                if !self.requests.looks_up(&to) {
                    let op = Op::Lookup(Lookup { uri: to.clone() });
                    self.requests.push(op, Pending::Lookup(to));
                }
            }
        }
    }

    /// The envelope for a user that is verified and of the account that it is known by.
    fn seal_to(
        &mut self,
        found: Found,
        mid: MessageId,
        plain: &[u8],
    ) -> Result<Vec<u8>, ClientError> {
        let now = self.options.clock.now();
        let receiver = crypto::receiver_key(self.profile.identity(), &found, now)?;
        self.recognise(&found.uri, &found.account)?;
        crypto::seal(self.profile.identity(), &receiver, mid, plain, &mut self.rng)
    }

    pub(super) fn lookup(&mut self, uri: Uri, reply: Reply<Found>) {
        if self.online.as_ref().is_none_or(|online| !online.attached) {
            let _ = reply.send(Err(ClientError::Disconnected));
            return;
        }
        if let Some(found) = self.options.known.iter().find(|found| found.uri == uri) {
            let found = found.clone();
            let _ = reply.send(self.verified(found));
            return;
        }
        let running = self.requests.looks_up(&uri);
        self.lookup_waiting.push((uri.clone(), reply));
        if !running {
            self.requests.push(Op::Lookup(Lookup { uri: uri.clone() }), Pending::Lookup(uri));
        }
    }

    pub(super) fn looked_up(&mut self, uri: &Uri, result: Result<Fields, ErrorBody>) {
        let wrong = |text| ErrorBody::new(ErrorCode::Internal, text);
        let result = result.and_then(|fields| {
            let found = fields.parse::<Found>().map_err(|error| wrong(error.to_string()))?;
            // Whoever the server would like to be meant instead has valid keys, too.
            if found.uri == *uri {
                Ok(found)
            } else {
                Err(wrong(format!("the server answered with {} when asked for {uri}", found.uri)))
            }
        });
        if let Ok(found) = &result {
            self.found.remember(uri, found.clone(), self.options.clock.mono());
        }
        let (mine, others) = std::mem::take(&mut self.lookup_waiting)
            .into_iter()
            .partition(|(waiting, _)| waiting == uri);
        self.lookup_waiting = others;
        for (_, reply) in mine {
            let answer = result.clone().map_err(ClientError::Server);
            let _ = reply.send(answer.and_then(|found| self.verified(found)));
        }
        self.seal_after_lookup(uri, &result);
    }

    /// An answer whose keys are those of the account it names, and that account the one known.
    fn verified(&mut self, found: Found) -> Result<Found, ClientError> {
        let now = self.options.clock.now();
        crypto::receiver_key(self.profile.identity(), &found, now)?;
        self.recognise(&found.uri, &found.account)?;
        Ok(found)
    }

    fn seal_after_lookup(&mut self, uri: &Uri, result: &Result<Found, ErrorBody>) {
        let (mine, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.seal_waiting).into_iter().partition(|(_, to)| to == uri);
        self.seal_waiting = others;
        for (mid, _) in mine {
            let why = match result {
                // The core asks again, and this time the keys are in memory.
                Ok(_) => Ok(Duration::ZERO),
                Err(error) => match (error.code, error.retry_ms) {
                    (_, Some(ms)) => Ok(Duration::from_millis(ms)),
                    (
                        ErrorCode::NotFound | ErrorCode::NotAllowed | ErrorCode::BadArgument,
                        None,
                    ) => Err((code_word(error.code), error.text.clone())),
                    (_, None) => Ok(SEAL_RETRY),
                },
            };
            self.outbox_input(outbox::Input::SealFailed(mid, why));
        }
    }

    pub(super) fn mail_disconnected(&mut self) {
        self.seal_waiting.clear();
        for (_, reply) in std::mem::take(&mut self.lookup_waiting) {
            let _ = reply.send(Err(ClientError::Disconnected));
        }
        self.inbox_input(inbox::Input::Disconnected);
        self.outbox_input(outbox::Input::Disconnected);
    }

    pub(super) fn compact(&mut self) {
        if self.inbox_writer.wants_compaction() {
            self.inbox_writer.compact(self.inbox.compacted());
        }
        if self.contacts_writer.wants_compaction() {
            self.contacts_writer.compact(self.contacts.compacted());
        }
        if self.outbox_writer.wants_compaction() {
            self.outbox_writer.compact(self.outbox.compacted());
        }
    }

    pub(super) fn journal_failed(&mut self, error: &JournalError) -> String {
        let why = error.to_string();
        self.status.send_modify(|s| s.trouble = Some(why.clone()));
        // Messages that arrive are tried again every second: it is told once until one is written.
        if self.storage_failure.as_ref() != Some(&why) {
            tracing::error!(why, "journal");
            self.storage_failure = Some(why.clone());
            self.tell(Event::StorageFailed { why: why.clone() });
        }
        why
    }
}
