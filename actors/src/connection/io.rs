//! The I/O task of one connection: reads messages into the actor's mailbox, writes what the
//! outbox holds, ticks. It decides nothing but what RFC 6455 itself demands.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crs_proto::connection::Close;
use crs_proto::rate::{Bucket, Rate};
use crs_types::Clock;
use futures_util::{Sink, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::inner::Inner;
use super::outbox::{Out, Outbox};
use crate::handle::Handle;
use crate::listener::{CLOSE_TIMEOUT, WebSocket};

use super::ConnectionMsg;

/// Messages of one client that may wait for its actor; then reading pauses.
pub(super) const INBOX_FRAMES: usize = 4;
/// A client that takes nothing for this long is cut.
pub(super) const WRITE_STALL_MAX: Duration = Duration::from_secs(30);
/// Pings and pongs a client may send.
const PINGS: Rate = Rate { per_minute: 600, burst: 120 };
/// Bytes read and dropped after it: enough for a sender of a far too large message to come to
/// its end and read why it was closed.
const CLOSE_DRAIN_MAX: usize = 20 * 1024 * 1024;

/// How the I/O of a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The client closed or vanished.
    ByClient,
    /// We closed.
    ByServer(Close),
    /// The client broke the protocol or a limit.
    Violation(Close),
    /// The client took nothing for [`WRITE_STALL_MAX`].
    Stalled,
}

pub(super) struct Io {
    pub(super) socket: WebSocket,
    pub(super) outbox: Arc<Outbox>,
    pub(super) actor: Handle<ConnectionMsg>,
    pub(super) inbox: Arc<Semaphore>,
    pub(super) clock: Arc<dyn Clock>,
    pings: Bucket,
}

impl Io {
    pub(super) fn new(
        socket: WebSocket,
        outbox: Arc<Outbox>,
        actor: Handle<ConnectionMsg>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let inbox = Arc::new(Semaphore::new(INBOX_FRAMES));
        Self { socket, outbox, actor, inbox, clock, pings: Bucket::default() }
    }

    /// Runs until the connection is over. The actor is told before the farewell, so that nobody
    /// is called on a connection that only waits for its client to go, and after it.
    pub(super) async fn run(mut self) {
        let ended = self.serve().await;
        self.tell(Inner::Ending(ended));
        match ended {
            Ended::ByServer(close) | Ended::Violation(close) => {
                // Boxed: an idle connection does not pay for its end.
                Box::pin(finish(&mut self.socket, close)).await;
            }
            Ended::ByClient => Box::pin(farewell(&mut self.socket)).await,
            Ended::Stalled => {}
        }
        self.tell(Inner::Ended);
    }

    async fn serve(&mut self) -> Ended {
        let sleep = tokio::time::sleep(Duration::MAX);
        tokio::pin!(sleep);
        let mut armed = false;
        loop {
            let received = tokio::select! {
                biased;
                () = self.outbox.changed() => None,
                () = &mut sleep, if armed => {
                    armed = false;
                    self.tell(Inner::Tick);
                    None
                }
                received = receive(&mut self.socket, &self.inbox) => Some(received),
            };
            let end = match received {
                Some((permit, message)) => self.received(permit, message),
                None => {
                    if let Some(wait) = self.outbox.take_wake() {
                        sleep.as_mut().reset(tokio::time::Instant::now() + wait);
                        armed = true;
                    }
                    Box::pin(self.write_all()).await
                }
            };
            if let Some(ended) = end {
                return ended;
            }
        }
    }

    fn received(
        &mut self,
        permit: OwnedSemaphorePermit,
        message: Option<Result<Message, Error>>,
    ) -> Option<Ended> {
        match message {
            Some(Ok(Message::Text(text))) => {
                self.socket.message_done();
                self.tell(Inner::Frame(text, permit));
                None
            }
            Some(Ok(Message::Binary(_))) => Some(Ended::Violation(Close::Binary)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                self.socket.message_done();
                if self.pings.take(PINGS, self.clock.mono()).is_err() {
                    return Some(Ended::Violation(Close::Flood));
                }
                self.tell(Inner::Heard(permit));
                None
            }
            // The answer is written by reading on.
            Some(Ok(Message::Close(_) | Message::Frame(_))) => None,
            Some(Err(error)) => Some(violation(&error).map_or(Ended::ByClient, Ended::Violation)),
            None => Some(Ended::ByClient),
        }
    }

    async fn write_all(&mut self) -> Option<Ended> {
        while let Some(out) = self.outbox.next() {
            let (message, bytes, bulk) = match out {
                Out::Frame { text, bulk } => {
                    let bytes = text.len();
                    (Message::Text(Utf8Bytes::from(text)), Some(bytes), bulk)
                }
                Out::Ping => (Message::Ping(Default::default()), None, false),
                Out::Close(close) => return Some(Ended::ByServer(close)),
            };
            if let Err(ended) = write(&mut self.socket, message).await {
                return Some(ended);
            }
            if let Some(bytes) = bytes {
                self.outbox.wrote(bytes);
            }
            if bulk {
                self.tell(Inner::BulkWritten);
            }
        }
        None
    }

    /// The actor's own queue is never full by construction (see `INTERNAL_QUEUE`); if it has
    /// ended, this task is being aborted.
    fn tell(&self, inner: Inner) {
        let _ = self.actor.try_cast(ConnectionMsg::internal(inner));
    }
}

/// The next message and its place in the actor's mailbox. Cancel-safe.
async fn receive(
    socket: &mut WebSocket,
    inbox: &Arc<Semaphore>,
) -> (OwnedSemaphorePermit, Option<Result<Message, Error>>) {
    match Arc::clone(inbox).acquire_owned().await {
        Ok(permit) => (permit, socket.0.next().await),
        // Nobody ever closes the semaphore.
        Err(_) => std::future::pending().await,
    }
}

/// Writes one message, however slowly, as long as the client takes something.
async fn write(socket: &mut WebSocket, message: Message) -> Result<(), Ended> {
    let written = WebSocket::written;
    progressing(socket, written, |socket, cx| Pin::new(&mut socket.0).poll_ready(cx)).await?;
    let sent = Pin::new(&mut socket.0).start_send(message);
    sent.map_err(|_| Ended::ByClient)?;
    progressing(socket, written, |socket, cx| Pin::new(&mut socket.0).poll_flush(cx)).await
}

type Stream = tokio_tungstenite::WebSocketStream<crate::listener::TlsSocket>;

/// Polls until done; ends when [`WRITE_STALL_MAX`] goes by without a byte leaving.
async fn progressing<S>(
    sink: &mut S,
    written: impl Fn(&S) -> u64,
    mut poll: impl FnMut(&mut S, &mut Context<'_>) -> Poll<Result<(), Error>>,
) -> Result<(), Ended> {
    loop {
        let before = written(sink);
        let step = std::future::poll_fn(|cx| {
            let done = ready!(poll(sink, cx));
            Poll::Ready(done.map_err(|_| Ended::ByClient))
        });
        match tokio::time::timeout(WRITE_STALL_MAX, step).await {
            Ok(done) => return done,
            Err(_) if written(sink) > before => {}
            Err(_) => return Err(Ended::Stalled),
        }
    }
}

/// Sends the close frame and waits for the client to close, so that what it still sends does not
/// reset the connection before it has read our reason.
async fn finish(socket: &mut WebSocket, close: Close) {
    let frame = CloseFrame { code: CloseCode::from(close.code()), reason: close.reason().into() };
    if tokio::time::timeout(CLOSE_TIMEOUT, socket.0.send_close(frame)).await.is_ok() {
        socket.0.get_mut().drain(CLOSE_DRAIN_MAX).await;
    }
}

/// The client has closed its WebSocket: closes TLS properly, if it is still there.
async fn farewell(socket: &mut WebSocket) {
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, socket.0.get_mut().shutdown()).await;
}

trait SendClose {
    async fn send_close(&mut self, frame: CloseFrame) -> Result<(), Error>;
}

impl SendClose for Stream {
    async fn send_close(&mut self, frame: CloseFrame) -> Result<(), Error> {
        self.close(Some(frame)).await?;
        self.get_mut().shutdown().await.map_err(Error::Io)
    }
}

/// How to close after an error of the WebSocket layer; `None` when the client is gone.
pub(super) fn violation(error: &Error) -> Option<Close> {
    match error {
        Error::Capacity(_) => Some(Close::TooBig),
        Error::Utf8(_) => Some(Close::NotUtf8),
        Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake
            | ProtocolError::SendAfterClosing
            | ProtocolError::ReceivedAfterClosing,
        ) => None,
        Error::Protocol(_) => Some(Close::Protocol),
        Error::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => Some(Close::Flood),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => None,
    }
}

/// The test-only echo: every message comes back (Autobahn's fuzzing client).
pub(crate) async fn echo(mut socket: WebSocket) {
    loop {
        match socket.0.next().await {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                socket.message_done();
                if write(&mut socket, message).await.is_err() {
                    return;
                }
            }
            Some(Ok(_)) => socket.message_done(),
            Some(Err(error)) => {
                match violation(&error) {
                    Some(close) => finish(&mut socket, close).await,
                    None => farewell(&mut socket).await,
                }
                return;
            }
            None => return farewell(&mut socket).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, Interval, interval_at};

    use super::*;

    /// Takes a byte at each tick until it has `most`.
    struct Trickle {
        taken: u64,
        most: u64,
        ticks: Interval,
    }

    /// How writing `wanted` bytes ends, and after how many seconds.
    async fn writing(seconds: u64, most: u64, wanted: u64) -> (Result<(), Ended>, u64) {
        let period = Duration::from_secs(seconds);
        let began = Instant::now();
        let ticks = interval_at(began + period, period);
        let mut sink = Trickle { taken: 0, most, ticks };
        let ended = progressing(
            &mut sink,
            |sink| sink.taken,
            |sink, cx| {
                while sink.taken < wanted {
                    ready!(sink.ticks.poll_tick(cx));
                    sink.taken += u64::from(sink.taken < sink.most);
                }
                Poll::Ready(Ok(()))
            },
        );
        (ended.await, began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_waited_for_and_one_that_takes_nothing_for_30_seconds_is_not() {
        assert_eq!(writing(29, 1000, 1000).await, (Ok(()), 29_000));
        assert_eq!(writing(31, 1000, 1000).await, (Err(Ended::Stalled), 30));
        // The last byte leaves after 50 s; the 30 s that begin at 60 s are the first without any.
        assert_eq!(writing(25, 2, 1000).await, (Err(Ended::Stalled), 90));
    }
}
