//! Writes journal batches on a blocking thread, one at a time; what comes meanwhile goes into
//! the next batch, so that one sync serves all that wait.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

use crate::journal::{COMPACT_MIN, Journal, JournalError};

/// Records of one batch at most.
const BATCH_RECORDS: usize = 32;

/// A journal with its queue. `T` names what was written.
pub(super) struct Writer<R, T> {
    journal: Option<Journal<R>>,
    queue: Vec<(T, Vec<R>)>,
    running: Option<(Vec<T>, JoinHandle<Written<R>>)>,
    compacted: u64,
}

type Written<R> = (Journal<R>, Result<(), JournalError>);

impl<R, T> Writer<R, T>
where
    R: Serialize + DeserializeOwned + Send + 'static,
{
    pub(super) fn new(journal: Journal<R>) -> Self {
        let compacted = journal.len();
        Self { journal: Some(journal), queue: Vec::new(), running: None, compacted }
    }

    pub(super) fn push(&mut self, token: T, records: Vec<R>) {
        self.queue.push((token, records));
        self.start();
    }

    /// True when nothing waits or is being written.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none() && self.queue.is_empty()
    }

    /// True when a rewrite is worth it.
    pub(super) fn wants_compaction(&self) -> bool {
        let length = self.journal.as_ref().map_or(0, Journal::len);
        self.is_idle() && length > COMPACT_MIN && length > 2 * self.compacted
    }

    /// Rewrites the journal with its live content.
    pub(super) fn compact(&mut self, live: Vec<Vec<R>>) {
        let Some(mut journal) = self.journal.take() else { return };
        let task = tokio::task::spawn_blocking(move || {
            let result = journal.rewrite(&live);
            (journal, result)
        });
        self.running = Some((Vec::new(), task));
        self.compacted = u64::MAX;
    }

    /// Waits for the running batch; pending for ever when there is none. Cancel-safe.
    pub(super) async fn finished(&mut self) -> (Vec<T>, Result<(), JournalError>) {
        let Some((_, task)) = &mut self.running else {
            if self.journal.is_none() && !self.queue.is_empty() {
                // The thread that wrote it has died with the journal in its hands.
                let tokens = self.queue.drain(..).map(|(token, _)| token).collect();
                return (tokens, Err(JournalError::Failed("lost".to_owned())));
            }
            return std::future::pending().await;
        };
        let outcome = task.await;
        let tokens = self.running.take().map(|(tokens, _)| tokens).unwrap_or_default();
        match outcome {
            Ok((journal, result)) => {
                if self.compacted == u64::MAX {
                    self.compacted = journal.len();
                }
                self.journal = Some(journal);
                self.start();
                (tokens, result)
            }
            Err(error) => (tokens, Err(JournalError::Failed(error.to_string()))),
        }
    }

    fn start(&mut self) {
        if self.running.is_some() || self.queue.is_empty() {
            return;
        }
        let Some(mut journal) = self.journal.take() else { return };
        let take = self.queue.len().min(BATCH_RECORDS);
        let mut tokens = Vec::with_capacity(take);
        let mut batch = Vec::new();
        for (token, records) in self.queue.drain(..take) {
            tokens.push(token);
            batch.extend(records);
        }
        let task = tokio::task::spawn_blocking(move || {
            let result = journal.append(&batch);
            (journal, result)
        });
        self.running = Some((tokens, task));
    }
}
