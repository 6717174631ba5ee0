//! `trace <element>`: events as they happen, one item frame each, until the CLI closes (C-325).

use crs_types::{AccountId, Uri};
use serde::{Deserialize, Serialize};

use crate::view::{Render, Section, View};

/// What to follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The element.
    pub element: Element,
    /// Additional information, where an element has any.
    pub verbose: bool,
}

/// What can be traced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    /// Registrations.
    Attach,
    /// Calls.
    Session,
    /// Messages.
    Message,
    /// Connections of clients and admins.
    Connection,
    /// Debug events beside the others.
    Event,
    /// Everything about one URI of one account (D-12).
    Client {
        /// The account.
        account: AccountId,
        /// The number.
        uri: Uri,
    },
}

/// Sent once, when the trace is in place: every later event will be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {}

impl Render for Reply {
    fn view(&self) -> View {
        View::One(Section::text("trace", "", None))
    }
}
