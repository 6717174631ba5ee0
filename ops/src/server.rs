//! The HTTP listener of the operator's tools: `/metrics`, `/live`, `/ready`. Loopback by default.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use crate::{Health, Metrics};

/// Connections served at once; more wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 32;
/// Longest life of a connection, so that a silent peer gives its place back.
pub const CONNECTION_LIFE: Duration = Duration::from_secs(120);
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr} for metrics and health: {source}")]
pub struct ServerError {
    addr: SocketAddr,
    source: io::Error,
}

/// A bound listener; [`HealthServer::spawn`] starts to answer.
#[derive(Debug)]
pub struct HealthServer {
    listener: TcpListener,
    local: SocketAddr,
}

/// A running server.
#[derive(Debug)]
pub struct RunningHealthServer {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl HealthServer {
    /// Binds, answers nothing yet.
    pub async fn bind(addr: SocketAddr) -> Result<Self, ServerError> {
        let failed = |source| ServerError { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, local })
    }

    /// Where it listens (the port is known even when 0 was asked for).
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Starts to answer.
    pub fn spawn(self, metrics: Metrics, health: Health) -> RunningHealthServer {
        let (stop, stopped) = watch::channel(false);
        let listener =
            Limited { inner: self.listener, permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)) };
        let task = tokio::spawn(serve(listener, metrics, health, stopped));
        RunningHealthServer { task, stop }
    }
}

impl RunningHealthServer {
    /// Stops; waits a moment for answers under way.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(STOP_TIMEOUT, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

async fn serve(
    listener: Limited,
    metrics: Metrics,
    health: Health,
    stopped: watch::Receiver<bool>,
) {
    let router = router(metrics.clone(), health);
    let mut until = stopped.clone();
    let shutdown = async move {
        // An error means that the owner is gone, which ends the server as well.
        let _gone = until.wait_for(|stop| *stop).await;
    };
    let server = axum::serve(listener, router).with_graceful_shutdown(shutdown);
    tokio::select! {
        result = async { server.await } => {
            if let Err(error) = result {
                tracing::warn!(module = "ops", %error, "the metrics listener ended");
            }
        }
        () = upkeep(metrics) => {}
    }
}

async fn upkeep(metrics: Metrics) {
    let mut tick = tokio::time::interval(UPKEEP_EVERY);
    loop {
        tick.tick().await;
        metrics.upkeep();
    }
}

fn router(metrics: Metrics, health: Health) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics).with_state(metrics))
        .route("/live", get(show_live).with_state(health.clone()))
        .route("/ready", get(show_ready).with_state(health))
}

async fn show_metrics(State(metrics): State<Metrics>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, metrics.render()).into_response()
}

async fn show_live(State(health): State<Health>) -> Response {
    let live = health.live();
    json(live, &serde_json::json!({ "live": live }))
}

async fn show_ready(State(health): State<Health>) -> Response {
    let report = health.report();
    json(report.ready, &report)
}

fn json(ok: bool, body: &impl serde::Serialize) -> Response {
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::to_string(body).unwrap_or_else(|_| "{}".to_owned());
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A listener that serves a bounded number of connections for a bounded time.
struct Limited {
    inner: TcpListener,
    permits: Arc<Semaphore>,
}

impl axum::serve::Listener for Limited {
    type Io = LimitedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (LimitedStream, SocketAddr) {
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                // Never closed; if it were, there would be nothing left to accept.
                std::future::pending::<()>().await;
                continue;
            };
            match self.inner.accept().await {
                Ok((stream, peer)) => {
                    let end = Box::pin(tokio::time::sleep(CONNECTION_LIFE));
                    return (LimitedStream { stream, end, _permit: permit }, peer);
                }
                // Out of descriptors, mostly: wait rather than spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

struct LimitedStream {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
