//! Planes without sockets: several threads' planes side by side, their rings pumped by hand. For
//! the tests, and for the fuzz target `media_plane`.

use std::net::SocketAddr;

use crs_proto::leg::LegCredentials;
use crs_proto::leg::client::{accepted, answer_check, binding_request, transaction_id};
use crs_types::ClientAddr;
use crs_types::rng::SeededRng;
use rtrb::{Consumer, Producer, RingBuffer};

use super::{Links, Plane, PlaneParts, mesh};
use crate::cells::ThreadCells;
use crate::config::RelayConfig;
use crate::kind::TwoLegKind;
use crate::message::{AddLeg, Command, LegKey, Report};

/// Planes of all threads, and the control side's ends of their rings.
pub(crate) struct Net {
    pub(super) planes: Vec<Plane>,
    pub(super) commands: Vec<Producer<Command>>,
    pub(super) reports: Vec<Consumer<Report>>,
    pub(super) now: u64,
    pub(super) rng: SeededRng,
}

const RELAY: &str = "127.0.0.1:146";

impl Net {
    pub(super) fn new(threads: usize, reports: usize) -> Self {
        let mut config = RelayConfig::on(Vec::new());
        config.threads = threads;
        config.max_legs = 8;
        let mut net = Self {
            planes: Vec::new(),
            commands: Vec::new(),
            reports: Vec::new(),
            now: 1_000_000,
            rng: SeededRng::new(3),
        };
        for (me, peers) in mesh(threads).into_iter().enumerate() {
            let (commands, commands_out) = RingBuffer::new(64);
            let (reports_in, reports_out) = RingBuffer::new(reports);
            let links = Links::new(commands_out, reports_in, peers);
            let cells = ThreadCells::new(config.max_legs);
            let rng = Box::new(SeededRng::new(me as u64));
            let now = net.now;
            let parts = PlaneParts { me: me as u8, cells, rng, links, seed: [1, 2], now };
            net.planes.push(Plane::new(&config, parts));
            net.commands.push(commands);
            net.reports.push(reports_out);
        }
        net
    }

    /// A leg on all threads.
    pub(super) fn add_as(
        &mut self,
        slot: u32,
        generation: u32,
        kind: TwoLegKind,
        channel: u16,
    ) -> LegCredentials {
        let credentials = LegCredentials::generate(&mut self.rng);
        let leg = AddLeg {
            key: LegKey { slot, generation },
            kind,
            peer: slot ^ 1,
            channel,
            credentials: credentials.clone(),
            address: None,
        };
        for ring in &mut self.commands {
            ring.push(Command::Add(Box::new(leg.clone()))).expect("room for a command");
        }
        self.pump();
        credentials
    }

    /// Lets all threads take their messages until none has any.
    pub(super) fn pump(&mut self) {
        while self.planes.iter().any(Plane::has_messages) {
            for plane in &mut self.planes {
                assert!(plane.commands(self.now));
                plane.peers();
            }
        }
    }

    /// Whole binding of a leg from `from`, whose packets arrive at `thread`. False: refused.
    pub(super) fn bind(&mut self, thread: usize, from: SocketAddr, leg: &LegCredentials) -> bool {
        let relay = ClientAddr::new(RELAY.parse().expect("an address"));
        let id = transaction_id(&mut self.rng);
        let request = binding_request(leg, id);
        let plane = &mut self.planes[thread];
        let Some(check) = plane.stun(self.now, 0, from, request.as_bytes()) else { return false };
        assert_eq!(check.to, from);
        let Some(answer) = answer_check(leg, check.packet.as_bytes(), relay) else {
            // The address was bound already: that was the response.
            return accepted(leg, check.packet.as_bytes(), id).is_some();
        };
        let response = plane.stun(self.now, 0, from, answer.as_bytes());
        response.is_some_and(|sent| accepted(leg, sent.packet.as_bytes(), id).is_some())
    }
}
