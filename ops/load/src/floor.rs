//! The floor of `idle` and `storm`: a bare server with TLS 1.3, client certificates and
//! WebSocket, in a process of its own. It says one word to each client and keeps the connection.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::Context;
use crs_client::net::crypto_provider;
use futures_util::{SinkExt, StreamExt};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::common::users::Users;

/// Options of the hidden command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server's identity and the CAs of its clients
    files: PathBuf,
}

/// What the floor needs, in a file.
#[derive(Debug, Serialize, Deserialize)]
struct Files {
    /// The server's own certificate and its CA's, as a node sends them.
    chain: Vec<Vec<u8>>,
    key: Vec<u8>,
    account_cas: Vec<Vec<u8>>,
}

/// A running floor.
#[derive(Debug)]
pub struct Floor {
    child: Child,
    /// Where it listens.
    pub address: String,
    /// The users, told to trust it.
    pub users: Users,
}

impl Floor {
    /// Starts the floor as a child of this program.
    pub async fn start(users: &Users, folder: &Path) -> anyhow::Result<Self> {
        let (chain, key) = server_identity()?;
        let files = Files { chain, key, account_cas: users.account_cas.clone() };
        let path = folder.join("floor.json");
        std::fs::write(&path, serde_json::to_vec(&files)?)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("floor-server").arg(&path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("start the floor")?;
        let stdout = child.stdout.take().context("the floor's output")?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let address = line.context("the floor ended at once")?;
        let mut users = users.clone();
        let ca = files.chain.last().context("the floor has no CA")?;
        for identity in &mut users.identities {
            identity.trust = crs_client::ServerTrust::PoolCa(vec![ca.clone()]);
        }
        Ok(Self { child, address, users })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Ends it.
    pub async fn end(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("end the floor")
    }
}

/// A chain of the form of a node's: P-256, the server's certificate and the CA's.
fn server_identity() -> anyhow::Result<(Vec<Vec<u8>>, Vec<u8>)> {
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "floor");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca_key = KeyPair::generate()?;
    let ca_certificate = ca.self_signed(&ca_key)?;
    let mut own = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
    own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    own.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = own.signed_by(&key, &Issuer::new(ca, ca_key))?;
    let chain = vec![certificate.der().to_vec(), ca_certificate.der().to_vec()];
    Ok((chain, key.serialize_der()))
}

/// The floor itself. Ends with its standard input, that is, with the program that started it.
pub async fn serve(args: Args) -> anyhow::Result<()> {
    let files: Files = serde_json::from_slice(&std::fs::read(&args.files)?)?;
    crate::common::process::raise_file_limit(0)?;
    let acceptor = TlsAcceptor::from(Arc::new(config(&files)?));
    let listener = listen()?;
    println!("{}", listener.local_addr()?);
    let mut input = tokio::io::stdin();
    let mut nothing = [0];
    let parent = input.read(&mut nothing);
    tokio::pin!(parent);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut parent => return Ok(()),
        };
        let Ok((tcp, _)) = accepted else { continue };
        let acceptor = acceptor.clone();
        // The floor ends with its process: there is nobody to report a lost client to.
        drop(tokio::spawn(async move {
            if let Ok(socket) = greet(acceptor, tcp).await {
                // A fresh, small task for the long idle time; the handshake's future is gone.
                drop(tokio::spawn(idle(socket)));
            }
        }));
    }
}

type Socket = tokio_tungstenite::WebSocketStream<Box<tokio_rustls::server::TlsStream<TcpStream>>>;

fn listen() -> anyhow::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    Ok(socket.listen(4096)?)
}

async fn greet(acceptor: TlsAcceptor, tcp: TcpStream) -> anyhow::Result<Socket> {
    tcp.set_nodelay(true)?;
    let tls = Box::new(acceptor.accept(tcp).await?);
    let limits = WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(0)
        .max_write_buffer_size(256 * 1024)
        .max_message_size(Some(96 * 1024));
    let accept = tokio_tungstenite::accept_hdr_async_with_config(tls, protocol, Some(limits));
    let mut socket = accept.await?;
    socket.send(Message::text("hello")).await?;
    Ok(socket)
}

#[allow(clippy::result_large_err, reason = "the signature of the WebSocket library's callback")]
fn protocol(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let name = HeaderValue::from_static("crs.v1");
    response.headers_mut().insert("Sec-WebSocket-Protocol", name);
    Ok(response)
}

async fn idle(mut socket: Socket) {
    while let Some(Ok(_)) = socket.next().await {}
}

fn config(files: &Files) -> anyhow::Result<ServerConfig> {
    let mut roots = RootCertStore::empty();
    for ca in &files.account_cas {
        roots.add(CertificateDer::from(ca.clone()))?;
    }
    let provider = crypto_provider();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let key = PrivateKeyDer::try_from(files.key.clone()).map_err(|e| anyhow::anyhow!("{e}"))?;
    let chain = files.chain.iter().cloned().map(CertificateDer::from).collect();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
