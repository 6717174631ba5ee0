//! `doctor`: groups of checks; every finding with cause, remedy and the page that explains it.

use serde::{Deserialize, Serialize};

use crate::Exit;
use crate::view::{Render, Section, View};

/// Which checks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Names of checks or groups; empty = all.
    pub only: Vec<String>,
    /// All nodes of the pool instead of this one.
    pub pool: bool,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// In order.
    Ok,
    /// Works, but deserves a look.
    Warn,
    /// Broken.
    Fail,
}

crate::row! {
    /// One check.
    pub struct Check {
        /// What it belongs to: node, storage, relay, accounts, system, network.
        group: String => "GROUP",
        /// Its name, as `--only` takes it.
        name: String => "CHECK",
        /// How it ended.
        result: Verdict => "RESULT",
        /// What was seen.
        description: String => "DESCRIPTION",
        /// Why it is not in order.
        cause: Option<String> => "CAUSE",
        /// One command that fixes it.
        fix: Option<String> => "FIX",
        /// Where it is explained.
        doc: Option<String> => "DOC",
        /// The node, with `--pool`.
        node: Option<String> => verbose "NODE",
    }
}

/// The findings of all checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The worst of all.
    pub result: Verdict,
    /// Every check, also after a failure.
    pub checks: Vec<Check>,
}

impl Check {
    /// A check that is in order.
    pub fn ok(group: &str, name: &str, description: impl Into<String>) -> Self {
        Self {
            group: group.to_owned(),
            name: name.to_owned(),
            result: Verdict::Ok,
            description: description.into(),
            cause: None,
            fix: None,
            doc: None,
            node: None,
        }
    }

    /// Turns it into a finding. The page is derived from the check's name.
    pub fn finding(self, result: Verdict, cause: impl Into<String>, fix: &str) -> Self {
        let doc = format!("docs/troubleshooting.md#{}", self.name);
        Self { result, cause: Some(cause.into()), fix: Some(fix.to_owned()), doc: Some(doc), ..self }
    }

    /// True when `only` is empty or names this check or its group.
    pub fn wanted(group: &str, name: &str, only: &[String]) -> bool {
        only.is_empty() || only.iter().any(|word| word == group || word == name)
    }
}

impl Reply {
    /// Collects checks; the worst decides.
    pub fn of(checks: Vec<Check>) -> Self {
        let result = checks.iter().map(|c| c.result).max().unwrap_or(Verdict::Ok);
        Self { result, checks }
    }

    /// The exit code: 0, 3 with a warning, 1 with a failure.
    pub fn exit(&self) -> Exit {
        match self.result {
            Verdict::Ok => Exit::Ok,
            Verdict::Warn => Exit::Warning,
            Verdict::Fail => Exit::Error,
        }
    }
}

impl Render for Reply {
    fn view(&self) -> View {
        let word = match self.result {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        View::Many(vec![
            Section::text("result", "RESULT", Some(word.to_owned())),
            Section::rows("checks", "CHECKS", &self.checks),
        ])
    }
}
