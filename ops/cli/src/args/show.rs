//! `show <element>` (C-160 … C-243).

use clap::Subcommand;
use crs_types::AccountId;

#[derive(Debug, Subcommand)]
pub(crate) enum Show {
    /// Attached clients
    ///
    /// URI, account, seconds attached, version of the client, its address and port, and the node
    /// that handles it. --verbose adds key exchange, primary or secondary, device and connection.
    #[command(
        after_help = "Examples:\n  crs-cli show attach\n  crs-cli show attach police --verbose\n  crs-cli show attach -o tsv --no-header"
    )]
    Attach {
        /// Only clients of this account
        #[arg(value_name = "ACCOUNT-ID", id = "account")]
        account: Option<AccountId>,
    },
    /// Blocked users of an account
    #[command(after_help = "Examples:\n  crs-cli show blacklist police")]
    Blacklist {
        /// The account
        #[arg(value_name = "ACCOUNT-ID", id = "account")]
        account: AccountId,
    },
    /// Active sessions
    ///
    /// Caller, callee, seconds since the invite, and the state: invite, ringing, talk, responder
    /// not found, responder not connected, or hangup(reason, who).
    #[command(after_help = "Examples:\n  crs-cli show session\n  crs-cli show session --verbose")]
    Session,
    /// Posted and delivered messages per user
    ///
    /// POST and DELIV count since the account was created; READ is when the user last looked for
    /// messages. --verbose adds how many wait.
    #[command(
        after_help = "Examples:\n  crs-cli show message\n  crs-cli show message police --output json"
    )]
    Message {
        /// Only users of this account
        #[arg(value_name = "ACCOUNT-ID", id = "account")]
        account: Option<AccountId>,
    },
    /// Modules, processes and slots
    #[command(after_help = "Examples:\n  crs-cli show system")]
    System,
    /// Installed version
    #[command(after_help = "Examples:\n  crs-cli show version\n  crs-cli show version --verbose")]
    Version,
    /// Loaded accounts, by the process that handles them
    #[command(after_help = "Examples:\n  crs-cli show account\n  crs-cli show account police")]
    Account {
        /// Only this account; an error when it is not loaded
        #[arg(value_name = "ACCOUNT-ID", id = "account")]
        account: Option<AccountId>,
    },
    /// Relay counters by type and in total
    #[command(after_help = "Examples:\n  crs-cli show relay\n  crs-cli show relay --output json")]
    Relay,
    /// Live relay resources
    #[command(after_help = "Examples:\n  crs-cli show relays")]
    Relays,
    /// Monthly updates of this month and the next
    #[command(after_help = "Examples:\n  crs-cli show updates")]
    Updates,
    /// Status of the services
    #[command(after_help = "Examples:\n  crs-cli show services")]
    Services,
    /// Nodes of the pool, and how far each one is
    ///
    /// Answers without a leader, so it is the command to start with when nothing else works.
    #[command(after_help = "Examples:\n  crs-cli show node")]
    Node,
}
