//! The actions and their elements.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;
use crs_types::{AccountId, Uri};

use super::{Show, Trace};

/// A duration from the command line.
pub(crate) type Seconds = Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Apply an account's monthly update file
    ///
    /// Opens the file with the account's shared secret, checks account, signature, serial and
    /// month, stores it on all nodes and loads it. The first file of an account also pins the key
    /// of its CMS: compare the fingerprint with the CMS administrator.
    #[command(
        after_help = "Examples:\n  crs-cli apply /opt/crs/accounts/2026-11.upd\n  crs-cli apply 2026-11.upd \\\n    --confirm-fingerprint '3F2A 9C01 77B0 D4E2 5A1B C8F6 0E93 7D24 B1A5 66FC 290E 8D3B F047 15CA 9E62 D8B3'"
    )]
    Apply(Apply),
    /// Stop users from using the service, or let them in again
    #[command(
        subcommand,
        after_help = "Examples:\n  crs-cli blacklist add police +46701234567\n  crs-cli blacklist remove police +46701234567"
    )]
    Blacklist(Blacklist),
    /// Find out where something belongs
    #[command(subcommand, after_help = "Examples:\n  crs-cli check slot +46701234567")]
    Check(Check),
    /// List all commands, and whether they change anything
    #[command(after_help = "Examples:\n  crs-cli commands\n  crs-cli commands --output json")]
    Commands,
    /// Print the script for tab completion
    #[command(
        after_help = "Examples:\n  crs-cli completion bash\n  crs-cli completion zsh\n\nLoad it once with: source <(crs-cli completion bash)"
    )]
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Live values for tab completion
    #[command(hide = true, after_help = "Examples:\n  crs-cli complete -- show blacklist po")]
    Complete {
        /// The words after crs-cli, the last one as far as typed
        #[arg(last = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Create an account or a random secret
    #[command(
        subcommand,
        after_help = "Examples:\n  crs-cli create account police\n  crs-cli create sharedSecret -B32"
    )]
    Create(Create),
    /// Delete an account
    #[command(subcommand, after_help = "Examples:\n  crs-cli delete account police")]
    Delete(Delete),
    /// Find out what is wrong, and how to put it right
    ///
    /// Runs all checks also after a failure. Every finding names its cause, a command that fixes
    /// it and the page that explains it. Exit code 0, 1 (a failure) or 3 (a warning).
    #[command(
        after_help = "Examples:\n  crs-cli doctor\n  crs-cli doctor --short --wait 60s\n  crs-cli doctor --pre\n  crs-cli doctor --only disk,clock --output json"
    )]
    Doctor(Doctor),
    /// Test the system, or an account with a real call and a real message
    ///
    /// Exit code 0 = ok, 1 = error, 3 = warning.
    #[command(
        after_help = "Examples:\n  crs-cli health-check system --output-format summary\n  crs-cli health-check account police --local-only"
    )]
    HealthCheck(HealthCheck),
    /// List accounts
    #[command(
        subcommand,
        after_help = "Examples:\n  crs-cli list account\n  crs-cli list account --reveal"
    )]
    List(List),
    /// Look a client up
    #[command(subcommand, after_help = "Examples:\n  crs-cli lookup client police +46701234567")]
    Lookup(Lookup),
    /// Close connections of clients, which come back by themselves
    #[command(
        subcommand,
        after_help = "Examples:\n  crs-cli purge client police +46701234567\n  crs-cli purge clients police"
    )]
    Purge(Purge),
    /// Read files again after they were changed by hand
    #[command(subcommand, after_help = "Examples:\n  crs-cli reload account")]
    Reload(Reload),
    /// Show the state of clients, sessions, relays, nodes
    #[command(
        subcommand,
        after_help = "Examples:\n  crs-cli show attach\n  crs-cli show node\n  crs-cli show updates --output json"
    )]
    Show(Show),
    /// Follow events as they happen; ctrl-c stops
    ///
    /// One line an event, fields separated by commas, times in UTC. A trace never holds content.
    #[command(
        after_help = "Examples:\n  crs-cli trace session\n  crs-cli trace client police +46701234567 --for 1m"
    )]
    Trace(Trace),
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The file the CMS administrator handed over
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Take a file of a month that is neither the previous, the current nor the next one
    #[arg(long)]
    pub(crate) force: bool,
    /// The CMS key's fingerprint as the CMS administrator told it (first apply of an account)
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) confirm_fingerprint: Option<String>,
}

/// A user of an account.
#[derive(Debug, Args)]
pub(crate) struct Member {
    /// The account
    #[arg(value_name = "ACCOUNT-ID", id = "account")]
    pub(crate) account: AccountId,
    /// The number, such as +46701234567
    #[arg(value_name = "URI", id = "uri")]
    pub(crate) uri: Uri,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Blacklist {
    /// Block a user at once: connections are cut, calls and messages refused
    #[command(after_help = "Examples:\n  crs-cli blacklist add police +46701234567")]
    Add(Member),
    /// Let a blocked user in again
    #[command(after_help = "Examples:\n  crs-cli blacklist remove police +46701234567")]
    Remove(Member),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Check {
    /// Slot, group, leader and replicas of a number
    #[command(after_help = "Examples:\n  crs-cli check slot +46701234567")]
    Slot {
        /// The number
        #[arg(value_name = "URI", id = "number")]
        uri: Uri,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Create {
    /// Add an account
    ///
    /// The account id and the shared secret must be the same in the account's CMS. Without -s a
    /// secret of 128 bits is made and shown once; `list account --reveal` shows it again.
    #[command(
        after_help = "Examples:\n  crs-cli create account police\n  crs-cli create account police -B32\n  crs-cli create account police -s AAECAwQFBgcICQoLDA0ODw==\n  crs-cli create account police --cms-key 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    )]
    Account(CreateAccount),
    /// Print a random secret in base64; needs no node
    #[command(
        name = "sharedSecret",
        after_help = "Examples:\n  crs-cli create sharedSecret\n  crs-cli create sharedSecret -B32\n  crs-cli create sharedSecret -b 256"
    )]
    SharedSecret(SharedSecret),
}

#[derive(Debug, Args)]
pub(crate) struct CreateAccount {
    /// 1 to 20 characters of a-z A-Z 0-9 - _
    #[arg(value_name = "ACCOUNT-ID", id = "new-account")]
    pub(crate) account: AccountId,
    /// The shared secret agreed beforehand, in base64
    #[arg(short = 's', value_name = "SECRET", conflicts_with_all = ["bits", "bytes"])]
    pub(crate) secret: Option<String>,
    /// The CMS's public key, so that nobody else's update file is ever accepted
    #[arg(long, value_name = "KEY")]
    pub(crate) cms_key: Option<String>,
    #[command(flatten)]
    pub(crate) length: SharedSecret,
}

/// How long a secret to make.
#[derive(Debug, Args)]
pub(crate) struct SharedSecret {
    /// Length in bits, rounded up to whole bytes [default: 128]
    #[arg(short = 'b', id = "bits", value_name = "BITS", conflicts_with = "bytes", value_parser = clap::value_parser!(u16).range(1..=8192))]
    pub(crate) bits: Option<u16>,
    /// Length in bytes
    #[arg(short = 'B', id = "bytes", value_name = "BYTES", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) bytes: Option<u16>,
}

impl SharedSecret {
    /// The length in bytes, when one was given.
    pub(crate) fn bytes(&self) -> Option<u16> {
        self.bytes.or(self.bits.map(|bits| bits.div_ceil(8)))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Delete {
    /// Erase an account and all its users, on all nodes, for good
    #[command(
        after_help = "Examples:\n  crs-cli delete account police\n  crs-cli delete account police --yes"
    )]
    Account {
        /// The account
        #[arg(value_name = "ACCOUNT-ID", id = "account")]
        account: AccountId,
        /// Do not ask; needed where there is no terminal to ask on
        #[arg(short, long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Show only what is wrong
    #[arg(long)]
    pub(crate) short: bool,
    /// Check this machine before a node is installed; needs no node
    #[arg(long, conflicts_with = "pool")]
    pub(crate) pre: bool,
    /// Check all nodes of the pool
    #[arg(long)]
    pub(crate) pool: bool,
    /// Go on checking until everything is in order, at most this long, such as 60s
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) wait: Option<Seconds>,
    /// Only these checks or groups
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// With --pre: the DNS name that clients will use
    #[arg(long, value_name = "NAME", requires = "pre")]
    pub(crate) name: Option<String>,
    /// With --pre: the directory that will hold the data
    #[arg(long, value_name = "DIR", requires = "pre", default_value = "/opt/crs/data")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct HealthCheck {
    #[command(subcommand)]
    pub(crate) what: HealthWhat,
    /// Form of the result [default: json]
    #[arg(long, global = true, value_enum, value_name = "FORM")]
    pub(crate) output_format: Option<HealthFormat>,
    /// Test clients use only loopback addresses of this node
    #[arg(long, global = true)]
    pub(crate) local_only: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HealthWhat {
    /// Services, storage, quorum, clock, disk, memory, relay
    #[command(
        after_help = "Examples:\n  crs-cli health-check system\n  crs-cli health-check system --output-format tsv"
    )]
    System,
    /// A call and a message between two temporary clients, and the update files
    #[command(
        after_help = "Examples:\n  crs-cli health-check account police\n  crs-cli health-check account police --local-only --output-format summary"
    )]
    Account {
        /// The account
        #[arg(value_name = "ACCOUNT-ID", id = "account")]
        account: AccountId,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HealthFormat {
    /// One word: ok, warning or error
    Summary,
    /// Summary, and every test with result and description
    Json,
    /// Every test with result and description
    Tsv,
}

#[derive(Debug, Subcommand)]
pub(crate) enum List {
    /// Accounts with their paths and shared secrets
    #[command(after_help = "Examples:\n  crs-cli list account\n  crs-cli list account --reveal")]
    Account {
        /// Show the secrets instead of masking them; leaves a line in the audit log
        #[arg(long)]
        reveal: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Lookup {
    /// Where a number is found, its domain and tokens
    #[command(
        after_help = "Examples:\n  crs-cli lookup client police +46701234567\n  crs-cli lookup client police +46701234567 -v"
    )]
    Client(Member),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Purge {
    /// Close the connections of one client
    #[command(after_help = "Examples:\n  crs-cli purge client police +46701234567")]
    Client(Member),
    /// Close the connections of all clients of an account
    #[command(after_help = "Examples:\n  crs-cli purge clients police")]
    Clients {
        /// The account
        #[arg(value_name = "ACCOUNT-ID", id = "account")]
        account: AccountId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Reload {
    /// Read the account directories again, such as edited blacklists
    #[command(after_help = "Examples:\n  crs-cli reload account")]
    Account,
}

/// `10s`, `2m`, `1h`, `500ms`, or a plain number of seconds; never none at all.
pub(crate) fn parse_duration(text: &str) -> Result<Seconds, String> {
    match crs_types::duration::parse(text)? {
        Duration::ZERO => Err("expected a time of at least 1ms".to_owned()),
        time => Ok(time),
    }
}
