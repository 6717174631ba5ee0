//! Arguments, help texts and examples.

use std::path::PathBuf;

use clap::{Args as ClapArgs, CommandFactory, Parser, Subcommand, ValueEnum};
use crs_keys::update::TeamCode;
use crs_types::{AccountId, Period, Timestamp, Uri};

/// Offline key management for a CRS account: users, monthly update files, enrolment codes.
#[derive(Debug, Parser)]
#[command(name = "crs-cms", version, propagate_version = true, after_help = EXAMPLES)]
pub(super) struct Args {
    /// The domain's directory.
    #[arg(
        short,
        long,
        global = true,
        env = "CRS_CMS_DIR",
        default_value = ".",
        value_name = "DIR"
    )]
    pub(super) dir: PathBuf,
    /// How to print results.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub(super) output: Format,
    /// Pretend that it is this time (RFC 3339).
    #[arg(long, global = true, hide = true, env = "CRS_CMS_NOW", value_parser = parse_time)]
    pub(super) now: Option<Timestamp>,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The command tree, for completions and manual pages.
pub fn command() -> clap::Command {
    Args::command()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a new domain: its CA, its CMS key, its directory.
    #[command(
        after_help = "Examples:\n  crs-cms init --account acme --secret-file secret.txt \\\n    --server crs1.example.org:5223 --server-ca pool-ca.pem ./acme"
    )]
    Init(Init),
    /// Show or change how users reach the CRS.
    #[command(
        after_help = "Examples:\n  crs-cms --dir ./acme server --server crs1.example.org:5223 --server-ca pool-ca.pem"
    )]
    Server(ServerArgs),
    /// Users.
    #[command(
        subcommand,
        after_help = "Examples:\n  crs-cms --dir ./acme user add +46701234567 +46701234568\n  crs-cms --dir ./acme user list"
    )]
    User(User),
    /// Team codes: a number for a group.
    #[command(
        subcommand,
        after_help = "Examples:\n  crs-cms --dir ./acme team-code add ops +46701234567\n  crs-cms --dir ./acme team-code list"
    )]
    TeamCode(TeamCodeCommand),
    /// Write our public domain file, for another organisation to connect us.
    #[command(after_help = "Examples:\n  crs-cms --dir ./acme export -o acme.crsdomain")]
    Export(Export),
    /// Connect another organisation by its public domain file.
    #[command(
        after_help = "Examples:\n  crs-cms --dir ./acme connect other.crsdomain\n\nCompare the printed fingerprint with the other administrator by telephone."
    )]
    Connect(Connect),
    /// Take a connection back.
    #[command(after_help = "Examples:\n  crs-cms --dir ./acme disconnect other")]
    Disconnect {
        /// The other account.
        account: AccountId,
    },
    /// List connected domains.
    #[command(after_help = "Examples:\n  crs-cms --dir ./acme connected")]
    Connected,
    /// Monthly update files.
    #[command(
        subcommand,
        after_help = "Examples:\n  crs-cms --dir ./acme update create\n  crs-cms --dir ./acme update create --period 2026-12 -o 2026-12.upd"
    )]
    Update(Update),
    /// Make a user's enrolment bundle, as a file or QR code.
    #[command(
        after_help = "Examples:\n  crs-cms --dir ./acme enrol +46701234567 --qr-terminal\n  crs-cms --dir ./acme enrol +46701234567 -o anna.crsenrol --qr-png anna.png\n\nHand the PIN over by another way than the code."
    )]
    Enrol(Enrol),
    /// Print the CMS key's fingerprint, to compare at the first apply.
    #[command(after_help = "Examples:\n  crs-cms --dir ./acme fingerprint")]
    Fingerprint,
    /// Writes every user's first keys without a PIN, for load tests
    #[command(
        hide = true,
        after_help = "Examples:\n  crs-cms --dir ./load loadtest-export -o users.jsonl"
    )]
    LoadtestExport {
        /// File to write
        #[arg(short = 'o', long = "out", value_name = "FILE")]
        out: PathBuf,
    },
    /// Replace the CMS key or the CA.
    #[command(
        subcommand,
        after_help = "Examples:\n  crs-cms --dir ./acme rotate cms-key\n  crs-cms --dir ./acme rotate ca"
    )]
    Rotate(Rotate),
    /// The CAs that certify our users' keys.
    #[command(
        subcommand,
        after_help = "Examples:\n  crs-cms --dir ./acme ca list\n  crs-cms --dir ./acme ca remove 8A3F 01BC"
    )]
    Ca(CaCommand),
}

#[derive(Debug, ClapArgs)]
pub(super) struct Init {
    /// The account id, as it was created on the CRS.
    #[arg(long)]
    pub(super) account: AccountId,
    /// The account's shared secret in base64; seen by other users of this machine, so rather:
    #[arg(
        long,
        value_name = "BASE64",
        conflicts_with = "secret_file",
        hide_env_values = true,
        env = "CRS_CMS_SECRET"
    )]
    pub(super) secret: Option<String>,
    /// A file with the account's shared secret in base64.
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) server: ServerArgs,
    /// The domain's directory; it is made.
    pub(super) directory: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ServerArgs {
    /// Address of the CRS; repeat it for further ones, in order of preference.
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) server: Vec<String>,
    /// The pool's CA certificate (PEM or DER): pool-ca.pem in the data folder of a node.
    #[arg(long, value_name = "FILE", conflicts_with = "public_name")]
    pub(super) server_ca: Option<PathBuf>,
    /// The CRS has a certificate of the public PKI with this name.
    #[arg(long, value_name = "NAME")]
    pub(super) public_name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Add users.
    #[command(
        after_help = "Examples:\n  crs-cms --dir ./acme user add +46701234567 +46701234568\n  crs-cms --dir ./acme user add --from numbers.txt"
    )]
    Add {
        /// Telephone numbers.
        #[arg(required_unless_present = "from")]
        uris: Vec<Uri>,
        /// A file with one number per line; empty lines and lines with # are skipped.
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Others cannot look these users up.
        #[arg(long)]
        unlisted: bool,
    },
    /// Remove users; takes effect with the next update file.
    #[command(after_help = "Examples:\n  crs-cms --dir ./acme user remove +46701234567")]
    Remove {
        /// Telephone numbers.
        #[arg(required = true)]
        uris: Vec<Uri>,
    },
    /// Make all keys of users worthless (a lost telephone); they must enrol again.
    #[command(
        after_help = "Examples:\n  crs-cms --dir ./acme user revoke +46701234567\n\nThen make and apply an update file, and enrol the user again."
    )]
    Revoke {
        /// Telephone numbers.
        #[arg(required = true)]
        uris: Vec<Uri>,
    },
    /// List users.
    #[command(after_help = "Examples:\n  crs-cms --dir ./acme user list --output json")]
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum TeamCodeCommand {
    /// Add members to a team code; makes it if need be.
    #[command(
        after_help = "Examples:\n  crs-cms --dir ./acme team-code add ops +46701234567 +46701234568"
    )]
    Add {
        /// The code.
        code: TeamCode,
        /// Members.
        #[arg(required = true)]
        uris: Vec<Uri>,
    },
    /// Remove members, or the whole code when none are named.
    #[command(
        after_help = "Examples:\n  crs-cms --dir ./acme team-code remove ops +46701234567\n  crs-cms --dir ./acme team-code remove ops"
    )]
    Remove {
        /// The code.
        code: TeamCode,
        /// Members.
        uris: Vec<Uri>,
    },
    /// List team codes.
    #[command(after_help = "Examples:\n  crs-cms --dir ./acme team-code list")]
    List,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Export {
    /// Where to write it (default: standard output).
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Connect {
    /// The other organisation's public domain file.
    pub(super) file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum Update {
    /// Make the update file of a month.
    #[command(
        after_help = "Examples:\n  crs-cms --dir ./acme update create\n  crs-cms --dir ./acme update create --period 2026-12 -o 2026-12.upd\n\nIt prints the command for the CRS."
    )]
    Create {
        /// The month (default: this month).
        #[arg(long, value_name = "YYYY-MM")]
        period: Option<Period>,
        /// Where to write it (default: YYYY-MM.upd).
        #[arg(short = 'o', long = "out", value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("target").required(true).multiple(true))]
pub(super) struct Enrol {
    /// The user.
    pub(super) uri: Uri,
    /// PIN of the bundle, 6 characters or more (default: 12 digits are generated and printed).
    #[arg(long)]
    pub(super) pin: Option<String>,
    /// Write the bundle to a file.
    #[arg(short = 'o', long = "out", value_name = "FILE", group = "target")]
    pub(super) out: Option<PathBuf>,
    /// Show the QR code on the terminal.
    #[arg(long, group = "target")]
    pub(super) qr_terminal: bool,
    /// Write the QR code as SVG.
    #[arg(long, value_name = "FILE", group = "target")]
    pub(super) qr_svg: Option<PathBuf>,
    /// Write the QR code as PNG.
    #[arg(long, value_name = "FILE", group = "target")]
    pub(super) qr_png: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Rotate {
    /// Replace the CMS key; the old one signs the new, so that the CRS follows.
    #[command(after_help = "Examples:\n  crs-cms --dir ./acme rotate cms-key")]
    CmsKey,
    /// Add a new CA; it issues from now on, the old one stays trusted.
    #[command(after_help = "Examples:\n  crs-cms --dir ./acme rotate ca")]
    Ca,
}

#[derive(Debug, Subcommand)]
pub(super) enum CaCommand {
    /// List the CAs, and until when what they have certified may be needed.
    #[command(after_help = "Examples:\n  crs-cms --dir ./acme ca list")]
    List,
    /// Take a CA away; takes effect with the next update file.
    #[command(
        after_help = "Examples:\n  crs-cms --dir ./acme ca remove 8A3F 01BC\n  crs-cms --dir ./acme ca remove 8A3F 01BC --compromised\n\nThe second one at once: the keys that the CA has certified are worthless then, and whoever\nhas no others must enrol again. Make a new CA first: crs-cms rotate ca."
    )]
    Remove {
        /// Its fingerprint, or the beginning of it.
        #[arg(required = true)]
        fingerprint: Vec<String>,
        /// Its key is in wrong hands: take it away although somebody needs it.
        #[arg(long)]
        compromised: bool,
    },
}

const EXAMPLES: &str = "\
Examples:
  crs-cms init --account acme --secret-file secret.txt \\
    --server crs1.example.org:5223 --server-ca pool-ca.pem ./acme
  crs-cms --dir ./acme user add +46701234567 +46701234568
  crs-cms --dir ./acme update create -o 2026-11.upd
  crs-cms --dir ./acme enrol +46701234567 --qr-terminal

Exit codes: 0 done, 1 failed, 2 wrong usage.";

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let time: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    u64::try_from(time.as_millisecond())
        .map(Timestamp::from_millis)
        .map_err(|_| "expected a time after 1970".to_owned())
}

#[cfg(test)]
mod tests {
    use crs_types::shell;

    use super::*;

    #[test]
    fn every_page_of_help_has_examples_and_they_are_understood() {
        command().debug_assert();
        fn check(page: &clap::Command) {
            let help = page.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = shell::examples(&help, "crs-cms");
            assert!(!examples.is_empty(), "{} has no examples", page.get_name());
            for words in examples {
                let parsed = command().try_get_matches_from(&words);
                assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
            }
            page.get_subcommands().for_each(check);
        }
        check(&command());
    }

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(parse_time("2026-11-15T00:00:00Z"), Ok(Timestamp::from_secs(1_794_700_800)));
        assert!(parse_time("yesterday").is_err());
    }
}
