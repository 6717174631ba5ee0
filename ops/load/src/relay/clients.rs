//! The clients of all calls in one thread: sockets on neighbouring ports, sending and counting.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use crs_client::media::{LegCredentials, stun};
use crs_types::{ClientAddr, OsRng};
use crs_udp::{Batch, BatchShape, Poller, Socket, SocketOptions};

use super::floor::beside;

/// UDP payload of a voice packet: 20 ms of L16 or two of µ-law, with RTP header and SRTP tag.
pub(super) const PACKET: usize = 182;
/// Most packets in one segmented send.
pub(super) const BURST: usize = 16;
/// Sockets looked at per call of [`Clients::drain`].
const DRAIN: usize = 4;
const FIRST_PORT: u16 = 20_000;

/// Sockets of all clients; those of one call are neighbours.
pub(super) struct Clients {
    sockets: Vec<Socket>,
    legs: Vec<LegCredentials>,
    target: SocketAddr,
    batch: Batch,
    payload: Vec<u8>,
    segments: bool,
    next_send: usize,
    next_drain: usize,
    /// Media packets that came out.
    pub(super) received: u64,
    /// Media packets handed to the kernel.
    pub(super) sent: u64,
}

impl Clients {
    /// Two sockets per call, 2k and 2k + 1.
    pub(super) fn new(calls: usize, target: SocketAddr) -> anyhow::Result<Self> {
        let mut sockets = Vec::with_capacity(calls * 2);
        let mut port = FIRST_PORT;
        while sockets.len() < calls * 2 {
            if let Some([even, odd]) = pair(port) {
                sockets.extend([even, odd]);
            }
            port = port.checked_add(2).context("find neighbouring free ports")?;
        }
        let segments = sockets.first().is_some_and(crs_udp::kernel_segments);
        Ok(Self {
            sockets,
            legs: Vec::new(),
            target,
            batch: Batch::new(BatchShape { messages: 64, locals: 1, coalesce: false }),
            payload: vec![0x80; PACKET * BURST],
            segments,
            next_send: 0,
            next_drain: 0,
            received: 0,
            sent: 0,
        })
    }

    /// Binds each socket to its leg: request, check, answer, response.
    pub(super) fn bind(&mut self, legs: &[LegCredentials]) -> anyhow::Result<()> {
        anyhow::ensure!(legs.len() == self.sockets.len(), "a leg for each client");
        self.legs = legs.to_vec();
        for (index, leg) in legs.iter().enumerate() {
            let id = stun::transaction_id(&mut OsRng);
            let request = stun::binding_request(leg, id);
            self.push(index, request.as_bytes());
            let check = self.wait_for(index)?;
            let relay = ClientAddr::new(self.target);
            let answer =
                stun::answer_check(leg, &check, relay).context("the relay checks the address")?;
            self.push(index, answer.as_bytes());
            let response = self.wait_for(index)?;
            stun::accepted(leg, &response, id).context("the relay accepts the leg")?;
        }
        Ok(())
    }

    /// Sends `count` packets from the next clients in turn, in bursts.
    pub(super) fn send(&mut self, mut count: usize, burst: usize) {
        while count > 0 {
            let packets = burst.clamp(1, BURST).min(count);
            let socket = &self.sockets[self.next_send];
            self.next_send = (self.next_send + 1) % self.sockets.len();
            self.batch.begin();
            if self.segments {
                let bytes = &self.payload[..packets * PACKET];
                self.batch.push_segments(bytes, PACKET as u16, 0, self.target, 0);
            } else {
                for _ in 0..packets {
                    self.batch.push(&self.payload[..PACKET], 0, self.target, 0);
                }
            }
            self.sent += packets as u64;
            let sent = &mut self.sent;
            self.batch.flush(0, socket, |_, packets, _| *sent -= u64::from(packets));
            count -= packets;
        }
    }

    /// Reads what came to the next few clients, and answers the relay's checks.
    pub(super) fn drain(&mut self) -> anyhow::Result<()> {
        for _ in 0..DRAIN {
            let index = self.next_drain;
            self.next_drain = (self.next_drain + 1) % self.sockets.len();
            while self.read(index)? == 64 {}
        }
        Ok(())
    }

    /// Reads all clients until nothing comes any more.
    pub(super) fn drain_all(&mut self) -> anyhow::Result<()> {
        loop {
            let before = self.received;
            for _ in 0..self.sockets.len().div_ceil(DRAIN) {
                self.drain()?;
            }
            if self.received == before {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn read(&mut self, index: usize) -> anyhow::Result<usize> {
        let count = self.batch.recv(&self.sockets[index])?;
        let mut check = None;
        for at in 0..count {
            match self.batch.datagram(at) {
                Some(datagram) if datagram.bytes.first().is_some_and(|first| *first >= 128) => {
                    self.received += 1;
                }
                Some(datagram) => check = Some(datagram.bytes.to_vec()),
                None => {}
            }
        }
        let answer = check.and_then(|check| {
            stun::answer_check(self.legs.get(index)?, &check, ClientAddr::new(self.target))
        });
        if let Some(answer) = answer {
            self.batch.begin();
            self.push(index, answer.as_bytes());
        }
        Ok(count)
    }

    fn push(&mut self, index: usize, bytes: &[u8]) {
        self.batch.begin();
        self.batch.push(bytes, 0, self.target, 0);
        self.batch.flush(0, &self.sockets[index], |_, _, _| {});
    }

    fn wait_for(&mut self, index: usize) -> anyhow::Result<Vec<u8>> {
        let mut poller = Poller::new()?;
        poller.add(&self.sockets[index])?;
        poller.wait(Some(Duration::from_secs(5)))?;
        self.batch.recv(&self.sockets[index])?;
        match self.batch.datagram(0) {
            Some(datagram) => Ok(datagram.bytes.to_vec()),
            None => bail!("the relay did not answer leg {index} within 5 s"),
        }
    }
}

/// Two sockets on `port` and its neighbour, if both are free.
fn pair(port: u16) -> Option<[Socket; 2]> {
    let first = SocketAddr::from(([127, 0, 0, 1], port));
    let bind = |addr| Socket::bind(addr, SocketOptions::default()).ok();
    Some([bind(first)?, bind(beside(first))?])
}
