//! The node's configuration: `crs.conf`, `crs-local.conf` and `crs-relay.conf` (C-057…C-059,
//! C-067…C-099) turned into final, checked types before any socket is bound.
//!
//! [`parse`] is a pure function of the files' bytes: it opens nothing, reports every problem and
//! never panics. One file per directive group; [`directive`] joins their tables.

mod clients;
mod directive;
mod draft;
mod later;
mod lex;
mod listeners;
mod local;
mod logs;
mod nearest;
mod network;
mod pool;
mod problem;
mod push;
mod reach;
mod reference;
mod relay;
mod types;
mod values;

use lex::Line;

pub use directive::differing;
#[cfg(test)]
pub(crate) use directive::reloadable;

pub use problem::{Problem, Severity};
pub use reference::reference;
pub use types::{
    AddrMap, Apns, COMMAND_LINE, Certificate, Config, Cps, DbBackup, Host, KeyLength, Listen,
    LogSettings, Paths, Place, Places, PoolConfig, PoolKey, PushConfig, PushProvider, Source,
    SourceKind, Sources,
};

use directive::Scope;
use draft::Draft;

/// Largest configuration file in bytes.
pub const FILE_MAX: usize = 1 << 20;
/// Most problems reported of one parse; the rest is counted.
pub const PROBLEMS_MAX: usize = 200;
/// Most lines of one repeatable directive.
pub const REPEATS_MAX: usize = 1000;

/// How strict the parser is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// An unknown directive is an error.
    Strict,
    /// An unknown directive is a warning, for pools of mixed versions (`--lenient`).
    Lenient,
}

/// Parses and checks all files. `Err` holds every problem, errors and warnings, in file order;
/// `Ok` may carry warnings in [`Config::warnings`].
pub fn parse(sources: &Sources, strictness: Strictness) -> Result<Config, Vec<Problem>> {
    let mut problems = Problems::default();
    let mut draft = Draft::default();
    for source in sources.iter() {
        read_source(source, strictness, &mut draft, &mut problems);
    }
    let config = draft.finish(sources, &mut problems);
    match config {
        Some(config) if !problems.has_error() => {
            let mut warnings = problems.list;
            warnings.extend(config.without_effect());
            Ok(Config { warnings, ..config })
        }
        Some(_) | None => Err(problems.into_list()),
    }
}

/// Problems found so far, bounded.
#[derive(Debug, Default)]
struct Problems {
    list: Vec<Problem>,
    more: usize,
    errors: usize,
    /// Files whose lines nobody has seen.
    unread: Vec<SourceKind>,
}

impl Problems {
    fn push(&mut self, problem: Problem) {
        if problem.severity == Severity::Error {
            self.errors += 1;
        }
        if self.list.len() < PROBLEMS_MAX {
            self.list.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// A line of this directive was refused, or may stand in what could not be read: that it is
    /// missing need not be told as well.
    fn about(&self, directive: &str) -> bool {
        let known = directive::all().find(|known| known.name == directive);
        let unread = known.is_some_and(|known| self.unread.contains(&known.scope.kind()));
        let names = |word: &Option<String>| word.as_deref() == Some(directive);
        unread
            || self.list.iter().any(|problem| {
                let misspelt = problem.directive.is_none() && names(&problem.nearest);
                problem.severity == Severity::Error && (names(&problem.directive) || misspelt)
            })
    }

    fn has_error(&self) -> bool {
        self.errors > 0
    }

    fn into_list(mut self) -> Vec<Problem> {
        if self.more > 0 {
            let text = format!("{} more problems are not shown", self.more);
            self.list.push(Problem::general(Severity::Error, text));
        }
        self.list
    }
}

fn read_source(
    source: &Source,
    strictness: Strictness,
    draft: &mut Draft,
    problems: &mut Problems,
) {
    let text = match lex::text_of(source) {
        Ok(text) => text,
        Err(problem) => {
            problems.unread.push(source.kind);
            return problems.push(*problem);
        }
    };
    let mut seen = directive::Seen::default();
    for (index, raw) in text.lines().enumerate() {
        let number = index + 1;
        match lex::line(raw, source.kind) {
            Ok(Line::Nothing) => {}
            Ok(Line::Heading(name)) => {
                if let Some(wrong) = directive::check_heading(&name, source.kind) {
                    problems.push(wrong.at(source, number, Some("heading")));
                }
            }
            Ok(Line::Words(words)) => {
                directive::apply(source, number, &words, strictness, &mut seen, draft, problems);
            }
            Err(wrong) => problems.push(wrong.at(source, number, directive::begins(raw))),
        }
    }
}

impl Scope {
    /// The file that directives of this scope belong into.
    fn kind(self) -> SourceKind {
        match self {
            Self::Pool => SourceKind::Pool,
            Self::Local => SourceKind::Local,
            Self::Relay => SourceKind::Relay,
        }
    }
}

#[cfg(test)]
mod tests;
