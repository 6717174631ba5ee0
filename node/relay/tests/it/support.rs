//! A relay on loopback, and clients that bind legs as docs/protocol.md says. Everything waits for
//! datagrams or reports, with a deadline that only a broken relay reaches.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crs_proto::leg::LegCredentials;
use crs_proto::leg::client::{accepted, answer_check, binding_request, transaction_id};
use crs_relay::{NewAllocation, NewLeg, Relay, RelayConfig, RelayCounters, RelayEvent, TwoLegKind};
use crs_types::rng::SeededRng;
use crs_types::{ClientAddr, Clock, Mono, OsRng, Timestamp};

/// Longest wait for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Time that only the test moves.
#[derive(Default)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_micros() as u64, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst) / 1000)
    }

    fn mono(&self) -> Mono {
        Mono::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Wakes the test when a thread has a report.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

/// A started relay.
pub(crate) struct Running {
    pub(crate) relay: Relay,
    pub(crate) clock: Arc<TestClock>,
    bell: Arc<Bell>,
    events: VecDeque<RelayEvent>,
}

pub(crate) fn config(threads: usize) -> RelayConfig {
    let mut config = RelayConfig::on(vec!["127.0.0.1:0".parse().unwrap()]);
    config.threads = threads;
    config.max_legs = 64;
    config
}

impl Running {
    pub(crate) fn start(config: RelayConfig) -> Self {
        let clock = Arc::new(TestClock(AtomicU64::new(1_000_000)));
        let mut relay = Relay::bind(config, clock.clone()).unwrap();
        let bell = Arc::new(Bell::default());
        let ring = Arc::clone(&bell);
        let notify = move || {
            *ring.rung.lock().unwrap() = true;
            ring.changed.notify_all();
        };
        relay.start(Arc::new(notify)).unwrap();
        Self { relay, clock, bell, events: VecDeque::new() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.relay.addresses()[0]
    }

    pub(crate) fn counters(&self) -> RelayCounters {
        self.relay.counters()
    }

    /// The next event of interest; others before it are dropped.
    pub(crate) fn event(&mut self, wanted: impl Fn(&RelayEvent) -> bool) -> RelayEvent {
        for _ in 0..1000 {
            while let Some(event) = self.events.pop_front() {
                if wanted(&event) {
                    return event;
                }
            }
            let mut out = Vec::new();
            self.relay.poll(&mut out);
            if out.is_empty() {
                let rung = self.bell.rung.lock().unwrap();
                let (mut rung, waited) =
                    self.bell.changed.wait_timeout_while(rung, PATIENCE, |rung| !*rung).unwrap();
                assert!(!waited.timed_out(), "the relay reports what the test waits for");
                *rung = false;
            }
            self.events.extend(out);
        }
        panic!("a thousand rounds without the event");
    }

    /// All events that are there now.
    pub(crate) fn events_now(&mut self) -> Vec<RelayEvent> {
        let mut out = Vec::from(std::mem::take(&mut self.events));
        self.relay.poll(&mut out);
        out
    }

    /// Moves time and lets every thread look at it.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        self.nudge();
    }

    /// Makes all threads run a round: each gets a datagram of one byte, which is only counted.
    pub(crate) fn nudge(&mut self) {
        let wanted = self.counters().received_too_short + 64;
        let target = self.address();
        let local = if target.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" };
        let clients: Vec<UdpSocket> = (0..64).map(|_| UdpSocket::bind(local).unwrap()).collect();
        clients.iter().for_each(|client| assert_eq!(client.send_to(&[0], target).unwrap(), 1));
        self.until(|counters| counters.received_too_short >= wanted);
    }

    /// Waits until the counters say so. The condition is about packets already sent.
    pub(crate) fn until(&self, reached: impl Fn(&RelayCounters) -> bool) {
        let begin = crs_types::SystemClock::new();
        while !reached(&self.counters()) {
            assert!(begin.mono().since(Mono::default()) < PATIENCE, "{:?}", self.counters());
            std::thread::yield_now();
        }
    }

    /// A call whose legs are bound by two clients.
    pub(crate) fn call(&mut self, kind: TwoLegKind) -> (NewAllocation, Client, Client) {
        let allocation = self.relay.allocate(kind).unwrap();
        let [first, second] = &allocation.legs;
        let a = self.bound(first);
        let b = self.bound(second);
        (allocation, a, b)
    }

    /// A client that has bound a leg, also as all threads see it.
    pub(crate) fn bound(&mut self, leg: &NewLeg) -> Client {
        let client = Client::new(self.address(), &leg.credentials);
        client.bind();
        let id = leg.id;
        self.event(|event| matches!(event, RelayEvent::Bound { leg, .. } if *leg == id));
        self.nudge();
        client
    }
}

/// One client socket with the credentials of a leg.
pub(crate) struct Client {
    pub(crate) socket: UdpSocket,
    pub(crate) relay: SocketAddr,
    pub(crate) credentials: LegCredentials,
}

impl Client {
    pub(crate) fn new(relay: SocketAddr, credentials: &LegCredentials) -> Self {
        let local = if relay.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" };
        let socket = UdpSocket::bind(local).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, relay, credentials: credentials.clone() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        assert_eq!(self.socket.send_to(bytes, self.relay).unwrap(), bytes.len());
    }

    /// The next datagram.
    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut bytes = [0; 2048];
        let (length, from) = self.socket.recv_from(&mut bytes).expect("a datagram arrives");
        assert_eq!(from, self.relay);
        bytes[..length].to_vec()
    }

    /// What has arrived and was not read yet.
    pub(crate) fn pending(&self) -> Vec<Vec<u8>> {
        self.socket.set_nonblocking(true).unwrap();
        let mut all = Vec::new();
        let mut bytes = [0; 2048];
        loop {
            match self.socket.recv_from(&mut bytes) {
                Ok((length, _)) => all.push(bytes[..length].to_vec()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        self.socket.set_nonblocking(false).unwrap();
        all
    }

    /// Sends a Binding request and returns it.
    pub(crate) fn request(&self) -> (Vec<u8>, crs_proto::leg::TransactionId) {
        let id = transaction_id(&mut OsRng);
        let request = binding_request(&self.credentials, id).as_bytes().to_vec();
        self.send(&request);
        (request, id)
    }

    /// Answers a check of the relay.
    pub(crate) fn answer(&self, check: &[u8]) {
        let relay = ClientAddr::new(self.relay);
        let answer = answer_check(&self.credentials, check, relay).expect("the relay's check");
        self.send(answer.as_bytes());
    }

    /// Request, check, answer, response.
    pub(crate) fn bind(&self) {
        let (_, id) = self.request();
        self.answer(&self.receive());
        let mapped = accepted(&self.credentials, &self.receive(), id);
        assert_eq!(mapped.map(ClientAddr::socket), Some(self.address()));
    }
}

/// A packet that looks like SRTP: version 2, a sequence number, noise.
pub(crate) fn rtp(sequence: u16, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    crs_types::Rng::fill(&mut SeededRng::new(sequence.into()), &mut bytes);
    bytes[0] = 0x80;
    bytes[1] = 0;
    bytes[2..4].copy_from_slice(&sequence.to_be_bytes());
    bytes
}
