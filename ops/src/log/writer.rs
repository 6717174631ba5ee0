//! The one thread that writes log files, and the bounded queue in front of it.

use std::fs;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crs_types::Clock;
use metrics::Counter;

use super::file::RotatingFile;
use super::line::{Line, LogFile};
use super::repeat::Repeats;
use super::{LogConfig, LogError, QUEUE_MAX};
use crate::Metrics;

/// How often windows of repeats are looked at while nothing is logged.
const TICK: Duration = Duration::from_secs(1);

enum Message {
    Line(Line),
    Reopen,
    Flush(SyncSender<()>),
    Stop,
}

/// Handle for handing in records; never blocks on [`Queue::line`] and [`Queue::reopen`].
#[derive(Clone)]
pub(super) struct Queue {
    sender: SyncSender<Message>,
    records: Counter,
    dropped: Counter,
}

impl Queue {
    pub(super) fn line(&self, line: Line) {
        self.records.increment(1);
        if self.sender.try_send(Message::Line(line)).is_err() {
            self.dropped.increment(1);
        }
    }

    pub(super) fn reopen(&self) {
        if self.sender.try_send(Message::Reopen).is_err() {
            self.dropped.increment(1);
        }
    }

    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.sender.send(Message::Flush(done)).is_ok() {
            // An error means that the thread is gone: then nothing waits.
            let _gone = wait.recv();
        }
    }
}

/// Owner of the thread.
pub(super) struct Writer {
    queue: Queue,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        config: &LogConfig,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Result<Self, LogError> {
        let files = Files::open(config)?;
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let records = metrics.counter(
            "crs_log_records_total",
            "Log records, those too that were dropped or could not be written.",
            &[],
        );
        let dropped = metrics.counter(
            "crs_log_dropped_total",
            "Log records dropped because too many waited to be written.",
            &[],
        );
        let failed = metrics.counter(
            "crs_log_write_failures_total",
            "Log records that could not be written.",
            &[],
        );
        let worker =
            Worker { files, repeats: Repeats::default(), clock, failed, stderr: config.stderr };
        let thread = std::thread::Builder::new()
            .name("crs-log".into())
            .spawn(move || worker.run(&receiver))
            .map_err(|source| LogError { path: config.dir.clone(), source })?;
        Ok(Self { queue: Queue { sender, records, dropped }, thread: Some(thread) })
    }

    pub(super) fn queue(&self) -> Queue {
        self.queue.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let stopping = self.queue.sender.send(Message::Stop).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| stopping) {
            // A panic of the thread has been printed already; nothing is left to do about it.
            let _result = thread.join();
        }
    }
}

struct Files {
    main: RotatingFile,
    relay: RotatingFile,
}

impl Files {
    fn open(config: &LogConfig) -> Result<Self, LogError> {
        fs::create_dir_all(&config.dir)
            .map_err(|source| LogError { path: config.dir.clone(), source })?;
        let open = |name: &str| {
            let path = config.dir.join(name);
            RotatingFile::open(path.clone(), config.max_bytes, config.keep)
                .map_err(|source| LogError { path, source })
        };
        Ok(Self { main: open("crs.log")?, relay: open("crs_relay.log")? })
    }

    fn get(&mut self, file: LogFile) -> &mut RotatingFile {
        match file {
            LogFile::Main => &mut self.main,
            LogFile::Relay => &mut self.relay,
        }
    }
}

struct Worker {
    files: Files,
    repeats: Repeats,
    clock: Arc<dyn Clock>,
    failed: Counter,
    stderr: bool,
}

impl Worker {
    fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            let message = receiver.recv_timeout(TICK);
            self.tell_repeats();
            match message {
                Ok(Message::Line(line)) => self.line(&line),
                Ok(Message::Reopen) => self.reopen(),
                Ok(Message::Flush(done)) => {
                    // The waiter may have gone away.
                    let _gone = done.send(());
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn line(&mut self, line: &Line) {
        if line.collapse && !self.repeats.offer(&line.rest, self.clock.mono()) {
            return;
        }
        self.write(line);
    }

    fn tell_repeats(&mut self) {
        for (record, repeats) in self.repeats.ended(self.clock.mono()) {
            let rest = format!("{record} (repeated {repeats} times)");
            let time = self.clock.now();
            self.write(&Line { file: LogFile::Main, time, rest, collapse: false });
        }
    }

    fn write(&mut self, line: &Line) {
        let text = line.text();
        if self.files.get(line.file).write(&text).is_err() {
            self.failed.increment(1);
        }
        if self.stderr {
            // Standard error may be closed; the file has the record.
            let _closed = io::stderr().write_all(text.as_bytes());
        }
    }

    fn reopen(&mut self) {
        for file in [LogFile::Main, LogFile::Relay] {
            let file = self.files.get(file);
            if let Err(error) = file.reopen() {
                self.failed.increment(1);
                tracing::warn!(module = "ops", path = %file.path().display(), %error, "cannot reopen the log file");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crs_types::Timestamp;

    use super::*;

    #[test]
    fn a_full_queue_drops_and_counts_instead_of_blocking() {
        let metrics = Metrics::default();
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let dropped = metrics.counter("crs_log_dropped_total", "Dropped.", &[]);
        let records = metrics.counter("crs_log_records_total", "Records.", &[]);
        let queue = Queue { sender, records, dropped };
        let time = Timestamp::from_secs(1);
        for _ in 0..QUEUE_MAX + 3 {
            queue.line(Line { file: LogFile::Main, time, rest: "x".into(), collapse: false });
        }
        assert!(metrics.render().contains("crs_log_dropped_total 3"));
        let all = format!("crs_log_records_total {}", QUEUE_MAX + 3);
        assert!(metrics.render().contains(&all), "of how many");
        assert_eq!(receiver.try_iter().count(), QUEUE_MAX);
    }
}
