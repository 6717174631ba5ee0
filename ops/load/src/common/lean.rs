//! A client that costs the tester little: TLS with the user's certificate, WebSocket, attach,
//! then nothing but answering pings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use crs_client::Identity;
use crs_client::net::tls;
use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Loopback source addresses, so that ports do not run out.
const SOURCES: usize = 16;

/// One lean client's fixed part.
#[derive(Debug, Clone)]
pub struct Lean {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    server: SocketAddr,
    source: Option<IpAddr>,
    attach: bool,
    receive_buffer: Option<u32>,
}

/// Its connection.
pub type Socket = WebSocketStream<Box<TlsStream<TcpStream>>>;

impl Lean {
    /// Client number `index`. `attach` is false against a floor, which speaks no `crs.v1`.
    pub fn new(
        identity: &Identity,
        server: &str,
        index: usize,
        attach: bool,
    ) -> anyhow::Result<Self> {
        let keys = identity.keys.first().context("a user without keys")?;
        let clock = Arc::new(crs_types::SystemClock::new());
        let config = Arc::new(tls::client_config(&identity.trust, keys, clock)?);
        let name = tls::server_name(&identity.trust, server)?;
        let server: SocketAddr = server.parse().context("the server's address")?;
        let source = server
            .ip()
            .is_loopback()
            .then(|| IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1 + (index % SOURCES) as u8)));
        let source = source.filter(|_| server.is_ipv4());
        Ok(Self { config, name, server, source, attach, receive_buffer: None })
    }

    /// The kernel keeps no more than this for it, bytes (Linux doubles it).
    pub fn with_receive_buffer(self, bytes: u32) -> Self {
        Self { receive_buffer: Some(bytes), ..self }
    }

    /// Connects and registers, within the limit.
    pub async fn connect(&self, limit: Duration) -> anyhow::Result<Socket> {
        tokio::time::timeout(limit, self.attempt()).await.context("no answer in time")?
    }

    async fn attempt(&self) -> anyhow::Result<Socket> {
        let socket = if self.server.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(source) = self.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let tcp = socket.connect(self.server).await?;
        tcp.set_nodelay(true)?;
        let tls = TlsConnector::from(self.config.clone()).connect(self.name.clone(), tcp).await?;
        let mut request = format!("ws://{}/crs/v1", self.server).into_client_request()?;
        let protocol = HeaderValue::from_static("crs.v1");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let limits = WebSocketConfig::default()
            .read_buffer_size(1024)
            .write_buffer_size(0)
            .max_write_buffer_size(64 * 1024);
        let upgraded =
            tokio_tungstenite::client_async_with_config(request, Box::new(tls), Some(limits));
        let (mut socket, _) = upgraded.await?;
        text(&mut socket).await.context("welcome")?;
        if self.attach {
            let attach = r#"{"id":1,"op":"attach","role":"primary","device":"load"}"#;
            socket.send(Message::text(attach)).await?;
            let answer = text(&mut socket).await.context("attach")?;
            if !answer.contains(r#""ok":true"#) {
                bail!("attach was answered with {answer}");
            }
        }
        Ok(socket)
    }
}

/// Answers pings until the connection ends.
pub async fn idle(mut socket: Socket) {
    while let Some(Ok(_)) = socket.next().await {}
}

async fn text(socket: &mut Socket) -> anyhow::Result<String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_) | Message::Close(_) | Message::Frame(_))) | None => {
                bail!("the server closed the connection")
            }
            Some(Err(error)) => return Err(error.into()),
        }
    }
}
