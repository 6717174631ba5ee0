//! `crs-client run`: stays attached, takes commands line by line.

use std::process::ExitCode;
use std::sync::Arc;

use crs_client::{Client, ClientError, Event};
use crs_proto::wire::call::HangupReason;
use crs_types::{SessionId, Uri};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinSet;

use super::calls::MediaArgs;
use super::{Context, output::word};

const HELP: &str = "/msg URI TEXT   send a message\n/call URI       call\n/answer         answer the call that rings\n/decline        decline it\n/lookup URI     show a user\n/status         how the connection stands\n/quit           leave";

/// Work that may run at once.
const TASKS_MAX: usize = 32;

pub(crate) async fn run(context: &Context, media: MediaArgs) -> Result<ExitCode, ClientError> {
    let client = Arc::new(Client::open(&context.profile, context.options.clone()).await?);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut tasks = JoinSet::new();
    let mut ringing: Option<SessionId> = None;
    let mut reading = true;
    loop {
        tokio::select! {
            event = client.next_event() => match event {
                Some(event) => {
                    context.out.event(&event);
                    note(&client, &event, &mut ringing).await?;
                }
                None => break,
            },
            line = lines.next_line(), if reading => match line? {
                Some(line) if line.trim() == "/quit" => break,
                Some(line) if tasks.len() >= TASKS_MAX => {
                    context.out.say("too much at once, try again", &json!({"event": "busy", "line": line}));
                }
                Some(line) => drop(tasks.spawn(command(client.clone(), line, ringing, media.clone()))),
                None => reading = false,
            },
            Some(done) = tasks.join_next() => match done {
                Ok(Ok(Some(said))) => context.out.say(&said.text, &said.value),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => context.out.error(&error),
                Err(_) => {}
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    tasks.shutdown().await;
    if let Ok(client) = Arc::try_unwrap(client) {
        client.close().await;
    }
    Ok(ExitCode::SUCCESS)
}

struct Said {
    text: String,
    value: serde_json::Value,
}

async fn note(
    client: &Client,
    event: &Event,
    ringing: &mut Option<SessionId>,
) -> Result<(), ClientError> {
    match event {
        Event::Message(message) => client.done(message.seq).await,
        Event::Receipt { seq, .. } => client.done(*seq).await,
        Event::Incoming(call) => {
            *ringing = Some(call.session);
            Ok(())
        }
        Event::CallEnded { session, .. } => {
            *ringing = ringing.filter(|other| other != session);
            Ok(())
        }
        Event::Attached { .. }
        | Event::Disconnected { .. }
        | Event::Denied { .. }
        | Event::Unregistered { .. }
        | Event::Posted { .. }
        | Event::PostFailed { .. }
        | Event::Updated { .. } => Ok(()),
    }
}

async fn command(
    client: Arc<Client>,
    line: String,
    ringing: Option<SessionId>,
    media: MediaArgs,
) -> Result<Option<Said>, ClientError> {
    let mut words = line.trim().splitn(3, ' ');
    let (name, argument, rest) =
        (words.next().unwrap_or(""), words.next().unwrap_or(""), words.next().unwrap_or(""));
    let said = |text: String, value| Ok(Some(Said { text, value }));
    let nothing_rings = || ClientError::Protocol("nothing rings".to_owned());
    match name {
        "" => Ok(None),
        "/msg" => {
            let mid = client.send(&uri(argument)?, rest.as_bytes()).await?;
            said(format!("taken {mid}"), json!({"event": "taken", "mid": mid}))
        }
        "/call" => report(client.call(&uri(argument)?, media.media()).await?),
        "/answer" => {
            let session = ringing.ok_or_else(nothing_rings)?;
            report(client.answer(session, media.media()).await?)
        }
        "/decline" => {
            let session = ringing.ok_or_else(nothing_rings)?;
            client.hangup(session, HangupReason::Declined).await.map(|()| None)
        }
        "/lookup" => {
            let found = client.lookup(&uri(argument)?).await?;
            let text = format!("{} of {}, attached: {}", found.uri, found.account, found.attached);
            said(text, serde_json::to_value(&found).unwrap_or_default())
        }
        "/status" => {
            let status = client.status();
            let text = format!("{status:?}");
            said(text, serde_json::to_value(&status).unwrap_or_default())
        }
        _ => said(HELP.to_owned(), json!({"event": "help", "text": HELP})),
    }
}

fn report(report: crs_client::CallReport) -> Result<Option<Said>, ClientError> {
    let text = format!(
        "call with {}: {} ({}), received {}, lost {}",
        report.peer,
        word(&report.state),
        word(&report.reason),
        report.media.received,
        report.media.lost
    );
    let mut value = serde_json::to_value(&report).unwrap_or_default();
    value["event"] = json!("call");
    Ok(Some(Said { text, value }))
}

fn uri(text: &str) -> Result<Uri, ClientError> {
    Uri::parse(text).map_err(|e| ClientError::Protocol(e.to_string()))
}
