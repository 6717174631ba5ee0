//! What to do about an error. Commands stand between backticks, without `--dir`: whoever prints a
//! hint knows the domain's directory.

use std::io::ErrorKind;

use crate::DomainError;

impl DomainError {
    /// One line: what to do about it.
    pub fn hint(&self) -> String {
        let text = match self {
            Self::NoUser(uri) => return format!("add the user first: `crs-cms user add {uri}`"),
            Self::UserExists(uri) => {
                return format!("to make the user's keys worthless: `crs-cms user revoke {uri}`");
            }
            Self::NoDomain(_) => {
                "name the domain's directory with --dir, or make one, see `crs-cms init --help`"
            }
            Self::Exists(_) => "choose an empty directory; a domain is never overwritten",
            Self::Busy(_) => "wait until it has finished",
            Self::Io { error, .. } => io(error.kind()),
            Self::Damaged { .. } | Self::Keys => "restore the directory from your backup",
            Self::Version(_) => "use the newer crs-cms that made it",
            Self::Secret(_) => {
                "use the secret shown by crs-cli create account, or make one: `openssl rand -base64 32`"
            }
            Self::TestClient(_) => "use a telephone number such as +46701234567",
            Self::NoTeamCode(_) => "see `crs-cms team-code list`",
            Self::NotConnected(_) => "see `crs-cms connected`",
            Self::Limit { .. } => "remove what is no longer needed",
            Self::Server(_) => "set it, see `crs-cms server --help`",
            Self::Public(_) => {
                "ask the other domain's administrator for the file that crs-cms export writes"
            }
            Self::NoCa(_) => "see `crs-cms ca list`; give at least 8 digits",
            Self::CaIssues => "make another one first: `crs-cms rotate ca`",
            Self::CaNeeded(_) => {
                "wait; or, if its key is in wrong hands: --compromised, and enrol everybody again who has no newer keys"
            }
            Self::PastPeriod(_) => {
                "make this month's, `crs-cms update create`, or name a later one with --period"
            }
            Self::Issue(_) | Self::Update(_) => "see the message above; the domain was not changed",
            Self::Bundle(_) => "see `crs-cms enrol --help`",
            Self::Qr(_) => "use the bundle's file (-o FILE) instead",
        };
        text.to_owned()
    }

    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoDomain(_) => "no-domain",
            Self::Exists(_) => "exists",
            Self::Busy(_) => "busy",
            Self::Io { .. } => "io",
            Self::Damaged { .. } | Self::Keys => "damaged",
            Self::Version(_) => "version",
            Self::Secret(_) => "secret",
            Self::NoUser(_) => "no-user",
            Self::TestClient(_) => "test-client",
            Self::UserExists(_) => "user-exists",
            Self::NoTeamCode(_) => "no-team-code",
            Self::NotConnected(_) => "not-connected",
            Self::Limit { .. } => "limit",
            Self::Server(_) => "server",
            Self::Public(_) => "public-file",
            Self::NoCa(_) => "no-ca",
            Self::CaIssues => "ca-issues",
            Self::CaNeeded(_) => "ca-needed",
            Self::PastPeriod(_) => "past-period",
            Self::Issue(_) => "issue",
            Self::Update(_) => "update",
            Self::Bundle(_) => "bundle",
            Self::Qr(_) => "qr",
        }
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is the standard library's and grows")]
fn io(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "check how the path is written: there is nothing of that name",
        ErrorKind::PermissionDenied => "check who owns it, or call crs-cms as that user",
        ErrorKind::StorageFull => "free space on that disk",
        _ => "check that it is a file that this user may read and write",
    }
}
