//! Datagrams at the relay's STUN code. Garbage binds no leg and is never answered; with the leg's
//! password, attributes of any kind are, and then only an address that has answered a check gets
//! more than a check.
#![no_main]

use aws_lc_rs::hmac;
use crs_proto::leg::{Change, LegBinding, LegCredentials, PACKET_MAX, Verdict};
use crs_types::rng::SeededRng;
use crs_types::{ClientAddr, Mono};
use libfuzzer_sys::fuzz_target;

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const USERNAME: u16 = 0x0006;
const INTEGRITY: u16 = 0x0008;
const INTEGRITY_SHA256: u16 = 0x001c;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = value.len() as u16;
    let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
    [&kind.to_be_bytes()[..], &length.to_be_bytes(), value, &padding].concat()
}

fn head(kind: u16, id: [u8; 12], length: usize) -> Vec<u8> {
    let length = length as u16;
    [&kind.to_be_bytes()[..], &length.to_be_bytes(), &COOKIE, &id].concat()
}

/// A message with these attributes, rightly signed (RFC 8489 §14.5, §14.6).
fn signed(
    credentials: &LegCredentials,
    kind: u16,
    id: [u8; 12],
    sha256: bool,
    more: &[u8],
) -> Vec<u8> {
    let mut attributes = attribute(USERNAME, credentials.ufrag());
    attributes.extend(more);
    let (algorithm, name, size) = if sha256 {
        (hmac::HMAC_SHA256, INTEGRITY_SHA256, 32)
    } else {
        (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, INTEGRITY, 20)
    };
    let key = hmac::Key::new(algorithm, credentials.password_text().as_bytes());
    let head = head(kind, id, attributes.len() + 4 + size);
    let tag = hmac::sign(&key, &[head.clone(), attributes.clone()].concat());
    [head, attributes, attribute(name, tag.as_ref())].concat()
}

/// What the fuzzer decides about each packet: its kind, its id, its source, the time before it, and
/// its further attributes.
fn play(leg: &mut LegBinding, mut bytes: &[u8], rng: &mut SeededRng) {
    let credentials = leg.credentials().clone();
    let mut now = Mono::from_micros(1);
    let mut check = [0; 12];
    while let [choice, words, rest @ ..] = bytes {
        let (more, next) = rest.split_at(rest.len().min(usize::from(words % 16) * 4));
        bytes = next;
        now = now.plus(std::time::Duration::from_millis(u64::from(choice >> 5) * 700));
        let source = ClientAddr::new(([127, 0, 0, 1], 4000 + u16::from(choice >> 3 & 3)).into());
        let kind = if choice & 1 == 0 { REQUEST } else { SUCCESS };
        let id = if kind == SUCCESS { check } else { [choice >> 3 & 7; 12] };
        let packet = signed(&credentials, kind, id, choice & 2 == 0, more);
        let proved = leg.address();
        let effects = leg.handle(&packet, source, choice & 4 != 0, now, rng);
        if let Some((to, sent)) = effects.send {
            let sent = sent.as_bytes();
            assert!(sent.len() <= PACKET_MAX);
            if effects.verdict == Verdict::Checking {
                assert_eq!(to, source);
                assert!(sent.len() <= packet.len(), "the relay amplifies nothing");
                check.copy_from_slice(&sent[8..20]);
            } else {
                assert!(leg.address() == Some(to), "only checks go to an address not proved");
            }
        }
        match effects.change {
            Some(Change::Bound(to)) => assert!(kind == SUCCESS && to == source),
            Some(Change::Moved { from, to }) => {
                assert!(kind == SUCCESS && to == source && proved == Some(from));
            }
            Some(Change::Lost(from)) => assert_eq!(proved, Some(from)),
            None => assert_eq!(leg.address(), proved),
        }
        // A consent check: what proves the bound address again.
        if let Some((to, sent)) = leg.poll(now, rng).send {
            assert_eq!(leg.address(), Some(to));
            check.copy_from_slice(&sent.as_bytes()[8..20]);
        }
    }
}

fuzz_target!(|packet: &[u8]| {
    let mut rng = SeededRng::new(7);
    let credentials = LegCredentials::generate(&mut rng);
    let mut leg = LegBinding::new(1, credentials);
    let source = ClientAddr::new(([127, 0, 0, 1], 4000).into());
    let _ = crs_proto::leg::peek(packet);
    let effects = leg.handle(packet, source, false, Mono::from_micros(1), &mut rng);
    assert!(effects.send.is_none() && effects.change.is_none(), "nobody can guess the password");
    play(&mut leg, packet, &mut rng);
});
