//! Many datagrams per system call: receive with `recvmmsg`, send what was received (or made) on
//! with `sendmmsg`, without copying and without allocating.
//!
//! One round is: [`Batch::recv`], look at each [`Batch::datagram`], queue with [`Batch::forward`]
//! (no copy) or [`Batch::push`] (copies), then [`Batch::flush`] each local socket.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;

use crate::Socket;
use crate::addr::{RAW_ADDR_LEN, RawAddr};
use crate::arena::Arena;
use crate::queue::{Control, Queue, empty_header};

/// Bytes kept of each datagram when the kernel does not coalesce. Longer ones are cut, which the
/// receiver sees by the length. No power of two, so that buffers do not share cache sets.
pub const DATAGRAM_ROOM: usize = 1664;
/// The same where the kernel may join packets.
const COALESCED_ROOM: usize = 65_536 + 192;
/// Bytes for packets made here, per round.
const OWN_ROOM: usize = 64 * 1024;
/// Most messages in one call (the kernel's UIO_MAXIOV).
pub const MESSAGES_MAX: usize = 1024;

/// Sizes of a [`Batch`].
#[derive(Debug, Clone, Copy)]
pub struct BatchShape {
    /// Messages per receive call, 1…[`MESSAGES_MAX`].
    pub messages: usize,
    /// Sockets that packets may leave by; queues are numbered `0..locals`.
    pub locals: usize,
    /// Room for packets that the kernel joined, and joining of sends in turn.
    pub coalesce: bool,
}

/// Preallocated buffers and headers for one thread.
pub struct Batch {
    room: usize,
    buffers: Arena<u8>,
    names: Arena<RawAddr>,
    iovs: Arena<libc::iovec>,
    controls: Arena<Control>,
    headers: Arena<libc::mmsghdr>,
    filled: usize,
    own: Arena<u8>,
    own_used: usize,
    queues: Vec<Queue>,
    join: bool,
}

// SAFETY: the raw pointers inside point only into arenas that the batch owns and that never move.
unsafe impl Send for Batch {}

/// One received message: a datagram, or several of one sender joined by the kernel.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// The sender.
    pub from: SocketAddr,
    /// The payload, cut to [`DATAGRAM_ROOM`] without coalescing.
    pub bytes: &'a [u8],
    /// Size of each joined datagram (the last may be shorter); `bytes.len()` when there is one.
    pub segment: usize,
}

impl Batch {
    /// Reserves everything. Values outside the allowed ranges are clamped.
    pub fn new(shape: BatchShape) -> Self {
        let messages = shape.messages.clamp(1, MESSAGES_MAX);
        let room = if shape.coalesce { COALESCED_ROOM } else { DATAGRAM_ROOM };
        let mut batch = Self {
            room,
            buffers: Arena::new(0, room * messages),
            names: Arena::new(RawAddr::EMPTY, messages),
            iovs: Arena::new(libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }, messages),
            controls: Arena::new(Control::EMPTY, messages),
            headers: Arena::new(empty_header(), messages),
            filled: 0,
            own: Arena::new(0, OWN_ROOM),
            own_used: 0,
            queues: (0..shape.locals.max(1)).map(|_| Queue::new(messages)).collect(),
            join: shape.coalesce,
        };
        batch.link(shape.coalesce);
        batch
    }

    /// Receives what is there, up to the batch size, without waiting: `Ok(0)` is nothing. Begins a
    /// new round: datagrams of the last one are gone, and so is what was queued but not flushed.
    pub fn recv(&mut self, socket: &Socket) -> io::Result<usize> {
        self.begin();
        let count = self.headers.slice().len() as libc::c_uint;
        // SAFETY: the headers point at names, vectors, controls and buffers inside arenas that
        // live as long as `self`; `&mut self` excludes every other user during the call.
        let got = unsafe {
            libc::recvmmsg(
                socket.raw(),
                self.headers.ptr(0),
                count,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if let Ok(got) = usize::try_from(got) {
            self.filled = got;
            return Ok(got);
        }
        let error = io::Error::last_os_error();
        let kind = error.kind();
        // ConnectionRefused: an ICMP error of an earlier send; reading it has cleared it.
        let nothing = kind == io::ErrorKind::WouldBlock
            || kind == io::ErrorKind::Interrupted
            || kind == io::ErrorKind::ConnectionRefused;
        if nothing { Ok(0) } else { Err(error) }
    }

    /// Message `index` of this round; `None` past the end or from an address family we never bind.
    pub fn datagram(&self, index: usize) -> Option<Datagram<'_>> {
        if index >= self.filled {
            return None;
        }
        let from = self.names.slice()[index].get()?;
        let header = &self.headers.slice()[index];
        let length = (header.msg_len as usize).min(self.room);
        let start = index * self.room;
        let bytes = &self.buffers.slice()[start..start + length];
        let mut segment = length;
        if self.join && header.msg_hdr.msg_controllen > 0 {
            segment = self.controls.slice()[index].segment_size().unwrap_or(length);
        }
        Some(Datagram { from, bytes, segment })
    }

    /// The bytes of message `index`, to rewrite in place before forwarding.
    pub fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        if index >= self.filled {
            return &mut [];
        }
        let length = (self.headers.slice()[index].msg_len as usize).min(self.room);
        let start = index * self.room;
        &mut self.buffers.slice_mut()[start..start + length]
    }

    /// Queues `range` of received message `index` for sending by socket `local` to `to`. `tag`
    /// comes back if the kernel refuses. False when the queue is full: flush, then try again.
    ///
    /// Neighbouring ranges of one message with one tag leave as one segmented send.
    pub fn forward(
        &mut self,
        index: usize,
        range: Range<usize>,
        local: usize,
        to: SocketAddr,
        tag: u32,
    ) -> bool {
        let inside = index < self.filled && range.start < range.end && range.end <= self.room;
        let Some(queue) = self.queues.get_mut(local).filter(|_| inside) else { return false };
        let start = index * self.room + range.start;
        if self.join && queue.extend(start, range.len(), to, tag) {
            return true;
        }
        queue.add(self.buffers.ptr(start), start, range.len(), to, tag)
    }

    /// Copies `bytes` and queues them for sending by socket `local` to `to`. False when there is no
    /// room: flush, then try again in the next round.
    pub fn push(&mut self, bytes: &[u8], local: usize, to: SocketAddr, tag: u32) -> bool {
        let start = self.own_used;
        let Some(room) = self.own.slice_mut().get_mut(start..start + bytes.len()) else {
            return false;
        };
        room.copy_from_slice(bytes);
        let Some(queue) = self.queues.get_mut(local).filter(|_| !bytes.is_empty()) else {
            return false;
        };
        self.own_used += bytes.len();
        queue.add(self.own.ptr(start), usize::MAX, bytes.len(), to, tag)
    }

    /// As [`Batch::push`], but the kernel cuts `bytes` into datagrams of `segment` bytes (the last
    /// may be shorter; at most 64). Only where [`crate::kernel_segments`] says so.
    pub fn push_segments(
        &mut self,
        bytes: &[u8],
        segment: u16,
        local: usize,
        to: SocketAddr,
        tag: u32,
    ) -> bool {
        if !self.push(bytes, local, to, tag) {
            return false;
        }
        if let Some(queue) = self.queues.get_mut(local) {
            queue.segment_last(segment);
        }
        true
    }

    /// Sends queue `local` by `socket`. `refused` is told tag, datagrams and bytes of each message
    /// the kernel did not take; nothing is sent twice or kept for later.
    pub fn flush(&mut self, local: usize, socket: &Socket, refused: impl FnMut(u32, u32, u64)) {
        if let Some(queue) = self.queues.get_mut(local) {
            queue.flush(socket, refused);
        }
    }

    /// Begins a new round without receiving: for packets made here when nothing came in.
    pub fn begin(&mut self) {
        let control_length = if self.join { size_of::<Control>() } else { 0 };
        for header in &mut self.headers.slice_mut()[..self.filled] {
            header.msg_hdr.msg_namelen = RAW_ADDR_LEN;
            header.msg_hdr.msg_controllen = control_length as _;
            header.msg_hdr.msg_flags = 0;
        }
        self.filled = 0;
        self.own_used = 0;
        self.queues.iter_mut().for_each(Queue::clear);
    }

    /// Points every header at its name, buffer and control, once.
    fn link(&mut self, coalesce: bool) {
        for index in 0..self.headers.slice().len() {
            self.iovs.slice_mut()[index] = libc::iovec {
                iov_base: self.buffers.ptr(index * self.room).cast(),
                iov_len: self.room,
            };
            let header = &mut self.headers.slice_mut()[index].msg_hdr;
            header.msg_name = self.names.ptr(index).cast();
            header.msg_namelen = RAW_ADDR_LEN;
            header.msg_iov = self.iovs.ptr(index);
            header.msg_iovlen = 1;
            if coalesce {
                header.msg_control = self.controls.ptr(index).cast();
                header.msg_controllen = size_of::<Control>() as _;
            }
        }
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("room", &self.room).field("filled", &self.filled).finish()
    }
}

#[cfg(test)]
mod tests;
