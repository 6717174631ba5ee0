//! Services that answer from memory and record what they were asked.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex};

use crs_proto::delivery::Page;
use crs_proto::wire::call::CallState;
use crs_proto::wire::life::ClientInfo;
use crs_proto::wire::message::{Ack, Acked, Content, Fetched, Item, Post, Posted as Reply};
use crs_proto::wire::{Bytes64, ErrorBody, ErrorCode};
use crs_types::{AccountId, BlobHash, DeviceId, Period, SessionId, Uri};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use super::{Domain, NOW};
use crate::accounts::{BlobReader, Span};
use crate::services::{
    Answering, Mail, Party, SessionReply, SessionRequest, Sessions, Updates, Waiting,
};

/// All services of a test node.
#[derive(Clone)]
pub(crate) struct Fake(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Posts wait for a permit while the test has taken them away.
    posts: Semaphore,
}

#[derive(Default)]
struct State {
    blobs: HashMap<BlobHash, Vec<u8>>,
    posted: Vec<Posted>,
    detached: Vec<(Uri, DeviceId)>,
    confirmed: BTreeMap<Uri, Vec<(Period, u64)>>,
    mailbox: Vec<Item>,
    mail_fails: bool,
}

/// A post as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Posted {
    pub(crate) from: Uri,
    pub(crate) account: AccountId,
    pub(crate) post: Post,
}

impl Default for Fake {
    fn default() -> Self {
        let posts = Semaphore::new(Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner { state: Mutex::default(), posts }))
    }
}

impl Fake {
    pub(crate) fn put(&self, domains: &[&Domain]) {
        let contents = domains.iter().flat_map(|domain| domain.contents());
        self.0.state.lock().unwrap().blobs.extend(contents);
    }

    pub(crate) fn posted(&self) -> Vec<Posted> {
        self.0.state.lock().unwrap().posted.clone()
    }

    pub(crate) fn detached(&self) -> Vec<(Uri, DeviceId)> {
        self.0.state.lock().unwrap().detached.clone()
    }

    /// Posts begin but do not end until released.
    pub(crate) fn hold_posts(&self) {
        self.0.posts.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn release_posts(&self, n: usize) {
        self.0.posts.add_permits(n);
    }

    pub(crate) fn fail_mail(&self, fails: bool) {
        self.0.state.lock().unwrap().mail_fails = fails;
    }

    /// Everybody's mailbox holds `items` messages of `bytes` bytes.
    pub(crate) fn fill_mailbox(&self, items: u64, bytes: usize) {
        let item = |n| {
            Item::Content(Content {
                n,
                mid: crs_types::MessageId::from_parts(NOW, [n as u8; 10]),
                from: Uri::parse("+4670").unwrap(),
                account: AccountId::parse("a").unwrap(),
                time: NOW,
                body: Bytes64(vec![b'x'; bytes]),
            })
        };
        self.0.state.lock().unwrap().mailbox = (1..=items).map(item).collect();
    }
}

fn fine<T: Send + 'static>(value: T) -> Answering<T> {
    std::future::ready(Ok(value)).boxed()
}

impl Sessions for Fake {
    fn request(&self, _: Party, _: SessionRequest) -> Answering<SessionReply> {
        std::future::ready(Err(ErrorBody::new(ErrorCode::Gone, "no sessions here"))).boxed()
    }

    fn attached(&self, _: Party, _: Vec<SessionId>) -> Answering<Vec<CallState>> {
        fine(Vec::new())
    }

    fn detached(&self, party: Party) {
        self.0.state.lock().unwrap().detached.push((party.uri, party.device));
    }
}

impl Mail for Fake {
    fn post(&self, from: Party, account: AccountId, post: Post) -> Answering<Reply> {
        let fake = self.clone();
        async move {
            let mid = post.mid;
            let posted = Posted { from: from.uri, account, post };
            fake.0.state.lock().unwrap().posted.push(posted);
            let permit = fake.0.posts.acquire().await.unwrap();
            permit.forget();
            Ok(Reply { mid, copies: 1, duplicate: false })
        }
        .boxed()
    }

    fn fetch(&self, _: Party, page: Page) -> Answering<Fetched> {
        let mailbox = self.0.state.lock().unwrap().mailbox.clone();
        let mut rest = mailbox.into_iter().filter(|item| item.n() > page.after);
        let items: Vec<_> = rest.next().into_iter().collect();
        fine(Fetched { items, more: rest.next().is_some() })
    }

    fn ack(&self, _: Party, ack: Ack) -> Answering<Acked> {
        fine(Acked { removed: ack.n.len() as u64 })
    }

    fn waiting(&self, _: AccountId, _: Uri) -> Answering<Waiting> {
        let state = self.0.state.lock().unwrap();
        if state.mail_fails {
            let error = ErrorBody::retry(ErrorCode::Unavailable, "no quorum", 1000);
            return std::future::ready(Err(error)).boxed();
        }
        let items = state.mailbox.len() as u64;
        fine(Waiting { items, newest: items })
    }
}

impl Updates for Fake {
    fn confirm(&self, _: AccountId, uri: Uri, period: Period, serial: u64) -> Answering<()> {
        let mut state = self.0.state.lock().unwrap();
        state.confirmed.entry(uri).or_default().push((period, serial));
        fine(())
    }

    fn offered(&self, _: AccountId, _: Uri, _: Vec<(Period, u64)>) {}

    fn confirmed(&self, _: AccountId, uri: Uri) -> Answering<Vec<(Period, u64)>> {
        let state = self.0.state.lock().unwrap();
        fine(state.confirmed.get(&uri).cloned().unwrap_or_default())
    }

    fn client_info(&self, _: AccountId, _: Uri, _: DeviceId, _: ClientInfo) {}
}

impl BlobReader for Fake {
    fn read(
        &self,
        blob: BlobHash,
        spans: Vec<Span>,
    ) -> BoxFuture<'static, io::Result<Vec<Vec<u8>>>> {
        let state = self.0.state.lock().unwrap();
        let bytes = &state.blobs[&blob];
        let piece = |span: Span| {
            let start = span.offset as usize;
            bytes[start..start + span.length as usize].to_vec()
        };
        let pieces = spans.into_iter().map(piece).collect();
        std::future::ready(Ok(pieces)).boxed()
    }
}
