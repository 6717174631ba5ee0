//! Messages waiting for one `sendmmsg` call.

use std::io;
use std::net::SocketAddr;

use crate::Socket;
use crate::addr::RawAddr;
use crate::arena::Arena;

/// Most datagrams in one segmented send (the kernel's UDP_MAX_SEGMENTS of old kernels).
const SEGMENTS_MAX: u32 = 64;
/// Most payload bytes in one segmented send.
const SEGMENTED_BYTES_MAX: usize = 65_000;

/// Room for one control message with one int (UDP_GRO) or u16 (UDP_SEGMENT).
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control {
    length: usize,
    level: libc::c_int,
    kind: libc::c_int,
    data: [u8; 8],
}

impl Control {
    pub(crate) const EMPTY: Self = Self { length: 0, level: 0, kind: 0, data: [0; 8] };

    /// The segment size the kernel reported with UDP_GRO.
    pub(crate) fn segment_size(&self) -> Option<usize> {
        if self.level != libc::SOL_UDP || self.kind != libc::UDP_GRO {
            return None;
        }
        let [a, b, c, d, ..] = self.data;
        usize::try_from(i32::from_ne_bytes([a, b, c, d])).ok().filter(|size| *size > 0)
    }

    /// Asks the kernel to cut the payload into datagrams of `size` bytes.
    fn segment(size: u16) -> Self {
        let mut data = [0; 8];
        data[..2].copy_from_slice(&size.to_ne_bytes());
        // cmsg_len counts the header and the data without padding: CMSG_LEN(2).
        Self { length: 16 + 2, level: libc::SOL_UDP, kind: libc::UDP_SEGMENT, data }
    }
}

/// What a queued message holds.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    tag: u32,
    packets: u32,
    bytes: usize,
    segment: usize,
    /// Where the next neighbour would begin in the receive buffers; `usize::MAX` for copies.
    next: usize,
}

pub(crate) struct Queue {
    names: Arena<RawAddr>,
    iovs: Arena<libc::iovec>,
    controls: Arena<Control>,
    headers: Arena<libc::mmsghdr>,
    entries: Vec<Entry>,
    length: usize,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        let mut queue = Self {
            names: Arena::new(RawAddr::EMPTY, capacity),
            iovs: Arena::new(libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }, capacity),
            controls: Arena::new(Control::EMPTY, capacity),
            headers: Arena::new(empty_header(), capacity),
            entries: vec![Entry::default(); capacity],
            length: 0,
        };
        for index in 0..capacity {
            let header = &mut queue.headers.slice_mut()[index].msg_hdr;
            header.msg_name = queue.names.ptr(index).cast();
            header.msg_iov = queue.iovs.ptr(index);
            header.msg_iovlen = 1;
        }
        queue
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// Queues `length` bytes at `base`, which must stay valid until the next flush or clear (the
    /// owning batch guarantees it: all its memory lives as long as the queue). False when full.
    pub(crate) fn add(
        &mut self,
        base: *mut u8,
        start: usize,
        length: usize,
        to: SocketAddr,
        tag: u32,
    ) -> bool {
        let index = self.length;
        if index == self.entries.len() {
            return false;
        }
        let name_length = self.names.slice_mut()[index].set(to);
        self.iovs.slice_mut()[index] = libc::iovec { iov_base: base.cast(), iov_len: length };
        let header = &mut self.headers.slice_mut()[index].msg_hdr;
        header.msg_namelen = name_length;
        header.msg_control = std::ptr::null_mut();
        header.msg_controllen = 0;
        let next = start.saturating_add(length);
        self.entries[index] = Entry { tag, packets: 1, bytes: length, segment: length, next };
        self.length += 1;
        true
    }

    /// Joins a datagram to the last message when it follows it in the buffer, goes to the same
    /// place and fits its segment size.
    pub(crate) fn extend(&mut self, start: usize, length: usize, to: SocketAddr, tag: u32) -> bool {
        let Some(index) = self.length.checked_sub(1) else { return false };
        let entry = &mut self.entries[index];
        let whole = entry.bytes == entry.segment * entry.packets as usize;
        let fits = entry.next == start
            && entry.tag == tag
            && whole
            && (1..=entry.segment).contains(&length)
            && entry.packets < SEGMENTS_MAX
            && entry.bytes + length <= SEGMENTED_BYTES_MAX;
        let Some(segment) = u16::try_from(entry.segment).ok().filter(|_| fits) else {
            return false;
        };
        if self.names.slice()[index].get() != Some(to) {
            return false;
        }
        entry.packets += 1;
        entry.bytes += length;
        entry.next += length;
        self.iovs.slice_mut()[index].iov_len = entry.bytes;
        self.ask_segments(index, segment);
        true
    }

    /// Makes the kernel cut the last message into datagrams of `segment` bytes.
    pub(crate) fn segment_last(&mut self, segment: u16) {
        let Some(index) = self.length.checked_sub(1).filter(|_| segment > 0) else { return };
        let entry = &mut self.entries[index];
        entry.packets = entry.bytes.div_ceil(usize::from(segment)) as u32;
        self.ask_segments(index, segment);
    }

    fn ask_segments(&mut self, index: usize, segment: u16) {
        self.controls.slice_mut()[index] = Control::segment(segment);
        let control = self.controls.ptr(index).cast();
        let header = &mut self.headers.slice_mut()[index].msg_hdr;
        header.msg_control = control;
        header.msg_controllen = size_of::<Control>() as _;
    }

    pub(crate) fn flush(&mut self, socket: &Socket, mut refused: impl FnMut(u32, u32, u64)) {
        let mut done = 0;
        while done < self.length {
            let count = (self.length - done) as libc::c_uint;
            // SAFETY: headers `done..length` point at names, vectors and controls in arenas of
            // `self` and at payload in arenas of the owning batch; all live through the call, in
            // which the kernel only reads them and writes `msg_len`.
            let sent = unsafe {
                libc::sendmmsg(socket.raw(), self.headers.ptr(done), count, libc::MSG_DONTWAIT)
            };
            if let Ok(sent) = usize::try_from(sent)
                && sent > 0
            {
                done += sent;
                continue;
            }
            let kind = io::Error::last_os_error().kind();
            if kind == io::ErrorKind::Interrupted {
                continue;
            }
            // A full socket buffer refuses all the rest; any other error is about this message.
            let last = if kind == io::ErrorKind::WouldBlock { self.length } else { done + 1 };
            for entry in &self.entries[done..last] {
                refused(entry.tag, entry.packets, entry.bytes as u64);
            }
            done = last;
        }
        self.length = 0;
    }
}

pub(crate) fn empty_header() -> libc::mmsghdr {
    // SAFETY: mmsghdr is a C struct of integers and pointers; all zeroes is a valid value of it.
    unsafe { std::mem::zeroed() }
}
