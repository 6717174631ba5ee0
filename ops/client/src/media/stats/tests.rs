//! Tests of the receiving side's figures.

use super::*;
use crate::media::wav::Audio;

fn sent() -> Audio {
    Audio::tone(Codec::Mulaw, 440.0, 200)
}

fn packets() -> Vec<Vec<u8>> {
    sent().payload.chunks(160).map(<[u8]>::to_vec).collect()
}

#[test]
fn gaps_are_losses_and_the_rest_is_identical() {
    let mut receiver = Receiver::new(Codec::Mulaw, Some(65_530));
    for (n, payload) in packets().iter().enumerate() {
        if n != 0 && n != 7 {
            let sequence = 65_530u16.wrapping_add(n as u16);
            receiver.packet(sequence, n as u32 * 160, payload, n as u64 * 20_000);
        }
    }
    let stats = receiver.stats();
    assert_eq!((stats.received, stats.lost, stats.duplicates, stats.reordered), (8, 2, 0, 0));
    assert_eq!(receiver.compare(&sent()), (8, 0));
    assert!(stats.jitter_ms < 0.001, "{}", stats.jitter_ms);
    let recording = receiver.recording();
    assert_eq!(recording.payload.len(), 1600);
    assert!(recording.payload[..160].iter().all(|b| *b == 0xff));
}

#[test]
fn duplicates_reordering_and_changed_samples_are_counted() {
    let mut receiver = Receiver::new(Codec::Mulaw, Some(10));
    let packets = packets();
    for (sequence, at) in [(10u16, 0), (12, 2), (11, 1), (12, 2), (9, 3)] {
        receiver.packet(sequence, 0, &packets[at], 0);
    }
    receiver.packet(13, 0, &[0; 160], 0);
    let stats = receiver.stats();
    assert_eq!((stats.received, stats.lost, stats.duplicates, stats.reordered), (4, 0, 1, 1));
    assert_eq!(receiver.compare(&sent()), (3, 1));
}

#[test]
fn jitter_follows_the_arrival_times() {
    let mut receiver = Receiver::new(Codec::Mulaw, Some(0));
    for n in 0..400u64 {
        let late = if n % 2 == 0 { 0 } else { 10_000 };
        receiver.packet(n as u16, n as u32 * 160, &[0; 160], n * 20_000 + late);
    }
    // Transit differs by 10 ms from packet to packet: the estimate settles there.
    assert!((receiver.stats().jitter_ms - 10.0).abs() < 0.1);
}

#[test]
fn without_an_announced_start_the_first_packet_is_the_start() {
    let mut receiver = Receiver::new(Codec::Mulaw, None);
    assert_eq!((receiver.span(), receiver.stats().lost), (0, 0));
    for sequence in [40_000, 40_002] {
        receiver.packet(sequence, 0, &[0; 160], 0);
    }
    assert_eq!((receiver.span(), receiver.stats().lost), (3, 1));
}

#[test]
fn a_recording_has_a_limit_and_the_figures_go_on() {
    let mut receiver = Receiver::new(Codec::Mulaw, Some(0));
    let total = RECORD_MAX + 50;
    for n in 0..total {
        receiver.packet(n as u16, n as u32 * 160, &[0; 160], n as u64 * 20_000);
    }
    assert_eq!(receiver.stats().received, total as u64);
    assert_eq!(receiver.recording().payload.len(), RECORD_MAX * 160);
}
