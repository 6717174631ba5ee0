//! One connection up to the server's first frame. In TLS 1.3 the client's handshake ends before
//! the server has judged its certificate: only `welcome` means that we are in.

use std::sync::Arc;
use std::time::Duration;

use crs_proto::codec::{Event, ServerFrame, parse_server_frame};
use crs_proto::wire::life::Welcome;
use futures_util::StreamExt;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

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
    let failed = |why: String| ClientError::Connect { server: server.to_owned(), why };
    match tokio::time::timeout(limit, attempt(server, name, config)).await {
        Ok(result) => result.map_err(failed),
        Err(_) => Err(failed(format!("no answer within {:.1} s", limit.as_secs_f64()))),
    }
}

async fn attempt(
    server: &str,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> Result<Link, String> {
    let tcp = TcpStream::connect(server).await.map_err(|e| e.to_string())?;
    tcp.set_nodelay(true).map_err(|e| e.to_string())?;
    let tls = TlsConnector::from(config).connect(name, tcp).await.map_err(|e| e.to_string())?;
    let mut socket = upgrade(server, Box::new(tls)).await?;
    let welcome = first_frame(&mut socket).await?;
    Ok(Link { socket, welcome })
}

async fn upgrade(server: &str, tls: Box<TlsStream<TcpStream>>) -> Result<Socket, String> {
    let url = format!("ws://{server}{}", crs_proto::UPGRADE_PATH);
    let mut request = url.into_client_request().map_err(|e| e.to_string())?;
    let protocol = HeaderValue::from_static(crs_proto::SUBPROTOCOL);
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    let limits = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_MAX)
        .max_message_size(Some(FRAME_MAX))
        .max_frame_size(Some(FRAME_MAX));
    tokio_tungstenite::client_async_with_config(request, tls, Some(limits))
        .await
        .map(|(socket, _)| socket)
        .map_err(|e| refused(&e.to_string()))
}

async fn first_frame(socket: &mut Socket) -> Result<Welcome, String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return match parse_server_frame(&text).map_err(|e| e.to_string())? {
                    ServerFrame::Event { event: Event::Welcome(welcome), .. } => Ok(*welcome),
                    ServerFrame::Event { .. }
                    | ServerFrame::UnknownEvent { .. }
                    | ServerFrame::Reply { .. } => {
                        Err("expected `welcome` as the server's first frame".to_owned())
                    }
                };
            }
            Some(Ok(Message::Close(Some(frame)))) => {
                return Err(format!("closed by the server: {} {}", frame.code, frame.reason));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(None) | Message::Binary(_) | Message::Frame(_))) | None => {
                return Err("closed by the server before `welcome`".to_owned());
            }
            Some(Err(e)) => return Err(refused(&e.to_string())),
        }
    }
}

/// Words for the alerts by which a server refuses a certificate.
fn refused(text: &str) -> String {
    let alert = ["alert", "certificate", "AccessDenied"].iter().any(|word| text.contains(word));
    if alert {
        format!(
            "the server refuses this client's certificate ({text}); `crs-client status` shows its month, a revoked or too old one needs a new enrolment"
        )
    } else {
        text.to_owned()
    }
}
