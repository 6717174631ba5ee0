//! `apply <file>`: the CLI reads the file and hands its bytes over in chunks (C-149, C-150).
//!
//! Order on one connection: [`Request::Begin`], any number of [`Request::Chunk`] in order,
//! [`Request::Finish`]. `Finish` may be repeated after `unconfirmed-cms-key`, with the
//! fingerprint that the operator has compared. A new `Begin` or the end of the connection
//! forgets the upload.

use crs_types::{AccountId, Period};
use serde::{Deserialize, Serialize};

use crate::view::{Render, Section, View};

/// Largest update file in bytes.
pub const FILE_MAX: u64 = crs_types::limits::UPDATE_FILE_MAX as u64;
/// Most bytes of the file in one chunk, before base64.
pub const CHUNK_MAX: usize = 512 * 1024;

/// One step of the upload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum Request {
    /// Announces the size in bytes, at most [`FILE_MAX`].
    Begin {
        /// Size of the whole file in bytes.
        size: u64,
    },
    /// The next bytes.
    Chunk {
        /// Where they belong: the number of bytes sent before.
        offset: u64,
        /// Base64 of at most [`CHUNK_MAX`] bytes.
        data: String,
    },
    /// Open, check, store, replicate, load.
    Finish {
        /// Apply a file of a month other than the previous, current or next one.
        force: bool,
        /// The CMS key's fingerprint that the operator has compared (first apply only).
        confirm_fingerprint: Option<String>,
    },
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum Reply {
    /// `Begin` or `Chunk` was taken.
    Received {
        /// Bytes received so far.
        bytes: u64,
    },
    /// `Finish` found a good file whose CMS key nobody has confirmed; nothing was changed.
    Unconfirmed {
        /// The account the file is for.
        account: AccountId,
        /// Fingerprint of the CMS key.
        fingerprint: String,
    },
    /// The update is durable and loaded.
    Applied(Applied),
}

crate::row! {
    /// What was applied.
    pub struct Applied {
        /// The account.
        account: AccountId => "ACCOUNT",
        /// Its month.
        period: Period => "PERIOD",
        /// Serial number of the file.
        serial: u64 => "SERIAL",
        /// When the CMS made it, in UTC.
        created: String => "CREATED",
        /// Users in it.
        users: u64 => "USERS",
        /// Fingerprint of the CMS key that signed it.
        cms_key: String => verbose "CMS KEY",
        /// Connections closed because the update no longer accepts them.
        closed: u64 => verbose "CLOSED",
    }
}

impl Render for Reply {
    fn view(&self) -> View {
        View::One(match self {
            Self::Received { bytes } => Section::text("received", "", Some(bytes.to_string())),
            Self::Unconfirmed { fingerprint, .. } => {
                Section::text("fingerprint", "", Some(fingerprint.clone()))
            }
            Self::Applied(applied) => Section::record("applied", "", applied),
        })
    }
}
