//! Notes about users that are kept at best effort: what was offered to them, what their devices said
//! about themselves. They wait in one bounded queue for one supervised task.

use std::sync::Arc;
use std::time::Duration;

use crs_storage::command::MailboxCommand;
use crs_storage::command::mailbox::{NoteUpdate, PutClientInfo, UpdateNote};
use crs_storage::{Body, Store, UserKey};
use crs_types::{DeviceId, Period, Timestamp};
use futures_util::{FutureExt, StreamExt, stream};
use metrics::Counter;
use tokio::sync::{Mutex, mpsc};

use crate::supervisor::{ChildSpec, Restart, task_child};

/// Notes that may wait; further ones are dropped.
const NOTES_MAX: usize = 4096;
/// Notes carried out at once, so that many share one sync of the log.
const NOTES_AT_ONCE: usize = 64;
/// A device's word about itself is stored at most this often.
const INFO_EVERY: Duration = Duration::from_secs(86_400);

/// A note about a user, made at a time.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) user: UserKey,
    pub(super) time: Timestamp,
    pub(super) what: What,
}

/// What is noted.
#[derive(Debug)]
pub(super) enum What {
    /// These periods, with the serials of their files, were offered.
    Offered(Vec<(Period, u64)>),
    /// What a device said about itself.
    ClientInfo(DeviceId, Vec<u8>),
}

/// The queue of notes. Cheap to clone.
#[derive(Clone)]
pub struct Notes {
    queue: mpsc::Sender<Note>,
    /// Taken by the task that runs.
    waiting: Arc<Mutex<mpsc::Receiver<Note>>>,
    refused: Counter,
}

impl Notes {
    /// An empty queue, which counts what it drops.
    pub(super) fn new(refused: Counter) -> Self {
        let (queue, waiting) = mpsc::channel(NOTES_MAX);
        Self { queue, waiting: Arc::new(Mutex::new(waiting)), refused }
    }

    /// Queues a note, or drops it when too many wait.
    pub(super) fn put(&self, note: Note) {
        if self.queue.try_send(note).is_err() {
            self.refused.increment(1);
        }
    }

    /// The child that carries the notes out.
    pub fn child(&self, store: Store) -> ChildSpec {
        let waiting = Arc::clone(&self.waiting);
        task_child("notes", Restart::Permanent, move || {
            run(Arc::clone(&waiting), store.clone()).boxed()
        })
    }
}

async fn run(waiting: Arc<Mutex<mpsc::Receiver<Note>>>, store: Store) -> String {
    let mut waiting = waiting.lock().await;
    let notes = stream::poll_fn(|cx| waiting.poll_recv(cx));
    notes.for_each_concurrent(NOTES_AT_ONCE, |note| carry_out(&store, note)).await;
    "nobody makes notes any more".to_owned()
}

async fn carry_out(store: &Store, Note { user, time, what }: Note) {
    match what {
        What::Offered(periods) => offered(store, user, time, periods).await,
        What::ClientInfo(device, info) => client_info(store, user, time, device, info).await,
    }
}

async fn offered(store: &Store, user: UserKey, time: Timestamp, periods: Vec<(Period, u64)>) {
    let known = store.user(&user).await.map(|view| view.updates).unwrap_or_default();
    for (period, serial) in periods {
        let same = |(offered, _)| offered == serial;
        if known.iter().any(|flag| flag.period == period && flag.offered.is_some_and(same)) {
            continue;
        }
        let note = UpdateNote::Offered;
        let note = NoteUpdate { user: user.clone(), period, serial, note, time };
        propose(store, &user, MailboxCommand::NoteUpdate(note)).await;
    }
}

async fn client_info(
    store: &Store,
    user: UserKey,
    time: Timestamp,
    device: DeviceId,
    info: Vec<u8>,
) {
    let known = store.user(&user).await.map(|view| view.clients).unwrap_or_default();
    let recent = |stored| time.since(stored) < INFO_EVERY;
    if known.iter().any(|client| client.device == device && recent(client.time)) {
        return;
    }
    let put = PutClientInfo { user: user.clone(), device, info: Body::new(info), time };
    propose(store, &user, MailboxCommand::PutClientInfo(put)).await;
}

async fn propose(store: &Store, user: &UserKey, command: MailboxCommand) {
    if let Err(error) = store.propose_mailbox(store.group_of(&user.uri), command).await {
        tracing::debug!(%error, "a note about a user was not stored");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use crs_types::{AccountId, Uri};

    use super::*;

    #[test]
    fn notes_beyond_their_queue_are_dropped_and_counted() {
        let dropped = Arc::new(AtomicU64::new(0));
        let notes = Notes::new(Counter::from_arc(Arc::clone(&dropped)));
        let (account, uri) = (AccountId::parse("a").unwrap(), Uri::parse("+46701").unwrap());
        for _ in 0..NOTES_MAX + 3 {
            let user = UserKey { account: account.clone(), uri: uri.clone() };
            let (time, what) = (Timestamp::from_secs(1), What::Offered(Vec::new()));
            notes.put(Note { user, time, what });
        }
        assert_eq!(dropped.load(Ordering::SeqCst), 3);
    }
}
