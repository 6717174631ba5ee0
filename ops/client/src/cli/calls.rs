//! `crs-client call` and `crs-client answer`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crs_client::{CallMedia, ClientError, Event};
use crs_types::Uri;
use tokio::time::{Instant, timeout_at};

use super::{Context, NOT_IN_TIME, duration};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct MediaArgs {
    /// WAV file to play: 16 bit mono at 8000, 16000 or 44100 Hz, stereo at 44100 Hz, or µ-law
    #[arg(long, value_name = "WAV")]
    play: Option<PathBuf>,
    /// WAV file to write what the other side sends to
    #[arg(long, value_name = "WAV")]
    record: Option<PathBuf>,
    /// WAV file that the other side plays: received samples are compared with it
    #[arg(long, value_name = "WAV")]
    expect: Option<PathBuf>,
    /// End the call after this long [default: when both sides have played their files]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CallArgs {
    /// Whom to call
    to: Uri,
    #[command(flatten)]
    media: MediaArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AnswerArgs {
    /// End after one call
    #[arg(long)]
    once: bool,
    /// Stop waiting after this long [default: never]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    within: Option<Duration>,
    #[command(flatten)]
    media: MediaArgs,
}

impl MediaArgs {
    pub(crate) fn media(&self) -> CallMedia {
        let Self { play, record, expect, duration } = self.clone();
        CallMedia { play, record, duration, expect }
    }
}

pub(crate) async fn call(context: &Context, args: CallArgs) -> Result<ExitCode, ClientError> {
    let client = context.attached().await?;
    let result = client.call(&args.to, args.media.media()).await;
    client.close().await;
    let report = result?;
    context.out.report(&report);
    Ok(if report.answered { ExitCode::SUCCESS } else { ExitCode::from(NOT_IN_TIME) })
}

pub(crate) async fn answer(context: &Context, args: AnswerArgs) -> Result<ExitCode, ClientError> {
    let client = context.attached().await?;
    let deadline = args.within.map(|within| Instant::now() + within);
    let mut answered = false;
    loop {
        let event = match deadline {
            Some(deadline) => timeout_at(deadline, client.next_event()).await.ok().flatten(),
            None => tokio::select! {
                event = client.next_event() => event,
                _ = tokio::signal::ctrl_c() => None,
            },
        };
        let Some(event) = event else { break };
        context.out.event(&event);
        if let Event::Incoming(incoming) = event {
            match client.answer(incoming.session, args.media.media()).await {
                Ok(report) => {
                    answered |= report.answered;
                    context.out.report(&report);
                }
                Err(error) => context.out.error(&error),
            }
            if args.once {
                break;
            }
        }
    }
    client.close().await;
    Ok(if answered { ExitCode::SUCCESS } else { ExitCode::from(NOT_IN_TIME) })
}
