//! `trace <element>` (C-325 … C-383).

use clap::{Args, Subcommand};
use crs_types::{AccountId, Uri};

use super::actions::{Seconds, parse_duration};

#[derive(Debug, Args)]
pub(crate) struct Trace {
    #[command(subcommand)]
    pub(crate) element: TraceElement,
    /// Stop after this many events
    #[arg(long, global = true, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Stop after this time, such as 10s or 2m
    #[arg(long = "for", global = true, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) duration: Option<Seconds>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TraceElement {
    /// Registrations
    ///
    /// event,Time,Connection-Id,Type,URI,Account,IP,Port,State,Description
    #[command(after_help = "Examples:\n  crs-cli trace attach\n  crs-cli trace attach --for 30s")]
    Attach,
    /// Calls
    ///
    /// event,Time,Caller,Callee,State,Account,Session-ID; --verbose adds stage and detail of a hangup.
    #[command(after_help = "Examples:\n  crs-cli trace session\n  crs-cli trace session --verbose")]
    Session,
    /// Messages, never their content
    ///
    /// event,Time,From,To,State,Account,Message-ID
    #[command(
        after_help = "Examples:\n  crs-cli trace message\n  crs-cli trace message --count 10"
    )]
    Message,
    /// Connections of clients and admins
    ///
    /// event,Time,Id,User-Type,User,IP,Port,State
    #[command(after_help = "Examples:\n  crs-cli trace connection")]
    Connection,
    /// Debug events beside the others: the records of crs.log as they come
    ///
    /// Module,Type,Time,Information
    #[command(after_help = "Examples:\n  crs-cli trace event --output json")]
    Event,
    /// Everything about one number of one account
    #[command(
        after_help = "Examples:\n  crs-cli trace client police +46701234567\n  crs-cli trace client police +46701234567 --verbose"
    )]
    Client {
        /// The account
        #[arg(value_name = "ACCOUNT-ID", id = "account")]
        account: AccountId,
        /// The number
        #[arg(value_name = "URI", id = "uri")]
        uri: Uri,
    },
}
