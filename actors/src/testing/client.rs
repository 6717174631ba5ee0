//! A client of its own making: rustls and tungstenite, nothing of our client library.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crs_keys::pool_ca::PoolCa;
use futures_util::{SinkExt, StreamExt};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::User;

/// Longest wait for anything; only a broken server reaches it.
const LIMIT: Duration = Duration::from_secs(120);

/// A node that a client can reach.
pub(crate) trait Reach {
    fn addr(&self) -> SocketAddr;
    fn ca(&self) -> &PoolCa;
}

/// A connected client.
pub(crate) struct Client {
    pub(crate) ws: WebSocketStream<TlsStream<TcpStream>>,
    next: u64,
    /// Events and replies that were not waited for yet.
    pub(crate) early: Vec<Value>,
}

/// How a connection was refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    Tls(std::io::Error),
    /// The TLS alert as the client saw it, at its first read.
    Read(std::io::Error),
    WebSocket(Error),
}

impl Client {
    /// Connects and reads `welcome`.
    pub(crate) async fn connect(to: &impl Reach, user: Option<&User>) -> Result<Self, Refusal> {
        let tls = Self::tls(to, config(to, user)).await?;
        Self::upgrade(tls).await
    }

    pub(crate) async fn upgrade(tls: TlsStream<TcpStream>) -> Result<Self, Refusal> {
        let mut request = "wss://localhost/crs/v1".into_client_request().unwrap();
        let protocol = "crs.v1".parse().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let upgraded = tokio_tungstenite::client_async(request, tls).await;
        let (ws, _) = upgraded.map_err(|error| {
            if let Error::Io(io) = error { Refusal::Read(io) } else { Refusal::WebSocket(error) }
        })?;
        let mut client = Self { ws, next: 0, early: Vec::new() };
        let welcome = client.event("welcome").await;
        client.early.insert(0, welcome);
        Ok(client)
    }

    /// The TLS part alone. In TLS 1.3 it may succeed although the server is about to refuse.
    pub(crate) async fn tls(
        to: &impl Reach,
        config: ClientConfig,
    ) -> Result<TlsStream<TcpStream>, Refusal> {
        let tcp = TcpStream::connect(to.addr()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(Refusal::Tls)
    }

    /// Sends a request and waits for its reply; events that come first are kept.
    pub(crate) async fn ask(&mut self, op: &str, fields: Value) -> Value {
        let id = self.send(op, fields).await;
        self.reply(id).await
    }

    pub(crate) async fn send(&mut self, op: &str, mut fields: Value) -> u64 {
        self.next += 1;
        fields["id"] = json!(self.next);
        fields["op"] = json!(op);
        self.ws.send(Message::text(fields.to_string())).await.unwrap();
        self.next
    }

    pub(crate) async fn reply(&mut self, id: u64) -> Value {
        self.frame(|frame| frame["re"] == id).await
    }

    /// The reply to a frame without a readable id.
    pub(crate) async fn reply_to_nobody(&mut self) -> Value {
        self.frame(|frame| frame.get("re") == Some(&Value::Null)).await
    }

    pub(crate) async fn event(&mut self, name: &str) -> Value {
        self.frame(|frame| frame["ev"] == name).await
    }

    async fn frame(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.early.iter().position(&wanted) {
            return self.early.remove(at);
        }
        loop {
            let message = self.next_message().await.expect("a frame, not the end");
            if let Message::Text(text) = message {
                let frame: Value = serde_json::from_str(&text).unwrap();
                if wanted(&frame) {
                    return frame;
                }
                self.early.push(frame);
            }
        }
    }

    pub(crate) async fn next_message(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(LIMIT, self.ws.next()).await;
        next.expect("the server does something").and_then(Result::ok)
    }

    /// Reads to the end; the code of the server's close frame.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some(message) = self.next_message().await {
            if let Message::Close(frame) = message {
                code = frame.map(|frame| frame.code.into());
            }
        }
        code
    }
}

/// TLS settings of a client with the user's certificate, or none.
pub(crate) fn config(to: &impl Reach, user: Option<&User>) -> ClientConfig {
    let identity = user
        .map(|user| (vec![user.keys.sign_cert.clone()], user.keys.sign_key.to_pkcs8().unwrap()));
    config_with(to, identity)
}

pub(crate) fn config_with(
    to: &impl Reach,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(to.ca().certificate().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    }
}
