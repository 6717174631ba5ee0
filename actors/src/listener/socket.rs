//! The TCP stream under a client connection, with two counters: bytes read since the last whole
//! message (bounds what fragments and control frames may cost) and bytes written (tells a slow
//! reader from a dead one).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;

/// Most bytes that may be read without a whole message coming of it: a message of 96 KiB in
/// fragments of 2 bytes payload still fits.
pub const READ_AHEAD_MAX: u32 = 400 * 1024;

/// After our last words: a peer that takes or says nothing for this long is gone.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a peer may go on sending to a connection that is over.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);
const DRAIN_BUFFER: usize = 16 * 1024;

/// A counted TCP stream.
#[derive(Debug)]
pub struct Socket {
    tcp: TcpStream,
    read: u32,
    read_max: u32,
    written: u64,
}

/// TLS over a counted stream, boxed: moving it through nested futures would cost 1.2 KB in each.
pub struct TlsSocket(Box<TlsStream<Socket>>);

/// WebSocket over TLS.
pub struct WebSocket(pub(crate) WebSocketStream<TlsSocket>);

impl Socket {
    /// Wraps an accepted stream.
    pub fn new(tcp: TcpStream) -> Self {
        Self { tcp, read: 0, read_max: READ_AHEAD_MAX, written: 0 }
    }

    /// Waits until the peer has sent something; an error when it ends before.
    pub async fn first_byte(&self) -> io::Result<()> {
        match self.tcp.peek(&mut [0]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
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

    /// Reads and drops what still comes after our last words, at most `most` bytes, until the
    /// peer ends or falls silent: closing over unread bytes resets the connection, and whoever is
    /// still sending then never reads why.
    pub async fn drain(&mut self, most: usize) {
        // The budget of a message in the making is not for what nobody keeps.
        self.0.get_mut().0.read_max = u32::MAX;
        drain(&mut self.0, most).await;
    }
}

async fn drain(from: &mut (impl AsyncRead + Unpin), most: usize) {
    let reading = async {
        let mut dropped = 0;
        let mut buffer = vec![0; DRAIN_BUFFER];
        while dropped < most {
            match tokio::time::timeout(CLOSE_TIMEOUT, from.read(&mut buffer)).await {
                Ok(Ok(n)) if n > 0 => dropped += n,
                Ok(Ok(_) | Err(_)) | Err(_) => return,
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME_MAX, reading).await;
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
        if self.read > self.read_max {
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// How long a peer is read that sends `bytes` each `interval`, `times` times.
    async fn drained(most: usize, bytes: usize, interval: Duration, times: u32) -> Duration {
        let (mut peer, mut ours) = tokio::io::duplex(1 << 20);
        let sending = async {
            for _ in 0..times {
                sleep(interval).await;
                if peer.write_all(&vec![0; bytes]).await.is_err() {
                    return;
                }
            }
            sleep(Duration::from_secs(60)).await;
        };
        let began = Instant::now();
        tokio::select! {
            () = drain(&mut ours, most) => {}
            () = sending => panic!("never cut"),
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_after_the_close_is_cut() {
        let second = Duration::from_secs(1);
        assert_eq!(drained(1 << 20, 1, second, 100).await, DRAIN_TIME_MAX);
        assert_eq!(drained(1 << 20, 1, second, 3).await, 3 * second + CLOSE_TIMEOUT);
        assert_eq!(drained(1 << 20, 1, 3 * second, 9).await, CLOSE_TIMEOUT);
        assert_eq!(drained(4, 1, second, 100).await, 4 * second);
    }
}
