//! `show node`: healthy and failed nodes, and what to do next; answers without a leader (U27).

use serde::{Deserialize, Serialize};

use crate::view::{Render, Section, View};

/// Nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {}

crate::row! {
    /// One node.
    pub struct NodeRow {
        /// Its name.
        node: String => "NODE",
        /// `leader`, `follower`, `learner`, `candidate` or `witness` in the control group.
        role: String => "ROLE",
        /// Software version.
        version: String => "VERSION",
        /// Last committed entry of the control group it knows.
        commit: u64 => "COMMIT",
        /// Entries it trails the leader by.
        behind: u64 => "BEHIND",
        /// In words: `now`, `12 s ago`.
        last_seen: String => "LAST SEEN",
        /// Bytes free for its data.
        free_bytes: u64 => "FREE BYTES",
    }
}

/// The nodes of the pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Nodes that answer.
    pub nodes: Vec<NodeRow>,
    /// Nodes that do not.
    pub failed: Vec<NodeRow>,
    /// The next command, if anything is pending.
    pub next: Option<String>,
}

impl Render for Reply {
    fn view(&self) -> View {
        View::Many(vec![
            Section::rows("nodes", "HEALTHY", &self.nodes),
            Section::rows("failed", "FAILED", &self.failed),
            Section::text("next", "NEXT", self.next.clone()),
        ])
    }
}
