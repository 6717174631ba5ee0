//! From an accepted TCP connection to an authenticated WebSocket, within one time limit.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crs_keys::identity::{self, IdentityError, IssuerId, UserIdentity};
use crs_types::{ClientAddr, ConnectionId};
use rustls::NamedGroup;
use rustls::server::Acceptor;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::refused::{self, Refused};
use super::socket::{Socket, TlsSocket, WebSocket};
use super::tls::TlsSettings;
use super::upgrade::{self, HEAD_MAX, Progress, Protocol};
use crate::accounts::AccountRegistry;
use crate::connection::Lifecycle;
use crate::directory::KeyExchange;
use crate::trace::ConnectionState;
use crs_types::limits::FRAME_MAX;

/// TLS and upgrade together must end within this time.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes read and dropped behind a refused upgrade: a body of that size does not keep its sender
/// from reading the status.
const REFUSED_DRAIN_MAX: usize = 1024 * 1024;

/// What the handshake of one connection needs.
pub(super) struct Terms<'a> {
    pub(super) tls: &'a TlsSettings,
    pub(super) accounts: &'a AccountRegistry,
    pub(super) echo: bool,
    /// From loopback or a node of the pool: test clients are welcome.
    pub(super) local: bool,
}

/// An authenticated WebSocket.
pub(crate) struct Established {
    pub(crate) socket: WebSocket,
    pub(crate) identity: UserIdentity,
    /// The account's CA that has certified the keys; `None` for a test client.
    pub(crate) issuer: Option<IssuerId>,
    pub(crate) key_exchange: KeyExchange,
    pub(crate) protocol: Protocol,
    pub(crate) id: ConnectionId,
    pub(crate) addr: ClientAddr,
    pub(crate) lifecycle: Lifecycle,
}

/// Why a connection did not get as far as a WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer closed without having sent anything, as probes and load balancers do.
    #[error("closed without a byte")]
    Unused,
    /// The verifier did not take the certificate.
    #[error("TLS: certificate refused, {}: {alert}", refused.why)]
    Refused {
        /// What the operator is told.
        refused: Refused,
        /// What the peer is told.
        alert: io::Error,
    },
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
    /// The CA that issued the certificate was retired during the handshake, or its account deleted.
    #[error("the certificate's CA has just been retired")]
    Retired,
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
        socket.first_byte().await.map_err(|_| HandshakeError::Unused)?;
        let (mut tls, identity, issuer, key_exchange) = tls(socket, &terms).await?;
        lifecycle.authenticated(&identity);
        let (protocol, rest) = upgrade(&mut tls, terms.echo).await?;
        lifecycle.state(ConnectionState::Negotiated);
        let config = Some(web_socket_config());
        let stream = WebSocketStream::from_partially_read(tls, rest, Role::Server, config).await;
        let (id, addr) = (lifecycle.id(), lifecycle.addr());
        let socket = WebSocket(stream);
        Ok(Established { socket, identity, issuer, key_exchange, protocol, id, addr, lifecycle })
    };
    tokio::time::timeout(HANDSHAKE_TIMEOUT, run).await.map_err(|_| HandshakeError::Timeout)?
}

async fn tls(
    socket: Socket,
    terms: &Terms<'_>,
) -> Result<(TlsSocket, UserIdentity, Option<IssuerId>, KeyExchange), HandshakeError> {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), socket).await;
    let hello = hello.map_err(HandshakeError::Tls)?;
    // The ClientHello is read before the settings are chosen: remote admins (ALPN crs-admin/1)
    // will get raw-key settings here. Until then theirs is an unknown protocol, refused by alert.
    let settings = terms.tls.choose(&hello.client_hello(), terms.local);
    let (stream, found) = refused::watching(Box::pin(hello.into_stream(settings))).await;
    let stream = stream.map_err(|alert| match found {
        Some(refused) => HandshakeError::Refused { refused, alert },
        None => HandshakeError::Tls(alert),
    })?;
    let (_, connection) = stream.get_ref();
    let certificate = connection
        .peer_certificates()
        .and_then(|chain| chain.first())
        .ok_or(HandshakeError::NoCertificate)?;
    // Verified by the handshake; here only read.
    let identity = identity::unverified(certificate)?;
    let issuer = issuer(terms.accounts, &identity, certificate)?;
    let key_exchange = match connection.negotiated_key_exchange_group().map(|g| g.name()) {
        Some(NamedGroup::X25519MLKEM768) => KeyExchange::Hybrid,
        Some(_) | None => KeyExchange::Classical,
    };
    Ok((TlsSocket::new(stream), identity, issuer, key_exchange))
}

/// Found by the accounts as they are after the handshake: what changes from here on is held against
/// it, and what has changed meanwhile is noticed here.
pub(super) fn issuer(
    accounts: &AccountRegistry,
    identity: &UserIdentity,
    certificate: &CertificateDer<'_>,
) -> Result<Option<IssuerId>, HandshakeError> {
    if identity.uri.is_test_client() {
        return Ok(None);
    }
    let view = accounts.view();
    let cas = view.account(&identity.account).map_or(&[][..], |account| account.cas());
    identity::issuer(certificate, cas).map(Some).ok_or(HandshakeError::Retired)
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
                tls.drain(REFUSED_DRAIN_MAX).await;
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
            Self::Timeout | Self::Refused { .. } | Self::Tls(_) | Self::Upgrade(_) => true,
            Self::Unused
            | Self::NoCertificate
            | Self::Identity(_)
            | Self::Retired
            | Self::Io(_) => false,
        }
    }
}

/// A connection's settings that every handshake of a listener shares.
pub(super) fn is_local(addr: ClientAddr, pool: &Arc<[std::net::IpAddr]>) -> bool {
    addr.ip().is_loopback() || pool.contains(&addr.ip())
}
