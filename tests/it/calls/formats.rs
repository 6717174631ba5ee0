//! What the sides of a call play when they do not take the same formats.

use crs_client::media::Codec;
use crs_client::media::wav::Audio;
use crs_client::{CallMedia, CallReport, ClientError};
use crs_load::common::bed::Bed;
use crs_proto::wire::call::HangupReason;
use tokio::time::timeout;

use super::bed::{self, answer, call, report};
use crate::bed::{PATIENCE, rings};

const MILLIS: u32 = 600;
/// Packets of 20 ms.
const PACKETS: u64 = 30;

/// A tone in a file.
fn tone(bed: &Bed, name: &str, codec: Codec, hertz: f64) -> std::path::PathBuf {
    let path = bed.folder().join(name);
    Audio::tone(codec, hertz, MILLIS).write(&path).expect("a WAV file");
    path
}

fn heard_all(report: &CallReport) {
    let media = &report.media;
    assert!(report.answered, "{report:?}");
    assert!(media.received > 0 && media.received + media.lost == PACKETS, "{report:?}");
    assert_eq!((media.identical, media.different), (Some(media.received), Some(0)), "{report:?}");
}

#[tokio::test]
async fn linear_sound_reaches_a_client_that_takes_mulaw_only() {
    let bed = bed::node(2).await;
    let (alice, bob) = (bed::client(&bed, 0).await, bed::client(&bed, 1).await);
    let to = bed.users.identities[1].uri.clone();
    let simple = tone(&bed, "simple.wav", Codec::Mulaw, 440.0);
    for codec in [Codec::L16Mono8000, Codec::L16Mono16000, Codec::L16Stereo44100] {
        let linear = tone(&bed, "linear.wav", codec, 660.0);
        // Each in turn has the linear file; the other side offers or takes µ-law only.
        let media = |play: &std::path::PathBuf, expect: &std::path::PathBuf, mulaw| CallMedia {
            play: Some(play.clone()),
            expect: Some(expect.clone()),
            mulaw,
            ..CallMedia::default()
        };
        for (caller, callee) in [
            (media(&simple, &linear, true), media(&linear, &simple, false)),
            (media(&linear, &simple, true), media(&simple, &linear, true)),
        ] {
            let calling = call(&alice, &to, caller);
            let session = rings(&bob).await;
            let talking = answer(&bob, session, callee);
            heard_all(&report(calling).await);
            heard_all(&report(talking).await);
        }
    }
    bed.end().await.expect("the node ends");
}

/// The caller says what it sends before it knows what the other side takes.
#[tokio::test]
async fn an_offer_that_a_client_cannot_take_is_refused_by_name() {
    let bed = bed::node(2).await;
    let (alice, bob) = (bed::client(&bed, 0).await, bed::client(&bed, 1).await);
    let to = bed.users.identities[1].uri.clone();
    let linear = tone(&bed, "linear.wav", Codec::L16Mono8000, 660.0);
    let calling = call(&alice, &to, CallMedia { play: Some(linear), ..CallMedia::default() });
    let session = rings(&bob).await;
    let simple = CallMedia { mulaw: true, ..CallMedia::default() };
    let refused = timeout(PATIENCE, answer(&bob, session, simple)).await.expect("it ends");
    let refused = refused.expect("no panic").expect_err("no common format");
    assert!(
        matches!(&refused, ClientError::Media(why) if why.contains("no common format")),
        "{refused}"
    );
    let called = report(calling).await;
    assert_eq!((called.answered, called.reason), (false, HangupReason::Incompatible));
    bed.end().await.expect("the node ends");
}
