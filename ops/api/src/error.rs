//! Errors an operator sees: a stable code, one line of cause, one line of remedy, an exit code.

use serde::{Deserialize, Serialize};

/// Exit codes of `crs-cli` (C-385, Q-44).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Exit {
    /// 0: done, or everything is in order.
    Ok,
    /// 1: refused or failed.
    Error,
    /// 2: the command line is wrong.
    Usage,
    /// 3: done, but something deserves a look.
    Warning,
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Ok => 0,
            Exit::Error => 1,
            Exit::Usage => 2,
            Exit::Warning => 3,
        }
    }
}

impl TryFrom<u8> for Exit {
    type Error = String;
    fn try_from(code: u8) -> Result<Self, String> {
        match code {
            0 => Ok(Self::Ok),
            1 => Ok(Self::Error),
            2 => Ok(Self::Usage),
            3 => Ok(Self::Warning),
            other => Err(format!("expected an exit code of 0 to 3, got {other}")),
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $exit:ident, $hint:literal;)*) => {
        /// Why a request failed: the closed list of codes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as scripts see it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The exit code that goes with it.
            pub fn exit(self) -> Exit {
                match self { $(Self::$name => Exit::$exit,)* }
            }

            /// What to do next when nothing more specific is known.
            pub fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }
        }
    };
}

codes! {
    /// The command line is wrong.
    Usage = "usage", Usage, "see `crs-cli --help`";
    /// Nothing listens on the admin socket.
    NodeDown = "node-down", Error,
        "see `systemctl status crs` and start it with `systemctl start crs`, or name its socket with --socket";
    /// The operating system or the node refused this user.
    NoPermission = "no-permission", Error,
        "run the command as root, for example `sudo crs-cli doctor`, or as the user that the node runs as";
    /// The node cannot commit: too few voters, or no leader.
    NoQuorum = "no-quorum", Error,
        "look at `crs-cli show node`: start the missing nodes; nothing was changed";
    /// The two ends speak different versions of the admin protocol.
    VersionMismatch = "version-mismatch", Error,
        "use the crs-cli that was installed together with the node, or restart the node after an upgrade";
    /// The node took too long.
    Timeout = "timeout", Error,
        "try again; if it stays, see `crs-cli doctor` and /var/log/crs/crs.log";
    /// The node has too many admin connections.
    Busy = "busy", Error, "stop a trace that runs (crs-cli trace), or wait for the other commands to end";
    /// The node is draining or stopping.
    ShuttingDown = "shutting-down", Error, "wait until the node has restarted and try again";
    /// A line was longer than the protocol allows.
    TooLong = "too-long", Error, "use the crs-cli that belongs to this node";
    /// A line was not a frame of the protocol.
    Malformed = "malformed", Error, "use the crs-cli that belongs to this node";
    /// A command this node does not know.
    UnknownCommand = "unknown-command", Error,
        "see `crs-cli commands`; the node may be older than this crs-cli (`crs-cli show version`)";
    /// No account of that id.
    NoSuchAccount = "no-such-account", Error, "see `crs-cli list account` for the accounts that exist";
    /// The account id is taken.
    AccountExists = "account-exists", Error,
        "use it, or choose another id; `crs-cli list account` lists those that exist";
    /// The shared secret cannot be used.
    BadSecret = "bad-secret", Usage,
        "make one with `crs-cli create sharedSecret`: base64 of 16 or 32 bytes";
    /// The user is not known in this account.
    NoSuchUser = "no-such-user", Error,
        "check the number, or whether this month's update file names it: `crs-cli show updates`";
    /// The user is not on the blacklist.
    NotBlacklisted = "not-blacklisted", Error, "see who is blocked with crs-cli show blacklist";
    /// The client is not attached.
    NotAttached = "not-attached", Error, "see `crs-cli show attach`";
    /// The update file cannot be read or opened.
    BadUpdate = "bad-update", Error,
        "ask the CMS administrator to make the file anew (crs-cms update create) and to hand it over again";
    /// The update file is for another account or another secret.
    WrongAccount = "wrong-account", Error,
        "compare the account id and shared secret with the CMS: `crs-cli list account --reveal`";
    /// The update file is signed by another CMS key than the pinned one.
    WrongCmsKey = "wrong-cms-key", Error,
        "do not apply it; ask the CMS administrator by another way for the line \"CMS fingerprint\" of crs-cms fingerprint";
    /// The CMS key was never confirmed for this account.
    UnconfirmedCmsKey = "unconfirmed-cms-key", Usage,
        "compare the fingerprint with the CMS administrator by another way, then apply the file again with --confirm-fingerprint";
    /// The update file is older than the one that was applied.
    OldSerial = "old-serial", Error,
        "nothing needs to be done if the newer file is right: `crs-cli show updates`";
    /// The update file is for a month that is too far away.
    WrongPeriod = "wrong-period", Error,
        "check the clock and the file; to apply it all the same add --force";
    /// The file is larger than an update file may be.
    TooLarge = "too-large", Error, "an update file has at most 256 MiB; is this the right file?";
    /// A file on this machine cannot be read.
    NoFile = "no-file", Usage, "check the path and its permissions";
    /// The disk is full or cannot be written.
    Disk = "disk", Error, "see `crs-cli doctor --only disk` and free space; nothing was changed";
    /// A health check found an error.
    Unhealthy = "unhealthy", Error, "see `crs-cli doctor` for the cause and the command that fixes it";
    /// The operator did not confirm.
    NotConfirmed = "not-confirmed", Error, "repeat the command and answer yes, or add --yes";
    /// A part of the node is not there (relay switched off, probe missing).
    Unavailable = "unavailable", Error, "see `crs-cli show services` and `crs-cli doctor`";
    /// Our own fault.
    Internal = "internal", Error, "see /var/log/crs/crs.log and report it with that part of the log";
}

/// An error as it goes over the socket and, with `--output json`, to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct AdminError {
    /// A word of [`Code`]; text, so that an older `crs-cli` can print a newer node's.
    pub code: String,
    /// One line: what is wrong, with the value that is.
    pub message: String,
    /// One line: what to do next. What stands between backticks is a command that may be pasted.
    pub hint: String,
    /// Exit code of `crs-cli`.
    pub exit: Exit,
}

impl AdminError {
    /// An error with the hint of its code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self::with_hint(code, message, code.hint())
    }

    /// An error with a more specific hint.
    pub fn with_hint(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code: code.as_str().to_owned(),
            message: one_line(&message.into()),
            hint: one_line(&hint.into()),
            exit: code.exit(),
        }
    }

    /// True when it carries this code.
    pub fn is(&self, code: Code) -> bool {
        self.code == code.as_str()
    }
}

/// Causes and hints are one line each, whatever a nested error printed.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_words_with_a_hint() {
        for (i, code) in Code::ALL.iter().enumerate() {
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            assert!(!code.hint().is_empty());
            assert!(Code::ALL.iter().skip(i + 1).all(|other| other.as_str() != code.as_str()));
        }
    }

    #[test]
    fn the_four_ways_not_to_reach_a_node_say_four_things() {
        let four = [Code::NodeDown, Code::NoPermission, Code::NoQuorum, Code::VersionMismatch];
        let mut hints: Vec<_> = four.iter().map(|c| c.hint()).collect();
        hints.sort_unstable();
        hints.dedup();
        assert_eq!(hints.len(), 4);
        assert!(Code::NodeDown.hint().contains("systemctl status"));
    }

    #[test]
    fn errors_are_one_line_and_survive_the_wire() {
        let error = AdminError::new(Code::NoSuchAccount, "no account\n  \"x\"");
        assert_eq!(error.message, "no account \"x\"");
        let text = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<AdminError>(&text).unwrap(), error);
        assert!(text.contains("\"exit\":1"), "{text}");
    }
}
