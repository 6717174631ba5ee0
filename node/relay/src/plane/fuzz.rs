//! Door of the fuzz target `media_plane`: datagrams of any content between anything that happens to
//! legs. Nothing goes to an address that has not proved itself, and nothing comes of what is forged.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crs_proto::leg::LegCredentials;

use super::net::Net;
use super::{Forward, Verdict};
use crate::kind::TwoLegKind;
use crate::message::{Command, LegKey};

const THREADS: usize = 3;
const LEGS: u32 = 4;

/// The planes, and what may be expected of them.
struct World {
    net: Net,
    credentials: Vec<LegCredentials>,
    generations: Vec<u32>,
    /// Addresses that each leg has proved.
    proved: Vec<BTreeSet<SocketAddr>>,
}

/// Carries out what the bytes say, step by step.
pub fn fuzz_plane(bytes: &[u8]) {
    let mut net = Net::new(THREADS, 4);
    let credentials = (0..LEGS).map(|slot| add(&mut net, slot, 1)).collect();
    let legs = LEGS as usize;
    let proved = vec![BTreeSet::new(); legs];
    let mut world = World { net, credentials, generations: vec![1; legs], proved };
    let mut rest = bytes;
    while let [what, a, b, tail @ ..] = rest {
        rest = tail;
        let (slot, address) = (u32::from(*a) % LEGS, client(*b));
        match what % 8 {
            0 | 1 => world.bind(slot, address),
            2 => world.take(usize::from(*a) % THREADS),
            3 => world.replace(slot),
            4 => world.wait(u64::from(*a) * 200_000),
            5 => world.datagram(*a, address, &[0x80; 40]),
            6 => world.datagram(*a, address, &[0x40, 0x00, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]),
            _ => {
                let length = usize::from(*a).min(rest.len());
                let (packet, tail) = rest.split_at(length);
                rest = tail;
                world.datagram(*b, address, packet);
            }
        }
    }
}

/// Legs 0 and 1 are of an RTP call, 2 and 3 of an opaque one.
fn add(net: &mut Net, slot: u32, generation: u32) -> LegCredentials {
    let opaque = slot >= 2;
    let (kind, channel) = if opaque { (TwoLegKind::Opaque, 0x4000) } else { (TwoLegKind::Rtp, 0) };
    net.add_as(slot, generation, kind, channel)
}

fn client(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 5000 + u16::from(n) % 6))
}

/// An address always arrives at one thread, as the kernel's hash has it.
fn thread_of(address: SocketAddr) -> usize {
    usize::from(address.port()) % THREADS
}

impl World {
    fn bind(&mut self, slot: u32, address: SocketAddr) {
        let slot = slot as usize;
        if self.net.bind(thread_of(address), address, &self.credentials[slot]) {
            self.proved[slot].insert(address);
        }
    }

    fn take(&mut self, thread: usize) {
        let now = self.net.now;
        let plane = &mut self.net.planes[thread];
        assert!(plane.commands(now));
        plane.peers();
    }

    fn replace(&mut self, slot: u32) {
        let at = slot as usize;
        let generation = self.generations[at];
        for ring in &mut self.net.commands {
            let key = LegKey { slot, generation };
            ring.push(Command::Remove(key)).expect("room for a command");
        }
        self.generations[at] += 1;
        self.credentials[at] = add(&mut self.net, slot, generation + 1);
        self.proved[at].clear();
    }

    fn wait(&mut self, micros: u64) {
        self.net.now += micros;
        let now = self.net.now;
        for plane in &mut self.net.planes {
            while let Some(sent) = plane.tick(now) {
                let Some(sent) = sent else { continue };
                let known = self.proved.iter().any(|leg| leg.contains(&sent.to));
                assert!(known, "a check to {}, which nobody has proved", sent.to);
            }
        }
    }

    fn datagram(&mut self, thread: u8, from: SocketAddr, bytes: &[u8]) {
        let now = self.net.now;
        let plane = &mut self.net.planes[usize::from(thread) % THREADS];
        match plane.media(now, from, bytes) {
            Verdict::Drop => {}
            Verdict::Stun => {
                assert!(plane.stun(now, 0, from, bytes).is_none(), "an answer to forged STUN");
            }
            Verdict::Forward(Forward { to, local: _, tag, length, channel }) => {
                assert!(length <= bytes.len());
                assert!(self.proved[tag as usize].contains(&from), "from {from} of leg {tag}");
                let peer = tag ^ 1;
                assert!(self.proved[peer as usize].contains(&to), "to {to} of leg {peer}");
                assert_eq!(channel, if tag >= 2 { 0x4000 } else { 0 });
            }
        }
    }
}
