//! A lean client that speaks: requests out, replies in.

use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crs_types::{Clock, MessageId, OsRng, Rng, SystemClock, Uri};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio_tungstenite::tungstenite::Message;

use crate::common::lean::{Lean, Socket};

/// Time limit of connecting and of each reply.
pub(super) const WITHIN: Duration = Duration::from_secs(30);

/// What is looked at of a reply.
#[derive(Debug, Deserialize)]
pub(super) struct Reply {
    /// The request it answers; an event has none.
    pub(super) re: Option<u64>,
    #[serde(default)]
    pub(super) ok: bool,
    pub(super) err: Option<Refusal>,
}

/// An error of the protocol.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) retry_ms: Option<u64>,
}

/// A connected client.
pub(super) struct Speaker {
    socket: Socket,
    number: u64,
}

impl Speaker {
    pub(super) async fn connect(lean: &Lean) -> anyhow::Result<Self> {
        // Request 1 was the attach.
        Ok(Self { socket: lean.connect(WITHIN).await?, number: 1 })
    }

    /// Sends a request that `make` writes for the number it is given.
    pub(super) async fn send(&mut self, make: impl FnOnce(u64) -> String) -> anyhow::Result<u64> {
        self.number += 1;
        let text = make(self.number);
        self.socket.send(Message::text(text)).await.context("send a request")?;
        Ok(self.number)
    }

    /// Sends a request and waits for its reply.
    pub(super) async fn ask(&mut self, make: impl FnOnce(u64) -> String) -> anyhow::Result<Reply> {
        let number = self.send(make).await?;
        tokio::time::timeout(WITHIN, self.reply_to(number)).await.context("no reply in time")?
    }

    async fn reply_to(&mut self, number: u64) -> anyhow::Result<Reply> {
        while let Some(message) = self.socket.next().await {
            let message = message?;
            if let Message::Close(reason) = &message {
                bail!("the server closed the connection: {reason:?}");
            }
            if let Some(reply) = reply(&message)?
                && reply.re == Some(number)
            {
                return Ok(reply);
            }
        }
        bail!("the server closed the connection without a word")
    }

    /// The connection itself.
    pub(super) fn into_socket(self) -> Socket {
        self.socket
    }
}

/// The reply in a message; events are parsed alike and have no `re`.
pub(super) fn reply(message: &Message) -> anyhow::Result<Option<Reply>> {
    match message {
        Message::Text(text) => Ok(Some(serde_json::from_str(text.as_str()).context("a reply")?)),
        Message::Binary(_)
        | Message::Ping(_)
        | Message::Pong(_)
        | Message::Close(_)
        | Message::Frame(_) => Ok(None),
    }
}

/// A `msg.post` of random bytes with a new id.
pub(super) fn post(number: u64, to: &Uri, size: usize) -> String {
    let mut random = [0; 10];
    OsRng.fill(&mut random);
    let mid = MessageId::from_parts(SystemClock::new().now(), random);
    let mut body = vec![0; size];
    OsRng.fill(&mut body);
    let body = STANDARD.encode(body);
    format!(r#"{{"id":{number},"op":"msg.post","mid":"{mid}","to":"{to}","body":"{body}"}}"#)
}
