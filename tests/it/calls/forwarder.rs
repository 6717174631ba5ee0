//! A TCP forwarder in front of the node, so that a test can cut one client's connection.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Forwards every connection until it is told to cut them.
pub(super) struct Forwarder {
    /// Where it listens.
    pub(super) address: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    streams: Mutex<JoinSet<()>>,
    connections: AtomicUsize,
    closed: AtomicBool,
}

impl Forwarder {
    pub(super) async fn start(to: &str) -> Self {
        let to: SocketAddr = to.parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(accept(listener, to, Arc::clone(&shared)));
        Self { address, shared, task }
    }

    /// Cuts all connections without a word to either side's TLS.
    pub(super) fn cut(&self) {
        self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// From now on nobody gets through.
    pub(super) fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Connections that got through so far.
    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, shared: Arc<Shared>) {
    while let Ok((mut client, _)) = listener.accept().await {
        if shared.closed.load(Ordering::SeqCst) {
            continue;
        }
        let Ok(mut server) = TcpStream::connect(to).await else { continue };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let mut streams = shared.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}
