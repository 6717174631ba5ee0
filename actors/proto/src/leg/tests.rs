//! Legs: RFC 8489's sample messages, another implementation's eyes, and attackers' packets.

use std::time::Duration;

use crs_types::rng::SeededRng;
use crs_types::{ClientAddr, Mono};
use proptest::prelude::*;
use stun_types::prelude::*;

use super::client;
use super::stun::{Class, Integrity, Message};
use super::*;

const START: Mono = Mono::from_micros(1_000_000);
const HINT: u32 = 0x0102_0304;

struct Rig {
    leg: LegBinding,
    credentials: LegCredentials,
    rng: SeededRng,
    now: Mono,
}

impl Rig {
    fn new() -> Self {
        let mut rng = SeededRng::new(7);
        let credentials = LegCredentials::generate(&mut rng);
        let leg = LegBinding::new(HINT, credentials.clone());
        Self { leg, credentials, rng, now: START }
    }

    fn request(&mut self) -> (TransactionId, StunPacket) {
        let id = client::transaction_id(&mut self.rng);
        (id, client::binding_request(&self.credentials, id))
    }

    fn handle(&mut self, packet: &[u8], src: ClientAddr) -> LegEffects {
        self.leg.handle(packet, src, false, self.now, &mut self.rng)
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now.plus(Duration::from_millis(millis));
    }

    /// Request, check, answer; returns the request and the last effects.
    fn bind(&mut self, src: ClientAddr) -> (StunPacket, LegEffects) {
        let (_, request) = self.request();
        let check = self.handle(request.as_bytes(), src).send.unwrap().1;
        let answer = client::answer_check(&self.credentials, check.as_bytes(), relay()).unwrap();
        (request, self.handle(answer.as_bytes(), src))
    }
}

fn addr(text: &str) -> ClientAddr {
    ClientAddr::new(text.parse().unwrap())
}

fn relay() -> ClientAddr {
    addr("192.0.2.1:146")
}

fn home() -> ClientAddr {
    addr("198.51.100.7:4000")
}

fn elsewhere() -> ClientAddr {
    addr("203.0.113.9:53")
}

fn ignored(effects: &LegEffects) -> Option<Ignored> {
    assert_eq!((effects.send, effects.change), (None, None));
    match effects.verdict {
        Verdict::Ignored(why) => Some(why),
        Verdict::Answered
        | Verdict::Checking
        | Verdict::Proved
        | Verdict::Consent
        | Verdict::Timer => None,
    }
}

#[test]
fn the_relay_checks_before_it_answers_and_binds() {
    let mut rig = Rig::new();
    let (id, request) = rig.request();
    assert_eq!(peek(request.as_bytes()), Some(Peek::Request { ufrag: *rig.credentials.ufrag() }));
    let first = rig.handle(request.as_bytes(), home());
    let (to, check) = first.send.unwrap();
    assert_eq!((to, first.verdict, rig.leg.address()), (home(), Verdict::Checking, None));
    assert!(client::accepted(&rig.credentials, check.as_bytes(), id).is_none());
    let answer = client::answer_check(&rig.credentials, check.as_bytes(), relay()).unwrap();
    assert_eq!(peek(answer.as_bytes()), Some(Peek::Response { hint: HINT }));
    let second = rig.handle(answer.as_bytes(), home());
    assert_eq!(second.change, Some(Change::Bound(home())));
    let (to, response) = second.send.unwrap();
    assert_eq!(to, home());
    let mapped = client::accepted(&rig.credentials, response.as_bytes(), id);
    assert_eq!(mapped, Some(home()));
    // A further request from there is answered at once.
    let (id, again) = rig.request();
    let third = rig.handle(again.as_bytes(), home());
    assert_eq!(third.verdict, Verdict::Answered);
    let response = third.send.unwrap().1;
    assert!(client::accepted(&rig.credentials, response.as_bytes(), id).is_some());
}

/// Whoever knows the password and has seen a check must be where it was sent to.
#[test]
fn a_check_is_answered_from_where_it_was_sent_to() {
    let mut rig = Rig::new();
    let (_, request) = rig.request();
    let check = rig.handle(request.as_bytes(), home()).send.unwrap().1;
    let answer = client::answer_check(&rig.credentials, check.as_bytes(), relay()).unwrap();
    let stolen = rig.handle(answer.as_bytes(), elsewhere());
    assert_eq!(ignored(&stolen), Some(Ignored::Unexpected));
    assert_eq!(rig.leg.address(), None);
    assert_eq!(rig.handle(answer.as_bytes(), home()).change, Some(Change::Bound(home())));
    // The same for the consent of a bound address.
    rig.now = rig.leg.next_deadline().unwrap();
    let check = rig.leg.poll(rig.now, &mut rig.rng).send.unwrap().1;
    let answer = client::answer_check(&rig.credentials, check.as_bytes(), relay()).unwrap();
    assert_eq!(ignored(&rig.handle(answer.as_bytes(), elsewhere())), Some(Ignored::Unexpected));
    assert_eq!(rig.handle(answer.as_bytes(), home()).verdict, Verdict::Consent);
}

#[test]
fn nothing_sent_to_an_unproved_address_is_longer_than_what_came() {
    let rig = Rig::new();
    for integrity in [Integrity::Sha1, Integrity::Sha256] {
        for fingerprint in [false, true] {
            for src in [home(), addr("[2001:db8::1]:9")] {
                let mut rig2 = Rig::new();
                let id = client::transaction_id(&mut rig2.rng);
                let request = StunPacket::request(id, &rig.credentials, integrity, fingerprint);
                let effects = rig2.handle(request.as_bytes(), src);
                let (_, check) = effects.send.unwrap();
                assert!(check.as_bytes().len() <= request.as_bytes().len());
                let message = Message::parse(check.as_bytes()).unwrap();
                assert_eq!(message.authenticate(&rig.credentials), Some(integrity));
            }
        }
    }
}

#[test]
fn unauthenticated_packets_get_no_answer_and_leave_no_state() {
    let mut rig = Rig::new();
    let stranger = LegCredentials::generate(&mut SeededRng::new(99));
    let id = TransactionId([5; 12]);
    let other_user = client::binding_request(&stranger, id);
    assert_eq!(ignored(&rig.handle(other_user.as_bytes(), home())), Some(Ignored::Unauthenticated));
    let forged =
        LegCredentials::parse(rig.credentials.ufrag_text(), stranger.password_text()).unwrap();
    let forged = client::binding_request(&forged, id);
    assert_eq!(ignored(&rig.handle(forged.as_bytes(), home())), Some(Ignored::Unauthenticated));
    let (_, good) = rig.request();
    let length = good.as_bytes().len();
    for at in 0..length {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] ^= 1;
        // The type of FINGERPRINT lies behind the integrity: then it is another, ignored attribute.
        if at != length - 8 && at != length - 7 {
            assert!(ignored(&rig.handle(&bytes, home())).is_some(), "byte {at}");
        }
        assert!(ignored(&rig.handle(&good.as_bytes()[..at], home())).is_some(), "cut at {at}");
    }
    assert!(rig.leg.address().is_none() && rig.leg.next_deadline().is_none());
}

/// Without FINGERPRINT, which would notice it first and proves nothing.
#[test]
fn every_changed_byte_of_a_request_is_noticed() {
    for integrity in [Integrity::Sha1, Integrity::Sha256] {
        let mut rig = Rig::new();
        let id = client::transaction_id(&mut rig.rng);
        let request = StunPacket::request(id, &rig.credentials, integrity, false);
        for at in 0..request.as_bytes().len() {
            let mut changed = request.as_bytes().to_vec();
            changed[at] ^= 1;
            assert!(ignored(&rig.handle(&changed, home())).is_some(), "{integrity:?}, byte {at}");
        }
        assert_eq!(rig.handle(request.as_bytes(), home()).verdict, Verdict::Checking);
    }
}

#[test]
fn a_recorded_request_from_another_address_does_not_move_the_leg() {
    let mut rig = Rig::new();
    let (recorded, _) = rig.bind(home());
    let effects = rig.handle(recorded.as_bytes(), elsewhere());
    // One check, as long as the request at most, and nothing else.
    let (to, check) = effects.send.unwrap();
    assert_eq!((to, effects.change), (elsewhere(), None));
    assert!(check.as_bytes().len() <= recorded.as_bytes().len());
    assert_eq!(rig.leg.address(), Some(home()));
    // The real client's answer, if the attacker gets it to answer, comes from the wrong place.
    let answer = client::answer_check(&rig.credentials, check.as_bytes(), relay()).unwrap();
    assert_eq!(ignored(&rig.handle(answer.as_bytes(), home())), Some(Ignored::Unexpected));
    // The check itself sent back is no request.
    let reflected = rig.handle(check.as_bytes(), elsewhere());
    assert_eq!(ignored(&reflected), Some(Ignored::Reflected));
    assert_eq!(rig.leg.address(), Some(home()));
}

#[test]
fn a_request_replayed_while_its_check_is_under_way_is_dropped() {
    let mut rig = Rig::new();
    let (_, request) = rig.request();
    assert_eq!(rig.handle(request.as_bytes(), home()).verdict, Verdict::Checking);
    let replay = rig.handle(request.as_bytes(), elsewhere());
    assert_eq!(ignored(&replay), Some(Ignored::Replayed));
    // Its sender may repeat it: the same check again.
    assert_eq!(rig.handle(request.as_bytes(), home()).verdict, Verdict::Checking);
}

#[test]
fn a_client_that_moves_keeps_its_old_address_until_the_new_one_is_proved() {
    let mut rig = Rig::new();
    rig.bind(home());
    let (_, request) = rig.request();
    let check = rig.handle(request.as_bytes(), elsewhere()).send.unwrap().1;
    assert_eq!(rig.leg.address(), Some(home()));
    let answer = client::answer_check(&rig.credentials, check.as_bytes(), relay()).unwrap();
    let moved = rig.handle(answer.as_bytes(), elsewhere());
    assert_eq!(moved.change, Some(Change::Moved { from: home(), to: elsewhere() }));
    assert_eq!(rig.leg.address(), Some(elsewhere()));
    // The answer again proves nothing twice.
    assert_eq!(ignored(&rig.handle(answer.as_bytes(), elsewhere())), Some(Ignored::Unexpected));
}

#[test]
fn an_address_of_another_leg_is_refused() {
    let mut rig = Rig::new();
    let (_, request) = rig.request();
    let now = rig.now;
    let effects = rig.leg.handle(request.as_bytes(), home(), true, now, &mut rig.rng);
    assert_eq!(ignored(&effects), Some(Ignored::Taken));
    // Also when it was taken while the check was under way.
    let check = rig.handle(request.as_bytes(), home()).send.unwrap().1;
    let answer = client::answer_check(&rig.credentials, check.as_bytes(), relay()).unwrap();
    let effects = rig.leg.handle(answer.as_bytes(), home(), true, now, &mut rig.rng);
    assert_eq!(ignored(&effects), Some(Ignored::Taken));
}

#[test]
fn consent_is_renewed_by_answers_and_lost_without() {
    let mut rig = Rig::new();
    rig.bind(home());
    for _ in 0..20 {
        let deadline = rig.leg.next_deadline().unwrap();
        let wait = deadline.since(rig.now);
        assert!((Duration::from_secs(4)..=Duration::from_secs(6)).contains(&wait), "{wait:?}");
        rig.now = deadline;
        let now = rig.now;
        let (to, check) = rig.leg.poll(now, &mut rig.rng).send.unwrap();
        assert_eq!(to, home());
        let answer = client::answer_check(&rig.credentials, check.as_bytes(), relay()).unwrap();
        assert_eq!(rig.handle(answer.as_bytes(), home()).verdict, Verdict::Consent);
        // The same answer again renews nothing.
        assert_eq!(ignored(&rig.handle(answer.as_bytes(), home())), Some(Ignored::Unexpected));
    }
    let silent_since = rig.now;
    let mut checks = 0;
    let lost = loop {
        rig.now = rig.leg.next_deadline().unwrap();
        let now = rig.now;
        let effects = rig.leg.poll(now, &mut rig.rng);
        if effects.change.is_some() {
            break effects;
        }
        checks += 1;
        assert!(checks < 10);
    };
    assert_eq!(lost.change, Some(Change::Lost(home())));
    assert_eq!(rig.now.since(silent_since), CONSENT_LIFETIME);
    assert!((4..=8).contains(&checks));
    assert_eq!((rig.leg.address(), rig.leg.next_deadline()), (None, None));
    assert_eq!(rig.bind(home()).1.change, Some(Change::Bound(home())));
}

#[test]
fn checks_are_limited_in_number_and_rate() {
    let mut rig = Rig::new();
    let mut sent = 0;
    for port in 1..=PENDING_MAX as u16 + 1 {
        let (_, request) = rig.request();
        let src = addr(&format!("203.0.113.9:{port}"));
        sent += usize::from(rig.handle(request.as_bytes(), src).send.is_some());
    }
    assert_eq!(sent, PENDING_MAX);
    // All places are taken for half a second only, so a client cannot be kept out.
    rig.wait(500);
    assert_eq!(rig.bind(home()).1.change, Some(Change::Bound(home())));
    let mut sent = 0;
    for _ in 0..100 {
        let (_, request) = rig.request();
        sent += usize::from(rig.handle(request.as_bytes(), elsewhere()).send.is_some());
    }
    assert!(sent <= CHECK_RATE.burst as usize, "{sent}");
    let mut answered = 0;
    for _ in 0..100 {
        let (_, request) = rig.request();
        answered += usize::from(rig.handle(request.as_bytes(), home()).send.is_some());
    }
    assert_eq!(answered, ANSWER_RATE.burst as usize);
}

#[test]
fn an_answer_to_an_old_check_is_not_accepted() {
    let mut rig = Rig::new();
    let (_, request) = rig.request();
    let check = rig.handle(request.as_bytes(), home()).send.unwrap().1;
    let answer = client::answer_check(&rig.credentials, check.as_bytes(), relay()).unwrap();
    rig.wait(5000);
    assert_eq!(ignored(&rig.handle(answer.as_bytes(), home())), Some(Ignored::Unexpected));
}

#[test]
fn an_answer_with_weaker_integrity_than_the_check_is_not_accepted() {
    let mut rig = Rig::new();
    let (_, request) = rig.request();
    let check = rig.handle(request.as_bytes(), home()).send.unwrap().1;
    let id = Message::parse(check.as_bytes()).unwrap().id;
    let weak = StunPacket::success(id, relay(), &rig.credentials, Integrity::Sha1, true);
    let effects = rig.handle(weak.as_bytes(), home());
    assert_eq!(ignored(&effects), Some(Ignored::Unauthenticated));
    let good = StunPacket::success(id, relay(), &rig.credentials, Integrity::Sha256, true);
    assert_eq!(rig.handle(good.as_bytes(), home()).verdict, Verdict::Proved);
}

/// RFC 5769 §2.1 (ICE's sample request) with its own credentials: header, attributes before the
/// integrity, integrity and fingerprint come out right.
#[test]
fn the_sample_request_of_rfc_5769_is_understood() {
    let packet = hex("000100582112a442b7e7a701bc34d686fa87dfae802200105354554e2074657374\
         20636c69656e74002400046e0001ff80290008932ff9b151263b36000600096576746a3a683676592020\
         2000080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004e57a3bcf");
    let message = Message::parse(&packet).unwrap();
    assert_eq!(message.username, Some(&b"evtj:h6vY"[..]));
    assert!(message.fingerprint && !message.unknown_required);
    assert_eq!(message.class, Class::Request);
}

/// The same request with a long attribute that may be ignored: read up to the limit, no further.
#[test]
fn a_stun_packet_over_its_limit_is_not_looked_at() {
    let packet = |length: usize| {
        let mut packet = hex("000100002112a442b7e7a701bc34d686fa87dfae80220000");
        let value = length - packet.len();
        packet[22..24].copy_from_slice(&(value as u16).to_be_bytes());
        packet.resize(length, b' ');
        packet[2..4].copy_from_slice(&((length - 20) as u16).to_be_bytes());
        packet
    };
    assert!(Message::parse(&packet(REQUEST_MAX)).is_some());
    assert!(Message::parse(&packet(REQUEST_MAX + 4)).is_none());
}

/// Packets made by the Python program in docs/protocol.md, §7, with fixed credentials.
#[test]
fn the_documents_program_speaks_to_the_relay() {
    let credentials = LegCredentials::parse(&"A".repeat(24), &"B".repeat(32)).unwrap();
    let request = hex(
        "000100482112a442000102030405060708090a0b000600184141414141414141414141414141414141414141\
         41414141001c0020ecfcd8af7241eb9324d2ca8d59a82d355691a48c23efdc3f2bae59bf794f11c080280004\
         b3bf6a6f",
    );
    let mut leg = LegBinding::new(HINT, credentials.clone());
    let effects = leg.handle(&request, home(), false, START, &mut SeededRng::new(1));
    assert_eq!(effects.verdict, Verdict::Checking);
    let answer = hex(
        "010100382112a442000102030405060708090a0b0020000800012180e112a643001c00200edf2276bdd96cee\
         288aa46a34deea23acac436240c82c1fde7f3074a36d2af980280004173192f4",
    );
    let id = TransactionId(std::array::from_fn(|at| at as u8));
    assert_eq!(client::accepted(&credentials, &answer, id), Some(relay()));
}

/// What we make is read and authenticated by another implementation, and the other way round.
#[test]
fn another_implementation_agrees() {
    use stun_types::attribute::{
        MessageIntegrity, MessageIntegritySha256, Username, XorMappedAddress,
    };
    use stun_types::message::{BINDING, IntegrityAlgorithm, Message as Other, MessageWriteVec};

    let credentials = LegCredentials::generate(&mut SeededRng::new(3));
    let theirs: stun_types::message::MessageIntegrityCredentials =
        stun_types::message::ShortTermCredentials::new(credentials.password_text().to_owned())
            .into();
    for integrity in [Integrity::Sha1, Integrity::Sha256] {
        let id = TransactionId([9; 12]);
        let ours = StunPacket::request(id, &credentials, integrity, true);
        let read = Other::from_bytes(ours.as_bytes()).unwrap();
        read.validate_integrity(&theirs).unwrap();
        let name = read.attribute::<Username>().unwrap();
        assert_eq!(name.username(), credentials.ufrag_text());
        assert_eq!(read.attribute::<MessageIntegrity>().is_ok(), integrity == Integrity::Sha1);
        let sha256 = read.attribute::<MessageIntegritySha256>().is_ok();
        assert_eq!(sha256, integrity == Integrity::Sha256);
        for mapped in [home(), addr("[2001:db8::5]:77")] {
            let ours = StunPacket::success(id, mapped, &credentials, integrity, true);
            let read = Other::from_bytes(ours.as_bytes()).unwrap();
            read.validate_integrity(&theirs).unwrap();
            let attribute = read.attribute::<XorMappedAddress>().unwrap();
            assert_eq!(attribute.addr(read.transaction_id()), mapped.socket());
        }
    }
    for (algorithm, expected) in [
        (IntegrityAlgorithm::Sha1, Integrity::Sha1),
        (IntegrityAlgorithm::Sha256, Integrity::Sha256),
    ] {
        let mut writer = Other::builder_request(BINDING, MessageWriteVec::new());
        writer.add_attribute(&Username::new(credentials.ufrag_text()).unwrap()).unwrap();
        writer.add_message_integrity(&theirs, algorithm).unwrap();
        writer.add_fingerprint().unwrap();
        let bytes = writer.finish();
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.authenticate(&credentials), Some(expected));
    }
}

#[test]
fn the_media_port_is_shared_by_first_byte() {
    let kinds: Vec<_> = (0..=255u8).map(|byte| demux(&[byte, 0])).collect();
    let count = |kind| kinds.iter().filter(|k| **k == kind).count();
    assert_eq!(count(PacketKind::Stun), 4);
    assert_eq!((count(PacketKind::Node), kinds[8]), (1, PacketKind::Node));
    assert_eq!((count(PacketKind::Dtls), kinds[20], kinds[63]), (44, kinds[21], PacketKind::Dtls));
    assert_eq!((count(PacketKind::ChannelData), kinds[64]), (16, kinds[79]));
    assert_eq!((count(PacketKind::Rtp), kinds[128]), (64, kinds[191]));
    assert_eq!(demux(&[]), PacketKind::Unknown);
}

#[test]
fn a_leg_is_small_and_its_password_is_never_printed() {
    let rig = Rig::new();
    assert!(size_of::<LegBinding>() <= 640, "{}", size_of::<LegBinding>());
    let printed = format!("{:?}", rig.leg);
    assert!(!printed.contains(rig.credentials.password_text()));
}

/// Found by the fuzzer: an address of more than 16 bytes, from anybody, ended the media thread.
#[test]
fn an_address_attribute_of_any_length_is_survived() {
    for (class, length) in [0u8, 1].into_iter().flat_map(|class| (0..=96).map(move |n| (class, n)))
    {
        let padded = usize::from(length).next_multiple_of(4);
        let mut bytes = vec![class, 1, 0, padded as u8 + 4, 0x21, 0x12, 0xa4, 0x42];
        bytes.extend([3; 12]);
        bytes.extend([0, 0x20, 0, length]);
        bytes.extend(vec![1; padded]);
        let mut rig = Rig::new();
        let refused = ignored(&rig.handle(&bytes, home()));
        let unexpected = if class == 0 { Ignored::Unauthenticated } else { Ignored::Unexpected };
        assert_eq!(refused, Some(unexpected), "class {class}, {length} bytes");
        assert!(client::answer_check(&rig.credentials, &bytes, relay()).is_none());
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.bytes().filter_map(|b| char::from(b).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        let mut rig = Rig::new();
        let _ = peek(&bytes);
        prop_assert!(ignored(&rig.handle(&bytes, home())).is_some());
        prop_assert!(client::answer_check(&rig.credentials, &bytes, relay()).is_none());
    }

    #[test]
    fn well_formed_headers_with_any_attributes_are_survived(
        body in proptest::collection::vec(any::<u8>(), 0..100), response in any::<bool>(),
    ) {
        let mut bytes = vec![u8::from(response), 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        bytes.extend([3; 12]);
        bytes.extend(&body[..body.len() / 4 * 4]);
        bytes[3] = (bytes.len() - 20) as u8;
        let mut rig = Rig::new();
        let _ = peek(&bytes);
        prop_assert!(ignored(&rig.handle(&bytes, home())).is_some());
    }
}
