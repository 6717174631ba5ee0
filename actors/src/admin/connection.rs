//! One admin connection: an actor that owns the task which reads requests and writes answers.

use std::sync::Arc;
use std::time::Duration;

use crs_admin_api::protocol::{self, ReplyBody, ReplyFrame};
use crs_admin_api::trace::{DroppedEvent, TraceItem};
use crs_admin_api::{AdminError, Code, Impact, Reply, Request};
use crs_ops::SystemEvent;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::audit::{self, Peer};
use super::commands::{self, apply};
use super::lines::{Line, Lines};
use super::{AdminContext, commands::trace};
use crate::trace::{Subscription, Traced};

/// Admin connections at once; more are told to come again.
pub const CONNECTIONS_MAX: usize = 32;
/// A connection that asks nothing for so long is closed.
pub const IDLE: Duration = Duration::from_secs(60);
/// An operator who does not read for so long is cut.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest any command may take; most take milliseconds.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(280);

/// The actor of one admin connection.
#[derive(Debug)]
pub(super) struct AdminConnection;

/// What it starts with.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) stream: UnixStream,
    pub(super) peer: Peer,
    pub(super) context: Arc<AdminContext>,
}

/// Its task, which ends with it, also when it is killed.
#[derive(Debug)]
pub(super) struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The task has ended.
#[derive(Debug)]
pub(super) struct Ended;

impl Actor for AdminConnection {
    type Msg = Ended;
    type State = Serving;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Ended>,
        arguments: Arguments,
    ) -> Result<Serving, ActorProcessingErr> {
        let Arguments { stream, peer, context } = arguments;
        Ok(Serving(tokio::spawn(async move {
            let ended = TellEnd(myself);
            let (reader, writer) = stream.into_split();
            Conversation::new(reader, writer, peer, context).run().await;
            drop(ended);
        })))
    }

    async fn handle(
        &self,
        myself: ActorRef<Ended>,
        _: Ended,
        _: &mut Serving,
    ) -> Result<(), ActorProcessingErr> {
        myself.stop(None);
        Ok(())
    }
}

struct TellEnd(ActorRef<Ended>);

impl Drop for TellEnd {
    fn drop(&mut self) {
        // An actor that is gone already knows.
        let _ = self.0.send_message(Ended);
    }
}

/// Requests and answers over any stream, one at a time.
pub(super) struct Conversation<R, W> {
    lines: Lines<R>,
    writer: W,
    peer: Peer,
    context: Arc<AdminContext>,
    upload: Option<apply::Upload>,
}

/// The connection is of no more use.
struct Over;

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> Conversation<R, W> {
    pub(super) fn new(reader: R, writer: W, peer: Peer, context: Arc<AdminContext>) -> Self {
        Self { lines: Lines::new(reader), writer, peer, context, upload: None }
    }

    /// Answers until the other end closes, breaks the protocol or falls silent.
    pub(super) async fn run(mut self) {
        while let Ok(Line::Whole(line)) = tokio::time::timeout(IDLE, self.next_line()).await {
            if self.answer(&line).await.is_err() {
                return;
            }
        }
    }

    async fn next_line(&mut self) -> Line {
        let line = self.lines.next().await;
        if line == Line::TooLong {
            // It is over either way.
            let _ = self.write(0, ReplyBody::Err(protocol::too_long())).await;
        }
        line
    }

    async fn answer(&mut self, line: &[u8]) -> Result<(), Over> {
        let frame = match protocol::parse_request(line) {
            Ok(frame) => frame,
            Err((id, error)) => return self.write(id, ReplyBody::Err(error)).await,
        };
        if let Request::Trace(request) = &frame.req {
            return match trace::subscribe(&self.context, request) {
                Ok(subscription) => self.stream(frame.id, &subscription).await,
                Err(error) => self.write(frame.id, ReplyBody::Err(error)).await,
            };
        }
        let audited = commands::audited(&frame.req);
        let carried_out = tokio::time::timeout(COMMAND_TIMEOUT, self.carry_out(frame.req)).await;
        let outcome = carried_out.unwrap_or_else(|_| Err(timed_out()));
        if let Some(what) = commands::audited_outcome(audited, &outcome) {
            audit::line(self.peer, &what, outcome.as_ref().map(|_| ()));
            self.context.notify(SystemEvent::AuditAdmin);
        }
        match outcome {
            Ok(reply) => self.write_parts(frame.id, reply).await,
            Err(error) => self.write(frame.id, ReplyBody::Err(error)).await,
        }
    }

    async fn carry_out(&mut self, request: Request) -> Result<Reply, AdminError> {
        if request.impact() == Impact::Change
            && self.context.node.drain_state() == crate::context::DrainState::Stopping
        {
            return Err(AdminError::new(Code::ShuttingDown, "the node is stopping"));
        }
        if let Request::Apply(step) = request {
            Box::pin(apply::step(&self.context, &mut self.upload, step)).await
        } else {
            Box::pin(commands::run(&self.context, request)).await
        }
    }

    /// Sends events until the other end closes. What it says meanwhile is ignored.
    async fn stream(&mut self, id: u64, subscription: &Subscription) -> Result<(), Over> {
        self.write(id, ReplyBody::Done(Reply::Trace(trace::READY))).await?;
        loop {
            tokio::select! {
                traced = subscription.next() => {
                    let item = self.item(traced);
                    self.write(id, ReplyBody::Item(item)).await?;
                }
                line = self.lines.next() => match line {
                    Line::Whole(_) => {}
                    Line::TooLong | Line::End => return Err(Over),
                },
            }
        }
    }

    fn item(&self, traced: Traced) -> TraceItem {
        match traced {
            Traced::Event(event) => event.to_item(),
            Traced::Dropped(dropped) => {
                let time = self.context.now().to_string();
                TraceItem::Dropped(DroppedEvent { time, dropped })
            }
        }
    }

    async fn write_parts(&mut self, id: u64, reply: Reply) -> Result<(), Over> {
        let mut parts = reply.into_parts().into_iter().peekable();
        while let Some(part) = parts.next() {
            let body = match parts.peek() {
                Some(_) => ReplyBody::Part(part),
                None => ReplyBody::Done(part),
            };
            self.write(id, body).await?;
        }
        Ok(())
    }

    async fn write(&mut self, id: u64, body: ReplyBody) -> Result<(), Over> {
        let line = match protocol::encode_reply(&ReplyFrame { id, body }) {
            Ok(line) => line,
            Err(error) => {
                let body = ReplyBody::Err(error);
                protocol::encode_reply(&ReplyFrame { id, body }).map_err(|_| Over)?
            }
        };
        let written = tokio::time::timeout(WRITE_TIMEOUT, self.writer.write_all(&line)).await;
        written.map_err(|_| Over)?.map_err(|_| Over)
    }
}

fn timed_out() -> AdminError {
    let message = format!("the command took longer than {COMMAND_TIMEOUT:?}");
    AdminError::new(Code::Timeout, message)
}
