//! `crs-client send` and `crs-client receive`.

use std::process::ExitCode;
use std::time::Duration;

use crs_client::{Client, ClientError, Event};
use crs_types::Uri;
use serde_json::json;
use tokio::time::Instant;

use super::{Context, NOT_IN_TIME, duration};

#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    /// The receiver
    to: Uri,
    /// The text; `-` reads standard input
    text: String,
    /// How long to wait for the server's confirmation; the message stays in the outbox after that
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    within: Duration,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReceiveArgs {
    /// Stop after this many messages
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Stop after this long [default: never]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    within: Option<Duration>,
}

pub(crate) async fn send(context: &Context, args: SendArgs) -> Result<ExitCode, ClientError> {
    let SendArgs { to, text, within } = args;
    let text =
        if text == "-" { tokio::task::spawn_blocking(read_text).await } else { Ok(Ok(text)) };
    let text = text.map_err(|_| ClientError::Closed)??;
    // The message is on disk first, whether or not there is a connection.
    let client = Client::open(&context.profile, context.options.clone()).await?;
    let sent = client.send_confirmed(&to, text.as_bytes(), within).await;
    let trouble = client.status().trouble;
    client.close().await;
    match (sent, trouble) {
        (Ok(confirmed), _) => {
            let value = json!({
                "event": "posted", "mid": confirmed.mid, "to": to.to_string(),
                "copies": confirmed.copies, "duplicate": confirmed.duplicate,
            });
            let text =
                format!("posted {} ({})", confirmed.mid, crs_client::copies_text(confirmed.copies));
            context.out.say(&text, &value);
            Ok(ExitCode::SUCCESS)
        }
        (Err(ClientError::Timeout(_)), Some(why)) => {
            let server = "the server; the message waits in the outbox".to_owned();
            Err(ClientError::Connect { server, why })
        }
        (Err(error), _) => Err(error),
    }
}

pub(crate) async fn receive(context: &Context, args: ReceiveArgs) -> Result<ExitCode, ClientError> {
    let client = context.attached().await?;
    let count = args.count;
    let got = received(context, &client, args).await;
    client.close().await;
    let got = got?;
    let short = count.is_some_and(|count| got < count);
    Ok(if short { ExitCode::from(NOT_IN_TIME) } else { ExitCode::SUCCESS })
}

/// Shows what comes until it is enough, or time; returns how many messages came.
async fn received(
    context: &Context,
    client: &Client,
    args: ReceiveArgs,
) -> Result<u64, ClientError> {
    let mut interrupts = super::interrupts()?;
    let deadline = args.within.map(|within| Instant::now() + within);
    let mut got = 0;
    while args.count.is_none_or(|count| got < count) {
        let event = super::next_event(client, deadline, &mut interrupts).await;
        let Some(event) = event else { break };
        context.out.event(&event);
        match &event {
            Event::Message(message) => {
                client.done(message.seq).await?;
                got += 1;
            }
            Event::Receipt { seq, .. } => client.done(*seq).await?,
            Event::Attached { .. }
            | Event::Disconnected { .. }
            | Event::Denied { .. }
            | Event::Unregistered { .. }
            | Event::Posted { .. }
            | Event::PostFailed { .. }
            | Event::Incoming(_)
            | Event::CallEnded { .. }
            | Event::ContactChanged { .. }
            | Event::StorageFailed { .. }
            | Event::Updated { .. } => super::still_here(&event)?,
        }
    }
    Ok(got)
}

fn read_text() -> Result<String, ClientError> {
    use std::io::Read;
    let mut text = String::new();
    let limit = crs_client::core::outbox::PLAIN_MAX as u64 + 1;
    std::io::stdin().lock().take(limit).read_to_string(&mut text).map_err(|error| {
        ClientError::Usage(format!("standard input: expected text in UTF-8: {error}"))
    })?;
    Ok(text)
}
