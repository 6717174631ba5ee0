//! The TCP stream under a client connection, with two counters: bytes read since the last whole
//! message (bounds what fragments and control frames may cost) and bytes written (tells a slow
//! reader from a dead one).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;

/// Most bytes that may be read without a whole message coming of it: a message of 96 KiB in
/// fragments of 2 bytes payload still fits.
pub const READ_AHEAD_MAX: u32 = 400 * 1024;

/// A counted TCP stream.
#[derive(Debug)]
pub struct Socket {
    tcp: TcpStream,
    read: u32,
    written: u64,
}

/// TLS over a counted stream, boxed: moving it through nested futures would cost 1.2 KB in each.
pub struct TlsSocket(Box<TlsStream<Socket>>);

/// WebSocket over TLS.
pub struct WebSocket(pub(crate) WebSocketStream<TlsSocket>);

impl Socket {
    /// Wraps an accepted stream.
    pub fn new(tcp: TcpStream) -> Self {
        Self { tcp, read: 0, written: 0 }
    }

    /// The stream, for socket options.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }
}

impl TlsSocket {
    /// Boxes a stream whose handshake has ended.
    pub fn new(stream: TlsStream<Socket>) -> Self {
        Self(Box::new(stream))
    }

    /// The TLS state and the socket.
    pub fn get_ref(&self) -> (&Socket, &rustls::ServerConnection) {
        self.0.get_ref()
    }
}

impl WebSocket {
    /// A whole message came: the read budget starts anew.
    pub fn message_done(&mut self) {
        self.0.get_mut().0.get_mut().0.read = 0;
    }

    /// Bytes written to TCP so far.
    pub fn written(&self) -> u64 {
        self.0.get_ref().0.get_ref().0.written
    }

    /// The TCP stream, for socket options.
    pub fn tcp(&self) -> &TcpStream {
        &self.0.get_ref().0.get_ref().0.tcp
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read > READ_AHEAD_MAX {
            let text = "too many bytes without a whole message";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, text)));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        let came = u32::try_from(buf.filled().len() - before).unwrap_or(u32::MAX);
        self.read = self.read.saturating_add(came);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.tcp).poll_write(cx, buf))?;
        self.written = self.written.saturating_add(written as u64);
        Poll::Ready(Ok(written))
    }

    /// Needed, not only faster: an alert behind other records leaves in one last write or not at
    /// all.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs))?;
        self.written = self.written.saturating_add(written as u64);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl AsyncRead for TlsSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for TlsSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}
