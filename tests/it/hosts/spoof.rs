//! An attacker on the same network who writes any source address he likes (MD-01, MD-03, MD-08).

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use crs_client::CallMedia;
use crs_proto::leg::{LegCredentials, client};
use crs_proto::wire::call::HangupReason;
use crs_types::OsRng;
use socket2::{Domain, Protocol, Socket, Type};

use super::host::Host;
use super::pool::{MEDIA_PORT, Pool, wait};
use super::world::inside;
use crate::bed::rings;

/// Forged packets of each kind.
const FORGED: u16 = 2_000;
const TALK: Duration = Duration::from_secs(6);

/// Packets of other sources reach nobody; those that wear a party's own address are dropped by
/// the other party, who hears all that the first one sends; nobody's media is turned aside.
#[test]
fn forged_media_harms_no_call() {
    inside("hosts::spoof::forged_media_harms_no_call", |mut world| {
        let (server, home, office, street) =
            (world.host("server"), world.host("home"), world.host("office"), world.host("street"));
        let pool = Pool::start(&server, 2, &[]);
        let (alice, bob) = (pool.client(&home, 0), pool.client(&office, 1));
        let to = pool.users.identities[1].uri.clone();
        let media = CallMedia { duration: Some(TALK), ..CallMedia::default() };
        let caller = Arc::clone(&alice);
        let calling = home.spawn(async move { caller.call(&to, media).await.expect("a call") });
        let callee = Arc::clone(&bob);
        let answering = office.spawn(async move {
            let session = rings(&callee).await;
            callee.answer(session, CallMedia::default()).await.expect("an answer")
        });
        pool.until_media_flows();

        let media_port = server.at(MEDIA_PORT);
        let own = home.media_socket(media_port);
        let received = wait(street.spawn(async move { spray(own, media_port) }));
        assert_eq!(received, 0, "nothing is sent to the attacker");

        let (caller, callee) = (wait(calling), wait(answering));
        assert_eq!((caller.reason, callee.reason), (HangupReason::Normal, HangupReason::Normal));
        assert_eq!(caller.media.rejected, 0, "only packets from Alice's address get to Bob");
        assert!(callee.media.rejected > 0, "the attack was real: {callee:?}");
        let forged = u64::from(FORGED);
        assert!(callee.media.rejected <= forged, "other sources reach nobody: {callee:?}");
        for side in [&caller.media, &callee.media] {
            assert_eq!(side.duplicates, 0);
            assert!(side.received + side.lost + 50 > TALK.as_millis() as u64 / 20, "{side:?}");
        }
        // Her own packets are within the cap of the leg that the forged ones share.
        assert!(callee.media.lost * 20 < callee.media.received, "{callee:?}");
    });
}

/// Every kind of datagram that proves nothing, with a victim's address as its source: the victim
/// gets nothing.
#[test]
fn a_victim_gets_nothing_that_somebody_else_asked_for() {
    inside("hosts::spoof::a_victim_gets_nothing_that_somebody_else_asked_for", |mut world| {
        let (server, street, victim) =
            (world.host("server"), world.host("street"), world.host("victim"));
        let pool = Pool::start(&server, 1, &[]);
        let target = server.at(MEDIA_PORT);
        let hit = victim.listen(4000);
        let from = victim.v4(4000);
        wait(street.spawn(async move {
            let raw = raw_socket();
            let stranger = LegCredentials::generate(&mut OsRng);
            let id = client::transaction_id(&mut OsRng);
            let request = client::binding_request(&stranger, id);
            // Below the pace at which anything is dropped before the relay reads it.
            for first in 0..=255u8 {
                forge(&raw, from, target, &[first; 64]);
                forge(&raw, from, target, request.as_bytes());
            }
        }));
        pool.until_heard(2 * 256);
        assert_eq!(count(&hit), 0, "nothing is sent to an address that has not proved itself");
    });
}

/// A stranger's packets, packets from every port around Alice's, and packets that wear her own
/// address. Returns how many datagrams came back.
fn spray(alice: SocketAddrV4, relay: SocketAddr) -> usize {
    let own = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    own.set_nonblocking(true).expect("a socket");
    let raw = raw_socket();
    for n in 0..FORGED {
        let packet = rtp(n);
        own.send_to(&packet, relay).expect("sent");
        let other = SocketAddrV4::new(*alice.ip(), alice.port().wrapping_add(1 + n % 500).max(1));
        forge(&raw, other, relay, &packet);
        forge(&raw, alice, relay, &packet);
        // As a sender with a clock would: the leg's cap is not what this is about.
        std::thread::sleep(Duration::from_millis(1));
    }
    count(&own)
}

fn rtp(n: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(n.to_be_bytes());
    packet.resize(182, 0x55);
    packet
}

fn count(socket: &UdpSocket) -> usize {
    let mut buffer = [0; 2048];
    std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count()
}

fn raw_socket() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).expect("raw");
    socket.set_header_included_v4(true).expect("own headers");
    socket
}

/// A UDP datagram with any source; the kernel fills in length and checksum of the IP header
/// (raw(7)), and a UDP checksum of 0 says that there is none.
fn forge(socket: &Socket, from: SocketAddrV4, to: SocketAddr, payload: &[u8]) {
    let SocketAddr::V4(to) = to else { panic!("IPv4") };
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend((payload.len() as u16 + 8).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    let sent = socket.send_to(&packet, &SocketAddr::V4(to).into()).expect("sent");
    assert_eq!(sent, packet.len());
}

impl Host {
    /// A socket that hears what comes to a port.
    fn listen(&self, port: u16) -> UdpSocket {
        wait(self.spawn(async move {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).expect("a free port");
            socket.set_nonblocking(true).expect("a socket");
            socket
        }))
    }

    fn v4(&self, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, port)
    }

    /// The address of the host's one UDP socket that is connected to `relay`.
    fn media_socket(&self, relay: SocketAddr) -> SocketAddrV4 {
        let output = self.command("cat").arg("/proc/net/udp").output().expect("cat");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let port = |field: &str| u16::from_str_radix(field.rsplit(':').next()?, 16).ok();
        let found = text.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (port(fields.get(2)?)? == relay.port()).then(|| port(fields.get(1)?))?
        });
        self.v4(found.expect("a socket of the call"))
    }
}
