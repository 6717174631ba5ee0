//! Tests of SRTP: the vectors of RFC 7714 §16, replay, roll-over, loss.

use proptest::prelude::*;

use super::rtp::{FIXED_LEN, Header, NotRtp};
use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

const CLEAR: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 \
                     69736120 696e2070 61727465 73207472 6573";
const SALT: &str = "51756964 2070726f 2071756f";

fn session(profile: Profile) -> SessionKey {
    let key: Vec<u8> = (0..profile.key_len() as u8).collect();
    SessionKey::new(profile, &key, &hex(SALT))
}

/// RFC 7714 §16.1.1 and §16.2.1.
#[test]
fn the_vectors_of_rfc_7714() {
    let vectors = [
        (
            Profile::Aes128Gcm,
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f \
             42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
        ),
        (
            Profile::Aes256Gcm,
            "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 \
             b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
        ),
    ];
    for (profile, expected) in vectors {
        let mut packet = hex(CLEAR);
        SrtpContext::from_session(&session(profile)).unwrap().protect(&mut packet).unwrap();
        assert_eq!(packet, hex(expected), "{profile:?}");
        let header =
            SrtpContext::from_session(&session(profile)).unwrap().unprotect(&mut packet).unwrap();
        assert_eq!(packet, hex(CLEAR));
        assert_eq!((header.sequence, header.ssrc), (0xf17b, 0x5501_a0b2));
    }
}

fn contexts() -> (SrtpContext, SrtpContext) {
    let master = MasterKey::new(Profile::Aes256Gcm, &[7; 32], &[9; 12]);
    (SrtpContext::new(&master).unwrap(), SrtpContext::new(&master).unwrap())
}

fn packet(sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = Header::new(111, sequence, 0, ssrc).to_bytes().to_vec();
    packet.extend_from_slice(&[sequence as u8; 20]);
    packet
}

#[test]
fn replays_and_very_old_packets_are_refused_and_late_ones_are_not() {
    let (mut sender, mut receiver) = contexts();
    let mut sent: Vec<_> = (1..=200).map(|n| packet(n, 1)).collect();
    sent.iter_mut().for_each(|packet| sender.protect(packet).unwrap());
    let mut take = |n: usize| receiver.unprotect(&mut sent[n - 1].clone()).map(|h| h.sequence);
    assert_eq!(take(150), Ok(150));
    assert_eq!(take(150), Err(SrtpError::Replay));
    assert_eq!(take(149), Ok(149), "late, but new");
    assert_eq!(take(149), Err(SrtpError::Replay));
    assert_eq!(take(23), Ok(23), "127 behind is the last within the window");
    assert_eq!(take(22), Err(SrtpError::Replay));
    assert_eq!(take(200), Ok(200));
    assert_eq!(take(73), Ok(73));
    assert_eq!(take(72), Err(SrtpError::Replay));
}

#[test]
fn the_roll_over_counter_follows_with_loss_and_reordering_around_the_wrap() {
    let (mut sender, mut receiver) = contexts();
    let order = [65_530u16, 65_534, 2, 65_535, 0, 10];
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for sequence in (65_530..=65_535).chain(0..=10) {
        let mut packet = packet(sequence, 1);
        sender.protect(&mut packet).unwrap();
        packets.push(packet);
    }
    for sequence in order {
        let index = usize::from(sequence.wrapping_sub(65_530));
        let mut packet = packets[index].clone();
        assert_eq!(receiver.unprotect(&mut packet).map(|h| h.sequence), Ok(sequence));
    }
}

#[test]
fn three_wraps_later_both_ends_still_agree() {
    let (mut sender, mut receiver) = contexts();
    for n in 0..200_000u32 {
        let mut packet = packet(n as u16, 1);
        sender.protect(&mut packet).unwrap();
        if n % 1000 == 0 {
            receiver.unprotect(&mut packet).unwrap();
        }
    }
}

#[test]
fn forged_packets_change_nothing() {
    let (mut sender, mut receiver) = contexts();
    let mut good = packet(5, 1);
    sender.protect(&mut good).unwrap();
    for index in 0..good.len() {
        let mut forged = good.clone();
        forged[index] ^= 0x20;
        assert!(receiver.unprotect(&mut forged).is_err(), "byte {index}");
    }
    assert_eq!(format!("{receiver:?}"), "SrtpContext(0 sources)");
    assert!(receiver.unprotect(&mut good).is_ok());
    let mut reflected = good.clone();
    assert!(contexts().1.unprotect(&mut reflected).is_err(), "already unprotected");
}

#[test]
fn a_sequence_number_is_never_used_twice_by_a_sender() {
    let (mut sender, _) = contexts();
    sender.protect(&mut packet(5, 1)).unwrap();
    assert_eq!(sender.protect(&mut packet(5, 1)), Err(SrtpError::Exhausted));
    assert_eq!(sender.protect(&mut packet(4, 1)), Err(SrtpError::Exhausted));
    assert_eq!(sender.protect(&mut packet(5, 2)), Ok(()), "another source is another stream");
}

#[test]
fn sources_are_limited_and_forged_ones_do_not_count() {
    let (mut sender, mut receiver) = contexts();
    for ssrc in 0..SSRCS_MAX as u32 {
        let mut packet = packet(1, ssrc);
        sender.protect(&mut packet).unwrap();
        receiver.unprotect(&mut packet).unwrap();
    }
    assert_eq!(sender.protect(&mut packet(1, 9999)), Err(SrtpError::TooManySources));
}

#[test]
fn a_packet_longer_than_udp_carries_is_not_protected() {
    let (mut sender, _) = contexts();
    let mut longest = packet(1, 1);
    longest.resize(65_535 - TAG_LEN, 0);
    let mut longer = longest.clone();
    longer.push(0);
    assert_eq!(sender.protect(&mut longer), Err(SrtpError::Exhausted));
    assert_eq!(sender.protect(&mut longest), Ok(()));
    assert_eq!(longest.len(), 65_535);
}

#[test]
fn headers_with_csrcs_and_extension_are_measured() {
    let mut packet = vec![0x92, 0xe0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    packet.extend_from_slice(&[0; 8]);
    packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0]);
    packet.push(1);
    let header = Header::parse(&packet).unwrap();
    assert_eq!(header.len, FIXED_LEN + 8 + 8);
    assert!(header.marker);
    assert_eq!(header.payload_type, 0x60);
    assert_eq!(Header::parse(&packet[..FIXED_LEN + 8 + 7]), Err(NotRtp));
    assert_eq!(Header::parse(&[0x40; 12]), Err(NotRtp));
    assert_eq!(Header::parse(&[0x80; 11]), Err(NotRtp));
}

proptest! {
    #[test]
    fn arbitrary_packets_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let (mut sender, mut receiver) = contexts();
        let _ = Header::parse(&bytes);
        prop_assert!(receiver.unprotect(&mut bytes.clone()).is_err());
        let _ = sender.protect(&mut bytes.clone());
    }
}
