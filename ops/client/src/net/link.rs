//! One connection up to the server's first frame. In TLS 1.3 the client's handshake ends before
//! the server has judged its certificate: only `welcome` means that we are in.

use std::sync::Arc;
use std::time::Duration;

use crs_proto::codec::{Event, ServerFrame, parse_server_frame};
use crs_proto::wire::life::Welcome;
use futures_util::StreamExt;
use rustls::{AlertDescription, ClientConfig};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::error::ClientError;

/// Largest frame taken from the server.
const FRAME_MAX: usize = 2 * crs_types::limits::FRAME_MAX;
/// Unread bytes that may wait in the write buffer before the connection is given up.
const WRITE_MAX: usize = 4 * 1024 * 1024;

/// A WebSocket over TLS over TCP.
pub type Socket = WebSocketStream<Box<TlsStream<TcpStream>>>;

/// A connection that the server has welcomed.
#[derive(Debug)]
pub struct Link {
    /// The socket.
    pub socket: Socket,
    /// The first frame.
    pub welcome: Welcome,
}

/// Connects to `host:port` and waits for `welcome`, all within the time limit.
pub async fn connect(
    server: &str,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    limit: Duration,
) -> Result<Link, ClientError> {
    let server_name = server.to_owned();
    match tokio::time::timeout(limit, attempt(server, name, config)).await {
        Ok(Ok(link)) => Ok(link),
        Ok(Err(Failed::Refused(why))) => Err(ClientError::NotAdmitted { server: server_name, why }),
        Ok(Err(Failed::Other(why))) => Err(ClientError::Connect { server: server_name, why }),
        Err(_) => {
            let why = format!("no answer within {:.1} s", limit.as_secs_f64());
            Err(ClientError::Connect { server: server_name, why })
        }
    }
}

/// Why an attempt failed.
enum Failed {
    /// The server does not take our certificate.
    Refused(String),
    Other(String),
}

impl From<String> for Failed {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

async fn attempt(
    server: &str,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> Result<Link, Failed> {
    let tcp = TcpStream::connect(server).await.map_err(|e| e.to_string())?;
    tcp.set_nodelay(true).map_err(|e| e.to_string())?;
    let tls = TlsConnector::from(config).connect(name, tcp).await.map_err(|e| e.to_string())?;
    let mut socket = upgrade(server, Box::new(tls)).await?;
    let welcome = first_frame(&mut socket).await?;
    Ok(Link { socket, welcome })
}

async fn upgrade(server: &str, tls: Box<TlsStream<TcpStream>>) -> Result<Socket, Failed> {
    let url = format!("ws://{server}{}", crs_proto::UPGRADE_PATH);
    let mut request = url.into_client_request().map_err(|e| e.to_string())?;
    let protocol = HeaderValue::from_static(crs_proto::SUBPROTOCOL);
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    tokio_tungstenite::client_async_with_config(request, tls, Some(limits()))
        .await
        .map(|(socket, _)| socket)
        .map_err(|e| judged(&e))
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_MAX)
        .max_message_size(Some(FRAME_MAX))
        .max_frame_size(Some(FRAME_MAX))
}

async fn first_frame(socket: &mut Socket) -> Result<Welcome, Failed> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return match parse_server_frame(&text).map_err(|e| e.to_string())? {
                    ServerFrame::Event { event: Event::Welcome(welcome), .. } => Ok(*welcome),
                    ServerFrame::Event { .. }
                    | ServerFrame::UnknownEvent { .. }
                    | ServerFrame::Reply { .. } => {
                        Err("expected `welcome` as the server's first frame".to_owned().into())
                    }
                };
            }
            Some(Ok(Message::Close(Some(frame)))) => {
                return Err(format!("closed by the server: {} {}", frame.code, frame.reason).into());
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(None) | Message::Binary(_) | Message::Frame(_))) | None => {
                return Err("closed by the server before `welcome`".to_owned().into());
            }
            Some(Err(e)) => return Err(judged(&e)),
        }
    }
}

/// Tells an alert about our certificate from everything else that goes wrong. In TLS 1.3 it
/// comes after the client's side of the handshake.
fn judged(error: &Error) -> Failed {
    let Error::Io(io) = error else { return Failed::Other(error.to_string()) };
    let tls = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::AlertReceived(alert)) if about_certificate(*alert) => {
            let why = why_refused(*alert);
            Failed::Refused(format!("it refuses this client's certificate ({alert:?}); {why}"))
        }
        Some(_) | None => Failed::Other(error.to_string()),
    }
}

/// What the user can do, or whom he has to ask.
fn why_refused(alert: AlertDescription) -> &'static str {
    if alert == AlertDescription::UnknownCA {
        return "it does not know who made it: the organisation's update file is not applied there yet, or \
                this is the server of somebody else";
    }
    "`crs-client status` shows its month, a revoked or too old one needs a new enrolment"
}

fn about_certificate(alert: AlertDescription) -> bool {
    [
        AlertDescription::BadCertificate,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::CertificateRevoked,
        AlertDescription::CertificateExpired,
        AlertDescription::CertificateUnknown,
        AlertDescription::UnknownCA,
        AlertDescription::AccessDenied,
        // Its signature does not verify.
        AlertDescription::DecryptError,
        AlertDescription::CertificateRequired,
    ]
    .contains(&alert)
}

#[cfg(test)]
mod tests {
    use futures_util::Sink;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    #[test]
    fn an_unknown_authority_is_told_apart_from_an_old_certificate() {
        let unknown = why_refused(AlertDescription::UnknownCA);
        assert!(unknown.contains("update file is not applied"), "{unknown}");
        let old = why_refused(AlertDescription::CertificateExpired);
        assert!(old.starts_with("`crs-client status`"), "{old}");
    }

    /// A peer that reads nothing, with these limits on our side.
    async fn unread() -> (WebSocketStream<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1024);
        (WebSocketStream::from_raw_socket(ours, Role::Client, Some(limits())).await, theirs)
    }

    #[tokio::test]
    async fn what_a_peer_does_not_read_is_kept_up_to_the_limit() {
        const FRAME: usize = 96 * 1024;
        let (mut socket, _peer) = unread().await;
        // Started without asking whether there is room: the driver's time limit is left out here.
        let refused = (1..=WRITE_MAX / FRAME + 1).find(|_| {
            let sent = Pin::new(&mut socket).start_send(Message::text("x".repeat(FRAME)));
            match sent {
                Err(Error::WriteBufferFull(_)) => true,
                Ok(()) => false,
                Err(other) => panic!("{other}"),
            }
        });
        // Each takes 14 bytes of header, and what the pipe took has left the buffer.
        assert_eq!(refused, Some(WRITE_MAX / FRAME + 1));
    }

    #[tokio::test]
    async fn a_frame_over_the_limit_is_not_taken() {
        for (length, taken) in [(FRAME_MAX, true), (FRAME_MAX + 1, false)] {
            let (ours, theirs) = tokio::io::duplex(2 * FRAME_MAX);
            let mut socket =
                WebSocketStream::from_raw_socket(ours, Role::Client, Some(limits())).await;
            let mut server = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
            let sending = Pin::new(&mut server).start_send(Message::text("x".repeat(length)));
            sending.unwrap();
            let flushed = Pin::new(&mut server).poll_flush(&mut Context::from_waker(Waker::noop()));
            assert!(flushed.is_ready(), "the pipe holds it all");
            let got = socket.next().await.unwrap();
            assert_eq!(got.is_ok(), taken, "{length} bytes: {got:?}");
        }
    }
}
