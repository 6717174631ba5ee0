//! A non-blocking UDP socket and its options. Owns its file descriptor and nothing else.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use socket2::{Domain, Protocol, Type};

/// Asked for as the kernel's receive and send buffer of a socket, in bytes.
pub const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Options at bind time.
#[derive(Debug, Clone, Copy, Default)]
pub struct SocketOptions {
    /// Several sockets share the address (`SO_REUSEPORT`); the kernel spreads senders over them.
    pub reuse_port: bool,
    /// Let the kernel join packets of one sender into one read (`UDP_GRO`), where it can.
    pub coalesce: bool,
}

/// A bound, non-blocking UDP socket. IPv6 sockets carry IPv6 only, so that no IPv4-mapped address
/// ever appears.
#[derive(Debug)]
pub struct Socket {
    inner: socket2::Socket,
    coalesce: bool,
}

impl Socket {
    /// Binds `addr` (port 0: a free port).
    pub fn bind(addr: SocketAddr, options: SocketOptions) -> io::Result<Self> {
        let inner = socket2::Socket::new(
            Domain::for_address(addr),
            Type::DGRAM.nonblocking().cloexec(),
            Some(Protocol::UDP),
        )?;
        if addr.is_ipv6() {
            inner.set_only_v6(true)?;
        }
        if options.reuse_port {
            inner.set_reuse_port(true)?;
        }
        // A smaller buffer than asked for is no error: the kernel caps it at rmem_max/wmem_max.
        let _ = inner.set_recv_buffer_size(BUFFER_BYTES);
        let _ = inner.set_send_buffer_size(BUFFER_BYTES);
        inner.bind(&addr.into())?;
        let coalesce = options.coalesce && set_flag(inner.as_raw_fd(), libc::UDP_GRO).is_ok();
        Ok(Self { inner, coalesce })
    }

    /// The bound address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let addr = self.inner.local_addr()?;
        addr.as_socket().ok_or_else(|| io::Error::other("a UDP socket has an IP address"))
    }

    /// True when the kernel joins packets for this socket.
    pub fn coalesces(&self) -> bool {
        self.coalesce
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// True when this kernel can split one send into many packets (`UDP_SEGMENT`).
pub fn kernel_segments(socket: &Socket) -> bool {
    get_flag(socket.raw(), libc::UDP_SEGMENT).is_ok()
}

fn set_flag(fd: RawFd, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `on` outlives the call and `size` is its size; the kernel only reads it. `fd` is an
    // open descriptor owned by the caller's Socket.
    let rc = unsafe {
        libc::setsockopt(fd, libc::SOL_UDP, option, std::ptr::from_ref(&on).cast(), size)
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn get_flag(fd: RawFd, option: libc::c_int) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` and `size` outlive the call; the kernel writes at most `size` bytes, which is
    // the size of `value`. `fd` is an open descriptor owned by the caller's Socket.
    let rc = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_UDP,
            option,
            std::ptr::from_mut(&mut value).cast(),
            &mut size,
        )
    };
    if rc == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}
