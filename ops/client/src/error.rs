//! Why an operation of the client failed.

use crs_proto::wire::{ErrorBody, ErrorCode};
use crs_types::{AccountId, Uri};

/// Errors of the library.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered with an error.
    #[error("the server answers {}: {}", code_word(.0.code), .0.text)]
    Server(ErrorBody),
    /// A message was refused for good.
    #[error("refused ({code}): {text}")]
    Refused {
        /// The wire's error code, or `untrusted`.
        code: String,
        /// For a person.
        text: String,
    },
    /// There is no connection now, or it was lost before the answer came.
    #[error("not connected to the server")]
    Disconnected,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(std::time::Duration),
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
    /// Too many operations wait; try again when some have ended.
    #[error("{what}: the limit of {limit} is reached")]
    Busy {
        /// What is full.
        what: &'static str,
        /// Its limit.
        limit: usize,
    },
    /// The connection could not be made.
    #[error("cannot connect to {server}: {why}")]
    Connect {
        /// Where to.
        server: String,
        /// What went wrong.
        why: String,
    },
    /// The server refuses the certificate or the registration; trying again soon is of no use.
    #[error("{server} does not let this client in: {why}")]
    NotAdmitted {
        /// Which server.
        server: String,
        /// Its reason.
        why: String,
    },
    /// The profile directory is unusable.
    #[error("profile {path}: {why}")]
    Profile {
        /// The directory or file.
        path: std::path::PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// A journal could not be read or written.
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// Keys, envelopes or certificates did not verify.
    #[error("{what}: {why}")]
    Crypto {
        /// What was being verified or opened.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A contact is of another account than it was known by.
    #[error(
        "{uri} was of account {known} until now and is named as a user of {named}: ask that \
         person by another way; if it is right, `crs-client contacts accept {uri} {named}`"
    )]
    ContactChanged {
        /// The contact.
        uri: Uri,
        /// The account it was known by.
        known: AccountId,
        /// The account that is named now.
        named: AccountId,
    },
    /// Another device has attached in this one's place, which stays away by itself.
    #[error(
        "another device of this user has attached in this one's place; start the command again to \
         attach here instead"
    )]
    Replaced,
    /// The other side or the server sent something that the protocol does not allow.
    #[error("protocol: {0}")]
    Protocol(String),
    /// The user asked for something that cannot be done now.
    #[error("{0}")]
    Usage(String),
    /// Media could not be set up or read.
    #[error("media: {0}")]
    Media(String),
    /// An input or output error.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl ClientError {
    /// A person wants to accept another account for the own number.
    pub(crate) fn own_number(account: &AccountId) -> Self {
        let why = format!("this is your own number: it is of account {account}, as enrolled");
        Self::Crypto { what: "contact", why }
    }

    /// The server's error code, when the server answered.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Server(body) => Some(body.code),
            Self::Refused { .. }
            | Self::Disconnected
            | Self::Timeout(_)
            | Self::Closed
            | Self::Busy { .. }
            | Self::Connect { .. }
            | Self::NotAdmitted { .. }
            | Self::Profile { .. }
            | Self::Journal(_)
            | Self::Crypto { .. }
            | Self::ContactChanged { .. }
            | Self::Replaced
            | Self::Protocol(_)
            | Self::Usage(_)
            | Self::Media(_)
            | Self::Io(_) => None,
        }
    }
}

/// The wire's spelling of an error code.
pub fn code_word(code: ErrorCode) -> String {
    crs_proto::wire::word(&code)
}
