//! `doctor`: groups of checks; every finding with cause, remedy and the page that explains it.

use serde::{Deserialize, Serialize};

use crate::Exit;
use crate::render::printable;
use crate::view::{Render, Section, View};

/// Names of the checks that a running node does; `doctor --pre` has its own.
pub const NODE_CHECKS: &[&str] = &[
    "store",
    "quorum",
    "disk",
    "relay",
    "listener",
    "open-files",
    "memory",
    "clock",
    "first-account",
    "accounts-directory",
    "updates-current",
    "updates-next",
    "authorities",
    "certificate",
    "configuration",
    "permissions",
    "notify-script",
];

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
        Self {
            result,
            cause: Some(cause.into()),
            fix: Some(fix.to_owned()),
            doc: Some(doc),
            ..self
        }
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

impl Reply {
    /// The report for people: groups, a line for each check, cause and remedy below findings.
    pub fn report(&self, colour: bool) -> String {
        let mut groups: Vec<&str> = Vec::new();
        for check in &self.checks {
            if !groups.contains(&check.group.as_str()) {
                groups.push(&check.group);
            }
        }
        let widest = self.checks.iter().map(|c| c.name.len()).max().unwrap_or(0);
        let mut out = String::new();
        for group in groups {
            out.push_str(group);
            out.push('\n');
            for check in self.checks.iter().filter(|check| check.group == group) {
                out.push_str(&check.lines(widest, colour));
            }
        }
        let count = |verdict| self.checks.iter().filter(|c| c.result == verdict).count();
        let (warn, fail) = (count(Verdict::Warn), count(Verdict::Fail));
        let sum = match (warn, fail) {
            (0, 0) => "everything is in order".to_owned(),
            (warn, 0) => format!("{warn} to look at"),
            (0, fail) => format!("{fail} broken"),
            (warn, fail) => format!("{fail} broken, {warn} to look at"),
        };
        out + &sum + "\n"
    }
}

impl Check {
    fn lines(&self, widest: usize, colour: bool) -> String {
        let (word, code) = match self.result {
            Verdict::Ok => ("ok  ", "32"),
            Verdict::Warn => ("warn", "33"),
            Verdict::Fail => ("FAIL", "31"),
        };
        let word = if colour { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() };
        let name = &self.name;
        let what = printable(&self.description);
        let mut out = format!("  {word}  {name:widest$}  {what}\n");
        for (label, text) in [("cause", &self.cause), ("fix", &self.fix), ("see", &self.doc)] {
            if let Some(text) = text {
                out.push_str(&format!("        {label:5}  {}\n", printable(text)));
            }
        }
        out
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

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Reply {
        let disk = Check::ok("storage", "disk", "0.5 GiB free");
        Reply::of(vec![
            Check::ok("node", "store", "open"),
            disk.finding(Verdict::Fail, "nearly full", "df -h"),
        ])
    }

    #[test]
    fn the_worst_check_decides_and_all_are_kept() {
        let findings = findings();
        assert_eq!((findings.result, findings.checks.len()), (Verdict::Fail, 2));
        assert_eq!(findings.exit(), Exit::Error);
        assert_eq!(Reply::of(Vec::new()).exit(), Exit::Ok);
    }

    #[test]
    fn the_report_names_cause_remedy_and_page() {
        assert_eq!(
            findings().report(false),
            "node\n  ok    store  open\nstorage\n  FAIL  disk   0.5 GiB free\n        \
             cause  nearly full\n        fix    df -h\n        \
             see    docs/troubleshooting.md#disk\n1 broken\n"
        );
        assert!(findings().report(true).contains("\u{1b}[31mFAIL"));
    }
}
