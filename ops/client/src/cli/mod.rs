//! The command line of `crs-client`.

mod calls;
mod contacts;
mod enrol;
mod export;
mod interactive;
mod messages;
mod output;
mod state;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use crs_client::{Client, ClientError, Event, Options};
use crs_proto::wire::life::{Role, UnregisteredReason};
use crs_types::{SystemClock, Uri};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crs_types::duration::parse as duration;
use output::Output;

/// Folder of the identity when none is named.
const DEFAULT_PROFILE: &str = "crs-profile";

/// Exit code of a call that an interrupt (ctrl-c) has ended, as shells have it.
const INTERRUPTED: u8 = 130;

/// Exit code when something did not come in time: no connection, no answer, no message.
const NOT_IN_TIME: u8 = 3;

/// Attaches to a rendezvous server: messages and calls, end-to-end encrypted.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not in time (no connection, no answer, fewer
/// messages than asked for), 130 a call ended by ctrl-c.
#[derive(Debug, Parser)]
#[command(
    name = "crs-client",
    version,
    after_help = "Examples:
  crs-client enrol alice.crsenrol --pin 1234-5678-9012
  crs-client send +46701234567 'On my way'
  crs-client receive --count 1 --for 10s
  crs-client call +46701234567 --play hello.wav --record heard.wav
  crs-client --output json answer --once --play reply.wav"
)]
pub(crate) struct Args {
    /// Folder of this client's identity, keys and messages
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "CRS_PROFILE",
        default_value = DEFAULT_PROFILE
    )]
    profile: PathBuf,
    /// Text for people, or one JSON object a line
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// Server to use in place of the enrolled ones; may be repeated
    #[arg(long, global = true, value_name = "HOST:PORT")]
    server: Vec<String>,
    /// Attach as a secondary device
    #[arg(long, global = true)]
    secondary: bool,
    /// How long to wait for the connection; `send` waits as long as its --within says
    #[arg(long, global = true, value_name = "TIME", default_value = "15s", value_parser = duration)]
    connect_within: Duration,
    /// Moves the clock, for tests
    #[arg(
        long,
        global = true,
        hide = true,
        default_value_t = 0,
        allow_negative_numbers = true,
        env = "CRS_CLOCK_OFFSET_MS"
    )]
    clock_offset_ms: i64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a profile from an enrolment bundle (a file, or the text of its QR code)
    ///
    /// When the bundle says that the server has a certificate of the public PKI, the root
    /// certificates of this system are taken, or those in the file that SSL_CERT_FILE names.
    #[command(
        after_help = "Examples:\n  crs-client enrol alice.crsenrol --pin 1234-5678-9012\n  crs-client --profile bob enrol bob.crsenrol --device laptop\n\nWithout --pin it asks for the PIN."
    )]
    Enrol(enrol::Args),
    /// Stays attached; commands are typed line by line (/help lists them)
    #[command(after_help = "Examples:\n  crs-client run")]
    Run(calls::MediaArgs),
    /// Sends a message and waits until the server has it on disk
    #[command(after_help = "Examples:\n  crs-client send +46701234567 'On my way'")]
    Send(messages::SendArgs),
    /// Receives messages
    #[command(
        after_help = "Examples:\n  crs-client receive --count 1 --for 10s\n  crs-client --output json receive"
    )]
    Receive(messages::ReceiveArgs),
    /// Calls a user
    #[command(
        after_help = "Examples:\n  crs-client call +46701234567 --play hello.wav --record heard.wav"
    )]
    Call(calls::CallArgs),
    /// Waits for calls and answers them
    #[command(
        after_help = "Examples:\n  crs-client answer --once --play reply.wav --record heard.wav"
    )]
    Answer(calls::AnswerArgs),
    /// Shows a user's keys, verified
    #[command(after_help = "Examples:\n  crs-client lookup +46701234567")]
    Lookup {
        /// The user
        uri: Uri,
    },
    /// Shows which account each contact is known to be of, or accepts another one
    ///
    /// The account of a contact is remembered when it is first verified. When the server names
    /// another one later, nothing is sent to that contact, its calls are refused and its messages
    /// wait, until you have asked the person by another way and accepted the new account here.
    #[command(
        after_help = "Examples:\n  crs-client contacts\n  crs-client contacts accept +46701234567 police"
    )]
    Contacts {
        #[command(subcommand)]
        accept: Option<contacts::Accept>,
    },
    /// Fetches, verifies, stores and confirms new monthly keys
    #[command(after_help = "Examples:\n  crs-client update")]
    Update,
    /// Shows what is in the profile; connects nowhere
    #[command(after_help = "Examples:\n  crs-client status")]
    Status,
    /// Writes certificate, key and server CA as PEM files, for other programs
    #[command(after_help = "Examples:\n  crs-client export --pem certs")]
    Export(export::Args),
}

/// What every command works with.
struct Context {
    profile: PathBuf,
    options: Options,
    connect_within: Duration,
    out: Output,
}

/// Runs the program.
pub(crate) async fn run(args: Args) -> ExitCode {
    let Args { profile, output, server, secondary, connect_within, clock_offset_ms, command } =
        args;
    let options = Options {
        clock: Arc::new(SystemClock::with_offset_ms(clock_offset_ms)),
        role: if secondary { Role::Secondary } else { Role::Primary },
        servers: (!server.is_empty()).then_some(server),
        ..Options::default()
    };
    let out = Output::new(output == Format::Json, &profile);
    let context = Context { profile, options, connect_within, out };
    let result = match command {
        Command::Enrol(args) => enrol::run(&context, args).await,
        Command::Run(args) => interactive::run(&context, args).await,
        Command::Send(args) => messages::send(&context, args).await,
        Command::Receive(args) => messages::receive(&context, args).await,
        Command::Call(args) => calls::call(&context, args).await,
        Command::Answer(args) => calls::answer(&context, args).await,
        Command::Lookup { uri } => state::lookup(&context, uri).await,
        Command::Contacts { accept } => contacts::run(&context, accept).await,
        Command::Update => state::update(&context).await,
        Command::Status => state::status(&context),
        Command::Export(args) => export::run(&context, &args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            context.out.error(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

impl Context {
    /// An attached client.
    async fn attached(&self) -> Result<Client, ClientError> {
        let client = Client::open(&self.profile, self.options.clone()).await?;
        match client.wait_attached(self.connect_within).await {
            Ok(()) => Ok(client),
            Err(error) => {
                client.close().await;
                Err(error)
            }
        }
    }
}

/// Interrupts (ctrl-c) from now on, none of which is lost between two looks: `ctrl_c()` made anew
/// at each look misses those that come in between.
fn interrupts() -> std::io::Result<Signal> {
    signal(SignalKind::interrupt())
}

/// The next event; `None` when the time is over, the client has ended, or somebody interrupts.
async fn next_event(
    client: &Client,
    deadline: Option<Instant>,
    interrupts: &mut Signal,
) -> Option<Event> {
    let over = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        event = client.next_event() => event,
        () = over => None,
        _ = interrupts.recv() => None,
    }
}

/// Nothing comes any more when another device has taken this one's place: a program that went on
/// waiting would look as if it were reachable.
fn still_here(event: &Event) -> Result<(), ClientError> {
    let replaced = Event::Unregistered { reason: UnregisteredReason::Replaced };
    if *event == replaced { Err(ClientError::Replaced) } else { Ok(()) }
}

fn exit_code(error: &ClientError) -> u8 {
    match error {
        ClientError::Connect { .. } | ClientError::Timeout(_) | ClientError::Disconnected => {
            NOT_IN_TIME
        }
        ClientError::Server(_)
        | ClientError::Refused { .. }
        | ClientError::NotAdmitted { .. }
        | ClientError::Closed
        | ClientError::Busy { .. }
        | ClientError::Profile { .. }
        | ClientError::Journal(_)
        | ClientError::Crypto { .. }
        | ClientError::ContactChanged { .. }
        | ClientError::Replaced
        | ClientError::Protocol(_)
        | ClientError::Usage(_)
        | ClientError::Media(_)
        | ClientError::Io(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use crs_types::shell;

    use super::*;

    #[test]
    fn every_page_of_help_has_examples_and_they_are_understood() {
        Args::command().debug_assert();
        fn check(page: &clap::Command) {
            let help = page.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = shell::examples(&help, "crs-client");
            assert!(!examples.is_empty(), "{} has no examples", page.get_name());
            for words in examples {
                let parsed = Args::command().try_get_matches_from(&words);
                assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
            }
            page.get_subcommands().for_each(check);
        }
        check(&Args::command());
    }
}
