//! Waiting for several sockets with a time-out, and waking the waiter from another thread.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::Socket;

/// Sockets one [`Poller`] can watch.
pub const POLL_SOCKETS_MAX: usize = 8;

/// Waits for sockets and for its [`Waker`]s. Used by one thread.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    wake: Arc<EventFd>,
    sockets: usize,
}

/// Wakes a [`Poller`]; any thread may hold one.
#[derive(Debug, Clone)]
pub struct Waker(Arc<EventFd>);

/// What was ready: a bit per socket, in the order of [`Poller::add`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready {
    /// Bit `i` is set when socket `i` can be read (or has an error to read).
    pub sockets: u32,
    /// A waker was used.
    pub woken: bool,
}

const WAKE: u64 = u64::MAX;

impl Poller {
    /// A poller that watches nothing but its wakers.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wake = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        epoll.add(wake.as_ref(), EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        Ok(Self { epoll, wake, sockets: 0 })
    }

    /// Watches a socket for reading (level-triggered) and returns its index. The socket must be
    /// kept open by the caller; closing it ends the watch.
    pub fn add(&mut self, socket: &Socket) -> io::Result<usize> {
        if self.sockets == POLL_SOCKETS_MAX {
            return Err(io::Error::other(format!("expected at most {POLL_SOCKETS_MAX} sockets")));
        }
        let index = self.sockets;
        self.epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        self.sockets += 1;
        Ok(index)
    }

    /// A waker for other threads.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.wake))
    }

    /// Waits until something is ready or `timeout` has passed (`None`: for ever). The time-out is
    /// rounded up to milliseconds.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Ready> {
        let timeout = match timeout {
            None => EpollTimeout::NONE,
            Some(time) => {
                let millis = time.as_micros().div_ceil(1000);
                EpollTimeout::from(u16::try_from(millis).unwrap_or(u16::MAX))
            }
        };
        let mut events = [EpollEvent::empty(); POLL_SOCKETS_MAX + 1];
        let count = match self.epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let mut ready = Ready::default();
        for event in &events[..count] {
            if event.data() == WAKE {
                ready.woken = true;
                // Errors mean that the counter was zero: somebody else's wake was read already.
                let _ = self.wake.read();
            } else {
                ready.sockets |= 1 << event.data();
            }
        }
        Ok(ready)
    }
}

impl Waker {
    /// Wakes the poller now or, when it does not wait, at its next wait.
    pub fn wake(&self) {
        // The only possible error is a full counter, which means that a wake is pending.
        let _ = self.0.write(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SocketOptions;

    #[test]
    fn a_socket_beyond_the_limit_is_refused_and_the_others_are_still_watched() {
        let socket = || Socket::bind("127.0.0.1:0".parse().unwrap(), SocketOptions::default());
        let sockets: Vec<Socket> = (0..=POLL_SOCKETS_MAX).map(|_| socket().unwrap()).collect();
        let mut poller = Poller::new().unwrap();
        for (index, socket) in sockets[..POLL_SOCKETS_MAX].iter().enumerate() {
            assert_eq!(poller.add(socket).unwrap(), index);
        }
        let refused = poller.add(&sockets[POLL_SOCKETS_MAX]).unwrap_err();
        assert_eq!(refused.to_string(), "expected at most 8 sockets");
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for socket in &sockets {
            sender.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        }
        // Loopback delivers before `send_to` returns.
        let ready = poller.wait(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(ready.sockets, (1 << POLL_SOCKETS_MAX) - 1);
    }
}
