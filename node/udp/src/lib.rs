//! Batched UDP: sockets, many datagrams per system call, waiting, wake-ups, CPU pinning. The only
//! crate of the workspace with `unsafe`; its API is safe and knows nothing of what is carried.
//!
//! Own calls of `recvmmsg`/`sendmmsg` instead of a library: a relay sends each packet of a batch to
//! another address, which the QUIC-minded libraries can only do with one call per packet.

mod addr;
mod arena;
mod batch;
mod poll;
mod queue;
mod socket;
pub mod thread;

pub use batch::{Batch, BatchShape, DATAGRAM_ROOM, Datagram, MESSAGES_MAX};
pub use poll::{POLL_SOCKETS_MAX, Poller, Ready, Waker};
pub use socket::{BUFFER_BYTES, Socket, SocketOptions, kernel_segments};
