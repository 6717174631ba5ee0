//! `crs-client call` and `crs-client answer`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crs_client::media::wav::{Audio, WavError};
use crs_client::{CallMedia, Client, ClientError, Event};
use crs_proto::wire::call::HangupReason;
use crs_types::Uri;
use tokio::time::Instant;

use super::{Context, INTERRUPTED, NOT_IN_TIME, duration};

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
    /// Use µ-law only, whatever the file holds: every client takes it
    #[arg(long)]
    mulaw: bool,
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
    /// Looks at the files before anybody is called or told that this client is there.
    pub(crate) async fn check(&self) -> Result<(), ClientError> {
        let Self { play, record, expect, .. } = self.clone();
        let check = tokio::task::spawn_blocking(move || {
            let named = |path: &Path, error: WavError| {
                ClientError::Media(format!("{}: {error}", path.display()))
            };
            for path in play.iter().chain(&expect) {
                Audio::read(path).map_err(|error| named(path, error))?;
            }
            record
                .iter()
                .try_for_each(|path| Audio::try_write(path).map_err(|error| named(path, error)))
        });
        check.await.map_err(|_| ClientError::Closed)?
    }

    pub(crate) fn media(&self) -> CallMedia {
        let Self { play, record, expect, duration, mulaw } = self.clone();
        CallMedia { play, record, duration, expect, mulaw }
    }
}

pub(crate) async fn call(context: &Context, args: CallArgs) -> Result<ExitCode, ClientError> {
    args.media.check().await?;
    let client = context.attached().await?;
    let mut interrupts = super::interrupts()?;
    let result = tokio::select! {
        result = client.call(&args.to, args.media.media()) => Some(result),
        _ = interrupts.recv() => None,
    };
    // This also hangs up a call that was interrupted.
    client.close().await;
    let Some(result) = result else { return Ok(ExitCode::from(INTERRUPTED)) };
    let report = result?;
    context.out.report(&report);
    if report.reason == HangupReason::Incompatible && !args.media.mulaw {
        context.out.hint("the other side cannot take this sound; --mulaw sends what all can take");
    }
    Ok(if report.answered { ExitCode::SUCCESS } else { ExitCode::from(NOT_IN_TIME) })
}

pub(crate) async fn answer(context: &Context, args: AnswerArgs) -> Result<ExitCode, ClientError> {
    args.media.check().await?;
    let client = context.attached().await?;
    let answered = answered(context, &client, args).await;
    client.close().await;
    Ok(if answered? { ExitCode::SUCCESS } else { ExitCode::from(NOT_IN_TIME) })
}

/// Answers what rings until it is enough, or time; true when there was such a call.
async fn answered(
    context: &Context,
    client: &Client,
    args: AnswerArgs,
) -> Result<bool, ClientError> {
    let mut interrupts = super::interrupts()?;
    let deadline = args.within.map(|within| Instant::now() + within);
    let mut answered = false;
    loop {
        let event = super::next_event(client, deadline, &mut interrupts).await;
        let Some(event) = event else { return Ok(answered) };
        context.out.event(&event);
        super::still_here(&event)?;
        let Event::Incoming(incoming) = event else { continue };
        let result = tokio::select! {
            result = client.answer(incoming.session, args.media.media()) => result,
            _ = interrupts.recv() => return Ok(answered),
        };
        match result {
            Ok(report) => {
                answered |= report.answered;
                context.out.report(&report);
            }
            Err(error) => context.out.error(&error),
        }
        if args.once {
            return Ok(answered);
        }
    }
}
