//! `health-check system|account`: real tests, exit codes 0, 1, 3 (C-384 … C-392, Q-48).

use crs_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::Exit;
use crate::view::{Render, Section, View};

/// What to test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The whole system, or one account with temporary test clients.
    pub what: What,
    /// Test clients use only the loopback addresses of this node.
    pub local_only: bool,
}

/// The type of health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Services, links, quorum, clock, disk, memory …
    System,
    /// A call and a message between two temporary clients, and the update files.
    Account(AccountId),
}

/// How a test ended; ordered from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// In order.
    Ok,
    /// Works, but deserves a look.
    Warning,
    /// Broken.
    Error,
}

crate::row! {
    /// One test.
    pub struct Test {
        /// Its name.
        name: String => "NAME",
        /// How it ended.
        result: Health => "RESULT",
        /// What was seen or measured.
        description: String => "DESCRIPTION",
        /// How long it took, in milliseconds.
        ms: u64 => "MS",
    }
}

/// The result of all tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The worst of all.
    pub result: Health,
    /// The node that ran them.
    pub node: String,
    /// When, in UTC.
    pub time: String,
    /// Every test.
    pub tests: Vec<Test>,
}

impl Health {
    /// The word of the summary.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Reply {
    /// Collects tests; the worst decides.
    pub fn of(node: String, time: String, tests: Vec<Test>) -> Self {
        let result = tests.iter().map(|t| t.result).max().unwrap_or(Health::Ok);
        Self { result, node, time, tests }
    }

    /// The exit code: 0 ok, 1 error, 3 warning.
    pub fn exit(&self) -> Exit {
        match self.result {
            Health::Ok => Exit::Ok,
            Health::Warning => Exit::Warning,
            Health::Error => Exit::Error,
        }
    }
}

impl Render for Reply {
    fn view(&self) -> View {
        View::Many(vec![
            Section::text("result", "RESULT", Some(self.result.as_str().to_owned())),
            Section::text("node", "NODE", Some(self.node.clone())),
            Section::text("time", "TIME", Some(self.time.clone())),
            Section::rows("tests", "TESTS", &self.tests),
        ])
    }
}
