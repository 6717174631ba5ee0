//! What is wrong with a configuration, told so that the operator can mend it.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::{COMMAND_LINE, Place, Source};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The node does not start.
    Error,
    /// It starts; something is ignored or doubtful.
    Warning,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// File it is in, as it was named; empty when it is in none.
    pub file: String,
    /// Line, counted from 1; `None` when it is about the whole.
    pub line: Option<usize>,
    /// The directive it is about.
    pub directive: Option<String>,
    /// What was expected.
    pub expected: String,
    /// What was there instead, never a secret.
    pub got: Option<String>,
    /// The nearest known word.
    pub nearest: Option<String>,
    /// How the directive is written.
    pub usage: Option<String>,
}

/// A problem whose place is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) severity: Severity,
    pub(super) expected: String,
    pub(super) got: Option<String>,
    pub(super) nearest: Option<String>,
}

impl Problem {
    /// A problem that is in no single line.
    pub(crate) fn general(severity: Severity, expected: impl Into<String>) -> Self {
        Self {
            severity,
            file: String::new(),
            line: None,
            directive: None,
            expected: expected.into(),
            got: None,
            nearest: None,
            usage: None,
        }
    }

    /// Something found out after the files were parsed.
    pub(crate) fn of_start(why: &str) -> Self {
        Self::general(Severity::Error, why)
    }

    /// A file that cannot be read.
    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let file = path.display().to_string();
        Self {
            file,
            ..Self::general(Severity::Error, format!("expected a readable file: {error}"))
        }
    }

    /// A problem of a line that was understood.
    pub(crate) fn at(
        severity: Severity,
        place: &Place,
        directive: &str,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self {
            file: place.file.clone(),
            line: Some(place.line),
            directive: Some(directive.to_owned()),
            got: Some(got.into()),
            ..Self::general(severity, expected)
        }
    }

    /// A problem of a whole file.
    pub(super) fn of_file(source: &Source, expected: impl Into<String>) -> Self {
        Self { file: source.name.clone(), ..Self::general(Severity::Error, expected) }
    }
}

impl Wrong {
    /// An error: `expected` completes the sentence "expected …".
    pub(super) fn expected(expected: impl Into<String>) -> Self {
        Self { severity: Severity::Error, expected: expected.into(), got: None, nearest: None }
    }

    /// The same with the word that was there.
    pub(super) fn got(self, word: &str) -> Self {
        Self { got: Some(shortened(word)), ..self }
    }

    /// The same with the nearest of the known words.
    pub(super) fn near(self, word: &str, known: &[&str]) -> Self {
        let nearest = super::nearest::nearest(word, known).map(str::to_owned);
        Self { nearest, ..self }
    }

    pub(super) fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// Gives it its place.
    pub(super) fn at(self, source: &Source, line: usize, directive: Option<&str>) -> Problem {
        Problem {
            severity: self.severity,
            file: source.name.clone(),
            line: Some(line),
            directive: directive.map(str::to_owned),
            expected: self.expected,
            got: self.got,
            nearest: self.nearest,
            usage: None,
        }
    }
}

/// `crs.conf:12: keep-alive: expected tcp or ws, got "wss" (nearest: ws)`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
        }
        if let Some(line) = self.line.filter(|_| self.file != COMMAND_LINE) {
            write!(f, "{line}:")?;
        }
        if !self.file.is_empty() {
            f.write_str(" ")?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if let Some(directive) = &self.directive {
            write!(f, "{directive}: ")?;
        }
        f.write_str(&self.expected)?;
        if let Some(got) = &self.got {
            write!(f, ", got {got}")?;
        }
        if let Some(nearest) = &self.nearest {
            write!(f, " (nearest: {nearest})")?;
        }
        if let Some(usage) = &self.usage {
            write!(f, "; usage: {usage}")?;
        }
        Ok(())
    }
}

/// A word as it may be shown: a long one could be a secret on the wrong line.
fn shortened(word: &str) -> String {
    let length = word.chars().count();
    if length > 40 { format!("a word of {length} characters") } else { format!("{word:?}") }
}
