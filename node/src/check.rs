//! `crs-node check`: explains every problem; opens no port, store or log (U7).

use std::fmt::Write as _;

use crate::cli::CheckOutput;
use crate::config::{Problem, Severity};
use crate::load::Loader;
use crate::machine;

/// The result of a check.
#[derive(Debug)]
pub struct Checked {
    problems: Vec<Problem>,
}

/// Loads the configuration, and looks at the machine and at the files it names.
pub fn check(loader: &Loader) -> Checked {
    let problems = match machine::load(loader) {
        Ok(config) => config.warnings,
        Err(problems) => problems,
    };
    Checked { problems }
}

impl Checked {
    /// True when a node would start.
    pub fn ok(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity == Severity::Warning)
    }

    /// The text for standard output.
    pub fn render(&self, output: CheckOutput) -> String {
        match output {
            CheckOutput::Text => self.text(),
            CheckOutput::Json => {
                let value = serde_json::json!({ "ok": self.ok(), "problems": self.problems });
                format!("{value}\n")
            }
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            // Writing to a String cannot fail.
            let _infallible = writeln!(text, "{problem}");
        }
        let count = |severity| self.problems.iter().filter(|p| p.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let verdict =
            if errors == 0 { "the configuration is correct" } else { "the node would not start" };
        let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
        let _infallible = writeln!(text, "{verdict}: {errors}, {warnings}");
        text
    }
}

fn counted(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
