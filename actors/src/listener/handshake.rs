//! From an accepted TCP connection to an authenticated WebSocket, within one time limit.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crs_keys::identity::{self, IdentityError, UserIdentity};
use crs_types::{ClientAddr, ConnectionId};
use rustls::NamedGroup;
use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::socket::{Socket, TlsSocket, WebSocket};
use super::tls::TlsSettings;
use super::upgrade::{self, HEAD_MAX, Progress, Protocol};
use crate::connection::Lifecycle;
use crate::directory::KeyExchange;
use crate::trace::ConnectionState;
use crs_types::limits::FRAME_MAX;

/// TLS and upgrade together must end within this time.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the handshake of one connection needs.
pub(super) struct Terms<'a> {
    pub(super) tls: &'a TlsSettings,
    pub(super) echo: bool,
    /// From loopback or a node of the pool: test clients are welcome.
    pub(super) local: bool,
}

/// An authenticated WebSocket.
pub(crate) struct Established {
    pub(crate) socket: WebSocket,
    pub(crate) identity: UserIdentity,
    pub(crate) key_exchange: KeyExchange,
    pub(crate) protocol: Protocol,
    pub(crate) id: ConnectionId,
    pub(crate) addr: ClientAddr,
    pub(crate) lifecycle: Lifecycle,
}

/// Why a connection did not get as far as a WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Not finished in time.
    #[error("not finished in {} s", HANDSHAKE_TIMEOUT.as_secs())]
    Timeout,
    /// TLS failed: the reason is in the alert that was sent or came.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// The TLS layer let a connection through without a certificate of ours: our bug.
    #[error("no client certificate after the handshake")]
    NoCertificate,
    /// The certificate that was just verified cannot be read: our bug.
    #[error("client certificate: {0}")]
    Identity(#[from] IdentityError),
    /// The upgrade request was refused.
    #[error("upgrade refused: {0}")]
    Upgrade(String),
    /// The connection broke.
    #[error("connection: {0}")]
    Io(io::Error),
}

/// Runs the handshake. TLS finishes with an alert or not at all before any application byte.
pub(super) async fn establish(
    socket: Socket,
    terms: Terms<'_>,
    mut lifecycle: Lifecycle,
) -> Result<Established, HandshakeError> {
    let run = async {
        let (mut tls, identity, key_exchange) = tls(socket, &terms).await?;
        lifecycle.authenticated(&identity);
        let (protocol, rest) = upgrade(&mut tls, terms.echo).await?;
        lifecycle.state(ConnectionState::Negotiated);
        let config = Some(web_socket_config());
        let stream = WebSocketStream::from_partially_read(tls, rest, Role::Server, config).await;
        let (id, addr) = (lifecycle.id(), lifecycle.addr());
        let socket = WebSocket(stream);
        Ok(Established { socket, identity, key_exchange, protocol, id, addr, lifecycle })
    };
    tokio::time::timeout(HANDSHAKE_TIMEOUT, run).await.map_err(|_| HandshakeError::Timeout)?
}

async fn tls(
    socket: Socket,
    terms: &Terms<'_>,
) -> Result<(TlsSocket, UserIdentity, KeyExchange), HandshakeError> {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), socket).await;
    let hello = hello.map_err(HandshakeError::Tls)?;
    // The ClientHello is read before the settings are chosen: remote admins (ALPN crs-admin/1)
    // will get raw-key settings here. Until then theirs is an unknown protocol, refused by alert.
    let settings = terms.tls.choose(&hello.client_hello(), terms.local);
    let stream = Box::pin(hello.into_stream(settings)).await.map_err(HandshakeError::Tls)?;
    let (_, connection) = stream.get_ref();
    let certificate = connection
        .peer_certificates()
        .and_then(|chain| chain.first())
        .ok_or(HandshakeError::NoCertificate)?;
    // Verified by the handshake; here only read.
    let identity = identity::unverified(certificate)?;
    let key_exchange = match connection.negotiated_key_exchange_group().map(|g| g.name()) {
        Some(NamedGroup::X25519MLKEM768) => KeyExchange::Hybrid,
        Some(_) | None => KeyExchange::Classical,
    };
    Ok((TlsSocket::new(stream), identity, key_exchange))
}

/// Reads the request and answers it; returns what came behind it.
async fn upgrade(tls: &mut TlsSocket, echo: bool) -> Result<(Protocol, Vec<u8>), HandshakeError> {
    let mut head = Vec::with_capacity(1024);
    loop {
        match upgrade::parse(&head, echo) {
            Progress::More => {}
            Progress::Upgrade { protocol, response, used } => {
                tls.write_all(response.as_bytes()).await.map_err(HandshakeError::Io)?;
                tls.flush().await.map_err(HandshakeError::Io)?;
                return Ok((protocol, head.split_off(used)));
            }
            Progress::Refuse(response) => {
                let status = response.lines().next().unwrap_or_default().to_owned();
                tls.write_all(response.as_bytes()).await.map_err(HandshakeError::Io)?;
                tls.shutdown().await.map_err(HandshakeError::Io)?;
                return Err(HandshakeError::Upgrade(status));
            }
        }
        let mut chunk = [0; 1024];
        let room = HEAD_MAX.saturating_sub(head.len()).clamp(1, chunk.len());
        let came = tls.read(&mut chunk[..room]).await.map_err(HandshakeError::Io)?;
        if came == 0 {
            return Err(HandshakeError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        head.extend_from_slice(&chunk[..came]);
    }
}

/// 1 KiB of read buffer and no write buffer: an idle connection stays small (docs/performance.md).
fn web_socket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(0)
        .max_write_buffer_size(256 * 1024)
        .max_message_size(Some(FRAME_MAX))
        .max_frame_size(Some(FRAME_MAX))
}

impl HandshakeError {
    /// True when it counts against the address: everything but a peer that closed by itself.
    pub(super) fn is_offence(&self) -> bool {
        match self {
            Self::Timeout | Self::Tls(_) | Self::Upgrade(_) => true,
            Self::NoCertificate | Self::Identity(_) | Self::Io(_) => false,
        }
    }
}

/// A connection's settings that every handshake of a listener shares.
pub(super) fn is_local(addr: ClientAddr, pool: &Arc<[std::net::IpAddr]>) -> bool {
    addr.ip().is_loopback() || pool.contains(&addr.ip())
}
