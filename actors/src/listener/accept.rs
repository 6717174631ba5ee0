//! The accept loop: takes connections within the limits and runs their handshakes.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crs_types::ClientAddr;
use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::capacity::Capacity;
use super::failures::Failures;
use super::handshake::{self, HandshakeError, Terms};
use super::newcomers::Newcomers;
use super::refused::{self, RefusedLines};
use super::socket::Socket;
use super::tls::TlsSettings;
use super::upgrade::Protocol;
use crate::connection::{self, Lifecycle};
use crate::context::NodeContext;
use crate::directory::KeyExchange;
use crate::supervisor::{ChildSpec, Restart, SupervisorHandle, task_child};

/// File descriptors kept free for the store, peers, admins and the relay.
pub const FD_RESERVE: usize = 512;
/// Handshakes under way at once; beyond it accepting pauses.
pub const HANDSHAKES_MAX: usize = 8_192;
/// Bytes of the kernel's send buffer of one client (Linux doubles it for its own books).
const SEND_BUFFER: usize = 128 * 1024;
/// How long accepting pauses when the system has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a listener that pauses at a limit looks whether it still has to.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a client listener needs. Shared by all listeners of a node.
pub struct ListenerShared {
    /// The node.
    pub context: Arc<NodeContext>,
    /// TLS of the client port.
    pub tls: TlsSettings,
    /// Where connection actors live.
    pub connections: SupervisorHandle,
    /// Counts connections.
    pub capacity: Arc<Capacity>,
    /// Failed handshakes by address.
    pub failures: Failures,
    /// Connections that have not attached, by network.
    pub newcomers: Arc<Newcomers>,
    /// What the operator is told of refused certificates.
    pub refused: RefusedLines,
    /// Open files this process may have.
    pub fd_limit: usize,
    /// Handshakes under way at once: [`HANDSHAKES_MAX`], unless a test wants fewer.
    pub handshakes: usize,
    /// Addresses of the pool's nodes, whose test clients are welcome.
    pub pool: Arc<[IpAddr]>,
    /// Offer the test-only echo.
    pub echo: bool,
    /// Count failed handshakes of loopback addresses too; off by default, for whoever is on the
    /// machine can do worse.
    pub limit_loopback: bool,
}

/// A listener as a supervised child: transient, on the same socket when it is started again.
pub fn child(socket: Arc<TcpListener>, shared: Arc<ListenerShared>) -> ChildSpec {
    task_child("client_listener", Restart::Transient, move || {
        let (socket, shared) = (Arc::clone(&socket), Arc::clone(&shared));
        async move { run(socket, shared).await.to_string() }.boxed()
    })
}

/// Accepts until the future is dropped; returns only on an error of the socket itself.
async fn run(listener: Arc<TcpListener>, shared: Arc<ListenerShared>) -> io::Error {
    let mut handshakes = JoinSet::new();
    let metrics = &shared.context.metrics.listener;
    loop {
        reap(&mut handshakes);
        if handshakes.len() >= shared.handshakes || !shared.has_room() {
            metrics.accept_paused.increment(1);
            tokio::select! {
                () = shared.capacity.freed() => {}
                // Another listener may have taken the news of a free place, or SIGHUP may have
                // raised the limit.
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                Some(ended) = handshakes.join_next() => log_panic(ended),
            }
            continue;
        }
        match listener.accept().await {
            Ok((tcp, addr)) => {
                metrics.accepted.increment(1);
                let (shared, addr) = (Arc::clone(&shared), ClientAddr::new(addr));
                // Most of them may have ended while nobody came.
                reap(&mut handshakes);
                let free = shared.handshakes.saturating_sub(handshakes.len());
                if let Some(lifecycle) = shared.take_in(addr, free) {
                    handshakes.spawn(serve(tcp, shared, lifecycle));
                }
            }
            Err(error) if is_transient(&error) => {}
            Err(error) if is_exhausted(&error) => {
                metrics.accept_paused.increment(1);
                tracing::warn!(%error, "accepting pauses");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return error,
        }
    }
}

impl ListenerShared {
    /// One more connection fits. Two listeners may both see the last place: the limit is
    /// exceeded by at most the number of listeners.
    fn has_room(&self) -> bool {
        let limits = self.context.settings().limits;
        let by_files = self.fd_limit.saturating_sub(FD_RESERVE);
        self.capacity.count() < limits.connections.min(by_files)
    }

    /// A new connection's places, unless its address or its network has used up its own: then it
    /// is closed unread.
    fn take_in(&self, addr: ClientAddr, free: usize) -> Option<Lifecycle> {
        let metrics = &self.context.metrics.listener;
        if self.refuses(addr) {
            metrics.refused_address.increment(1);
            return None;
        }
        let Some(newcomer) = self.newcomers.enter(addr, free) else {
            metrics.refused_network.increment(1);
            return None;
        };
        let place = self.capacity.enter();
        Some(Lifecycle::connected(Arc::clone(&self.context), addr, place, newcomer))
    }

    fn counts(&self, addr: ClientAddr) -> bool {
        self.limit_loopback || !addr.ip().is_loopback()
    }

    fn refuses(&self, addr: ClientAddr) -> bool {
        let rate = self.context.settings().limits.failed_handshakes_per_minute;
        self.counts(addr) && self.failures.refuses(addr, rate, self.context.clock.mono())
    }

    fn failed(&self, addr: ClientAddr, error: &HandshakeError) {
        let metrics = &self.context.metrics.listener;
        match error {
            HandshakeError::Timeout => metrics.handshake_timeout.increment(1),
            HandshakeError::Upgrade(_) => metrics.upgrade_failed.increment(1),
            HandshakeError::Unused => self.context.metrics.traffic.unused.increment(1),
            HandshakeError::Refused { refused, .. } => {
                self.refused.tell(&self.context, addr, refused);
            }
            HandshakeError::Tls(_)
            | HandshakeError::NoCertificate
            | HandshakeError::Identity(_)
            | HandshakeError::Retired
            | HandshakeError::Io(_) => {}
        }
        if let Some(word) = refused::word(error) {
            self.context.metrics.traffic.handshakes.count(word);
        }
        if error.is_offence() && self.counts(addr) {
            let rate = self.context.settings().limits.failed_handshakes_per_minute;
            self.failures.count(addr, rate, self.context.clock.mono());
        }
        tracing::debug!(%addr, %error, "handshake failed");
    }
}

/// One connection up to its actor. This future ends when the actor has taken over, so that an
/// idle connection does not keep a handshake's memory.
async fn serve(tcp: TcpStream, shared: Arc<ListenerShared>, lifecycle: Lifecycle) {
    let (context, addr) = (&shared.context, lifecycle.addr());
    let began = context.clock.mono();
    let gauge = context.metrics.listener.handshaking.clone();
    gauge.increment(1.0);
    context.metrics.listener.handshakes_started.increment(1);
    tune(&tcp);
    let local = handshake::is_local(addr, &shared.pool);
    let accounts = &context.accounts;
    let terms = Terms { tls: &shared.tls, accounts, echo: shared.echo, local };
    let outcome = Box::pin(handshake::establish(Socket::new(tcp), terms, lifecycle)).await;
    gauge.decrement(1.0);
    let established = match outcome {
        Ok(established) => established,
        Err(error) => return shared.failed(addr, &error),
    };
    let seconds = context.clock.mono().since(began).as_secs_f64();
    context.metrics.listener.handshake_seconds.record(seconds);
    match established.key_exchange {
        KeyExchange::Hybrid => context.metrics.listener.key_exchange_hybrid.increment(1),
        KeyExchange::Classical => context.metrics.listener.key_exchange_classical.increment(1),
    }
    match established.protocol {
        Protocol::Crs => connection::start(established, context, &shared.connections).await,
        Protocol::Echo => connection::echo(established).await,
    }
}

/// Forgets handshakes that have ended.
fn reap(handshakes: &mut JoinSet<()>) {
    while let Some(ended) = handshakes.try_join_next() {
        log_panic(ended);
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a handshake panicked");
    }
}

/// Errors of the connection that was about to be accepted, not of the listener.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::PermissionDenied
    )
}

/// Too many open files (this process or the system), or no memory for a socket.
fn is_exhausted(error: &io::Error) -> bool {
    const EXHAUSTED: [nix::errno::Errno; 4] = [
        nix::errno::Errno::EMFILE,
        nix::errno::Errno::ENFILE,
        nix::errno::Errno::ENOBUFS,
        nix::errno::Errno::ENOMEM,
    ];
    error.raw_os_error().is_some_and(|raw| EXHAUSTED.contains(&nix::errno::Errno::from_raw(raw)))
}

fn tune(tcp: &TcpStream) {
    let _ = tcp.set_nodelay(true);
    // Left to itself the kernel takes megabytes for a client that does not read.
    let _ = socket2::SockRef::from(tcp).set_send_buffer_size(SEND_BUFFER);
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// What a reader that has stopped leaves in the kernel is bounded by both buffers.
    #[tokio::test]
    async fn the_kernel_takes_little_for_a_client_that_does_not_read() {
        const RECEIVE_BUFFER: u32 = 32 * 1024;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(client.connect(address), listener.accept());
        let (_client, tcp) = (client.unwrap(), accepted.unwrap().0);
        tune(&tcp);
        // Linux doubles what is asked for.
        assert_eq!(SockRef::from(&tcp).send_buffer_size().unwrap(), 2 * SEND_BUFFER);
        let chunk = [0; 4096];
        let mut written = 0;
        tcp.writable().await.unwrap();
        while let Ok(count) = tcp.try_write(&chunk) {
            written += count;
        }
        let bound = 2 * SEND_BUFFER + 2 * RECEIVE_BUFFER as usize;
        assert!(written <= bound, "{written} bytes, {bound} at most");
    }
}
