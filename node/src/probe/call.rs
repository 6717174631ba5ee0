//! A call between the test clients: sound both ways through the relay, compared sample by sample.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crs_admin_api::command::health_check::{Health, Test};
use crs_client::media::Codec;
use crs_client::media::wav::Audio;
use crs_client::{CallMedia, CallReport, Event};
use crs_types::{OsRng, Rng};

use super::account::next;
use super::clients::Pair;
use super::{ProbeParts, Stopwatch};

/// Length of the sound in each direction.
const SOUND_MS: u32 = 1000;
/// How long the whole call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(25);
/// Loss up to this share of the packets deserves a look; more is a failure.
const LOSS_MAX: f64 = 0.05;

/// Both sides' reports.
pub(super) struct Reports {
    caller: CallReport,
    callee: CallReport,
}

/// Makes the call; returns when it has ended.
pub(super) async fn run(parts: &ProbeParts, pair: &Pair) -> Result<Reports, String> {
    let sounds = Sounds::write(&parts.scratch)?;
    bounded(both_sides(pair, &sounds)).await
}

async fn bounded<T>(call: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = || Err(format!("the call did not end within {} s", CALL_TIMEOUT.as_secs()));
    tokio::time::timeout(CALL_TIMEOUT, call).await.unwrap_or_else(|_| late())
}

/// What the reports say about the path.
pub(super) fn judged(watch: &Stopwatch<'_>, outcome: Result<Reports, String>) -> Test {
    let reports = match outcome {
        Ok(reports) => reports,
        Err(why) => return watch.ended(Health::Error, why),
    };
    let sides = [("caller", &reports.caller), ("callee", &reports.callee)];
    let text = sides.map(|(name, report)| heard(name, report)).join("; ");
    let worst = sides.iter().map(|(_, report)| judge(report)).max().unwrap_or(Health::Error);
    watch.ended(worst, text)
}

async fn both_sides(pair: &Pair, sounds: &Sounds) -> Result<Reports, String> {
    let place = pair.caller.call(&pair.callee_uri, sounds.media(0));
    let answer = async {
        let session = next(&pair.callee, |event| {
            let Event::Incoming(call) = event else { return None };
            Some(call.session)
        })
        .await?;
        let answered = pair.callee.answer(session, sounds.media(1)).await;
        answered.map_err(|error| format!("answering: {error}"))
    };
    let place = async { place.await.map_err(|error| format!("calling: {error}")) };
    let (caller, callee) = tokio::try_join!(place, answer)?;
    Ok(Reports { caller, callee })
}

fn judge(report: &CallReport) -> Health {
    let media = &report.media;
    let total = media.received + media.lost;
    if media.received == 0 || media.different.is_some_and(|n| n > 0) {
        return Health::Error;
    }
    match media.lost as f64 / total as f64 {
        loss if loss > LOSS_MAX => Health::Error,
        loss if loss > 0.0 => Health::Warning,
        _ => Health::Ok,
    }
}

fn heard(name: &str, report: &CallReport) -> String {
    let media = &report.media;
    let wrong = media.different.unwrap_or(0);
    format!(
        "{name} heard {} packets, {} lost, {wrong} with other samples, jitter {:.1} ms",
        media.received, media.lost, media.jitter_ms
    )
}

/// One sound for each direction; the files go with this value.
struct Sounds([PathBuf; 2]);

impl Sounds {
    fn write(folder: &Path) -> Result<Self, String> {
        let id = OsRng.bytes::<8>().map(|byte| format!("{byte:02x}")).concat();
        let paths = ["a", "b"].map(|side| folder.join(format!("health-check-{id}-{side}.wav")));
        let sounds = Self(paths);
        for (path, hertz) in sounds.0.iter().zip([440.0, 660.0]) {
            let tone = Audio::tone(Codec::ALL[0], hertz, SOUND_MS);
            tone.write(path).map_err(|error| error.to_string())?;
        }
        Ok(sounds)
    }

    /// What side 0 or 1 plays and expects.
    fn media(&self, side: usize) -> CallMedia {
        let [a, b] = &self.0;
        let (play, expect) = if side == 0 { (a, b) } else { (b, a) };
        CallMedia { play: Some(play.clone()), expect: Some(expect.clone()), ..CallMedia::default() }
    }
}

impl Drop for Sounds {
    fn drop(&mut self) {
        for path in &self.0 {
            // Gone already is as good.
            let _gone = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use crs_client::media::MediaStats;
    use crs_proto::wire::call::{HangupReason, SessionState};
    use crs_types::{SessionId, Timestamp};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_fails_after_twenty_five_seconds() {
        let began = Instant::now();
        let outcome = bounded(std::future::pending::<Result<(), String>>()).await;
        assert_eq!(outcome.unwrap_err(), "the call did not end within 25 s");
        assert_eq!(began.elapsed().as_secs(), CALL_TIMEOUT.as_secs());
    }

    fn report(received: u64, lost: u64, different: u64) -> CallReport {
        let media =
            MediaStats { received, lost, different: Some(different), ..MediaStats::default() };
        CallReport {
            session: SessionId::from_parts(Timestamp::from_millis(1_790_000_000_000), [0; 10]),
            peer: "+46700000001".to_owned(),
            caller: true,
            state: SessionState::Hangup,
            answered: true,
            reason: HangupReason::Normal,
            who: None,
            setup_ms: 1,
            first_media_ms: Some(1),
            talk_ms: 1000,
            media,
        }
    }

    #[test]
    fn a_twentieth_of_the_packets_may_be_lost() {
        for (received, lost, different, health) in [
            (50, 0, 0, Health::Ok),
            (99, 1, 0, Health::Warning),
            (95, 5, 0, Health::Warning),
            (94, 6, 0, Health::Error),
            (100, 0, 1, Health::Error),
            (0, 0, 0, Health::Error),
        ] {
            let judged = judge(&report(received, lost, different));
            assert_eq!(judged, health, "{received} received, {lost} lost");
        }
    }
}
