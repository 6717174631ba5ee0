//! `crs-client run`: stays attached, takes commands line by line.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crs_client::{Client, ClientError, Event};
use crs_proto::wire::call::HangupReason;
use crs_proto::wire::word;
use crs_types::{AccountId, SessionId, Uri};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::{JoinError, JoinSet};

use super::Context;
use super::calls::MediaArgs;
use super::output::Output;

const HELP: &str = "/msg URI TEXT   send a message\n/call URI       call\n/answer         answer the call that rings\n/decline        decline it\n/lookup URI     show a user\n/contacts       show the contacts and their accounts\n/accept URI ACCOUNT  accept that a contact is of another account now\n/status         how the connection stands\n/quit           leave";

/// Commands that may be under way at once.
const TASKS_MAX: usize = 32;

/// How long what was asked for before `/quit` may take to end.
const QUIT_WITHIN: Duration = Duration::from_secs(3);

/// What a command comes to.
type Outcome = Result<Option<Said>, ClientError>;

/// What is under way.
#[derive(Default)]
struct Tasks {
    /// Ends by itself, soon.
    commands: JoinSet<Outcome>,
    /// Ends when one of the two sides does.
    calls: JoinSet<Outcome>,
}

impl Tasks {
    fn len(&self) -> usize {
        self.commands.len() + self.calls.len()
    }

    /// The next outcome; pending for ever when nothing is under way. Cancel-safe.
    async fn next(&mut self) -> Result<Outcome, JoinError> {
        tokio::select! {
            Some(done) = self.commands.join_next() => done,
            Some(done) = self.calls.join_next() => done,
            else => std::future::pending().await,
        }
    }

    /// Waits for the commands that are under way, so that a script need not.
    async fn finish(&mut self, out: &Output) {
        let commands = async {
            while let Some(done) = self.commands.join_next().await {
                report_outcome(out, done);
            }
        };
        let _late = tokio::time::timeout(QUIT_WITHIN, commands).await;
        self.commands.shutdown().await;
        self.calls.shutdown().await;
    }
}

fn report_outcome(out: &Output, done: Result<Outcome, JoinError>) {
    match done {
        Ok(Ok(Some(said))) => out.say(&said.text, &said.value),
        Ok(Ok(None)) | Err(_) => {}
        Ok(Err(error)) => out.error(&error),
    }
}

pub(crate) async fn run(context: &Context, media: MediaArgs) -> Result<ExitCode, ClientError> {
    media.check().await?;
    let client = Arc::new(Client::open(&context.profile, context.options.clone()).await?);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut tasks = Tasks::default();
    let mut ringing: Option<SessionId> = None;
    let mut reading = true;
    let mut interrupts = super::interrupts()?;
    let mut here = Ok(());
    while here.is_ok() {
        tokio::select! {
            event = client.next_event() => match event {
                Some(event) => {
                    context.out.event(&event);
                    // On a full disk what was shown is shown again after a restart.
                    if let Err(error) = note(&client, &event, &mut ringing).await {
                        context.out.error(&error);
                    }
                    here = super::still_here(&event);
                }
                None => break,
            },
            line = lines.next_line(), if reading => match read_line(line)? {
                Some(line) if line.trim() == "/quit" => break,
                Some(line) => {
                    let carry_out =
                        |line| command(client.clone(), line, ringing, media.clone());
                    if let Err(busy) = start(&mut tasks, line, carry_out) {
                        context.out.say(&busy.text, &busy.value);
                    }
                }
                None => reading = false,
            },
            done = tasks.next() => report_outcome(&context.out, done),
            _ = interrupts.recv() => break,
        }
    }
    tasks.finish(&context.out).await;
    if let Ok(client) = Arc::try_unwrap(client) {
        client.close().await;
    }
    here.map(|()| ExitCode::SUCCESS)
}

/// A line that is no text is answered like one that is no command, and the next one is read.
fn read_line(line: std::io::Result<Option<String>>) -> std::io::Result<Option<String>> {
    match line {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Ok(Some("?".to_owned())),
        line => line,
    }
}

/// Starts what a line asks for, unless too much is under way.
fn start<F>(
    tasks: &mut Tasks,
    line: String,
    carry_out: impl FnOnce(String) -> F,
) -> Result<(), Said>
where
    F: Future<Output = Outcome> + Send + 'static,
{
    if tasks.len() >= TASKS_MAX {
        let value = json!({"event": "busy", "line": line});
        return Err(Said { text: "too much at once, try again".to_owned(), value });
    }
    let name = line.split_whitespace().next().unwrap_or_default();
    let calls = matches!(name, "/call" | "/answer");
    let set = if calls { &mut tasks.calls } else { &mut tasks.commands };
    set.spawn(carry_out(line));
    Ok(())
}

#[derive(Debug)]
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
        | Event::ContactChanged { .. }
        | Event::StorageFailed { .. }
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
    let nothing_rings = || ClientError::Usage("nothing rings".to_owned());
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
            let mut value = serde_json::to_value(&found).unwrap_or_default();
            value["uri"] = json!(found.uri.to_string());
            said(text, value)
        }
        "/contacts" => {
            let contacts = client.contacts().await?;
            said(super::contacts::table(&contacts), super::contacts::value(&contacts))
        }
        "/accept" => {
            let (uri, account) = (uri(argument)?, account(rest)?);
            client.accept_contact(&uri, &account).await?;
            said(
                super::contacts::accepted(&uri, &account),
                json!({
                    "event": "contact-accepted", "uri": uri.to_string(), "account": account,
                }),
            )
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
    Uri::parse(text).map_err(|e| ClientError::Usage(e.to_string()))
}

fn account(text: &str) -> Result<AccountId, ClientError> {
    AccountId::parse(text.trim()).map_err(|e| ClientError::Usage(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_beyond_the_limit_is_told_busy_until_one_has_ended() {
        let mut tasks = Tasks::default();
        let (end, ended) = tokio::sync::oneshot::channel();
        let first = async move { ended.await.map(|()| None).map_err(|_| ClientError::Closed) };
        start(&mut tasks, "/call".to_owned(), |_| first).unwrap();
        for _ in 1..TASKS_MAX {
            start(&mut tasks, "/lookup".to_owned(), |_| std::future::pending()).unwrap();
        }
        let busy = start(&mut tasks, "/status".to_owned(), |_| std::future::pending());
        assert_eq!(busy.unwrap_err().value, json!({"event": "busy", "line": "/status"}));
        end.send(()).unwrap();
        tasks.next().await.unwrap().unwrap();
        start(&mut tasks, "/status".to_owned(), |_| std::future::pending()).unwrap();
    }
}
