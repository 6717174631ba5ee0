//! The table of all directives and how a line finds its parser.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::problem::{Problem, Wrong};
use super::values::Args;
use super::{Config, Place, Problems, REPEATS_MAX, Source, SourceKind, Strictness};
use super::{clients, local, logs, network, pool, push, relay};

/// One directive.
pub(super) struct Directive {
    /// Its name, as it stands first in a line.
    pub(super) name: &'static str,
    /// Its arguments, for people.
    pub(super) usage: &'static str,
    /// The file it belongs into.
    pub(super) scope: Scope,
    /// Whether more than one line of it makes sense.
    pub(super) repeats: Repeats,
    /// Whether SIGHUP takes a change.
    pub(super) reload: bool,
    /// One or two sentences for the reference.
    pub(super) about: &'static str,
    /// Whether two configurations say the same here: how a change is noticed and named.
    pub(super) same: fn(&Config, &Config) -> bool,
    /// Reads the arguments into the draft.
    pub(super) parse: fn(&mut Draft, Args<'_>) -> Result<(), Wrong>,
}

/// The file a directive belongs into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// `crs.conf`.
    Pool,
    /// `crs-local.conf`.
    Local,
    /// `crs-relay.conf`.
    Relay,
}

/// Whether more than one line of a directive makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    /// A second line is an error.
    Once,
    /// Lines add up.
    Many,
}

/// Lines of each directive in one source.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<&'static str, (usize, usize)>);

/// All directives, group by group.
pub(super) fn all() -> impl Iterator<Item = &'static Directive> {
    let groups = [
        pool::DIRECTIVES,
        clients::DIRECTIVES,
        push::DIRECTIVES,
        local::DIRECTIVES,
        network::DIRECTIVES,
        logs::DIRECTIVES,
        relay::DIRECTIVES,
    ];
    groups.into_iter().flatten()
}

/// The directive with which a line begins that could not be split into words.
pub(super) fn begins(raw: &str) -> Option<&'static str> {
    let word = raw.split_whitespace().next()?;
    all().map(|directive| directive.name).find(|name| name.eq_ignore_ascii_case(word))
}

/// Names of the directives in which two configurations differ.
pub fn differing(old: &Config, new: &Config) -> Vec<&'static str> {
    all().filter(|directive| !(directive.same)(old, new)).map(|directive| directive.name).collect()
}

/// Every directive, and whether the reference says that SIGHUP takes it.
#[cfg(test)]
pub(crate) fn reloadable() -> impl Iterator<Item = (&'static str, bool)> {
    all().map(|directive| (directive.name, directive.reload))
}

/// Directives of older manuals that are ignored with a warning (C-073, D-33).
const RETIRED: &[(&str, &str)] =
    &[("app", "modules are no longer listed per host (since 4.11.0); the line is ignored")];

/// Section headings of the manuals (C-067, C-068); directives are valid under any of them.
const HEADINGS: &[&str] = &["GLOBAL", "POOL", "HOSTS", "HOST", "PUSH-CONFIG", "LOCAL", "RELAY"];

/// Checks the name in `[…]`.
pub(super) fn check_heading(name: &str, kind: SourceKind) -> Option<Wrong> {
    let known = HEADINGS.iter().any(|heading| heading.eq_ignore_ascii_case(name));
    (!known || kind == SourceKind::CommandLine).then(|| {
        Wrong::expected("expected one of the headings [GLOBAL] [POOL] [HOSTS] [PUSH-CONFIG]")
            .got(name)
            .near(name, HEADINGS)
    })
}

/// Applies one line of words to the draft.
pub(super) fn apply(
    source: &Source,
    line: usize,
    words: &[String],
    strictness: Strictness,
    seen: &mut Seen,
    draft: &mut Draft,
    problems: &mut Problems,
) {
    let Some((name, arguments)) = words.split_first() else { return };
    let Some(directive) = all().find(|directive| directive.name.eq_ignore_ascii_case(name)) else {
        return problems.push(unknown(name, strictness).at(source, line, None));
    };
    let mut tell = |wrong: Wrong| problems.push(wrong.at(source, line, Some(directive.name)));
    if let Err(wrong) = check_place(directive, source.kind) {
        return tell(wrong);
    }
    if let Err(wrong) = seen.note(directive, line) {
        return tell(wrong);
    }
    let args = Args::new(arguments, &source.name, source.kind);
    let outcome = (directive.parse)(draft, args);
    draft.remarks.drain(..).for_each(&mut tell);
    match outcome {
        Ok(()) => draft.places.note(directive.name, source, line),
        Err(wrong) => {
            let usage = format!("{} {}", directive.name, directive.usage).replace(" =", "=");
            let problem = wrong.at(source, line, Some(directive.name));
            problems.push(Problem { usage: Some(usage), ..problem });
        }
    }
}

fn unknown(name: &str, strictness: Strictness) -> Wrong {
    let retired = RETIRED.iter().find(|(word, _)| word.eq_ignore_ascii_case(name));
    if let Some((word, why)) = retired {
        return Wrong::expected(format!("{word}: {why}")).warning();
    }
    let names: Vec<&str> = all().map(|directive| directive.name).collect();
    let wrong = Wrong::expected("expected a directive").got(name).near(name, &names);
    match strictness {
        Strictness::Strict => wrong,
        Strictness::Lenient => wrong.warning(),
    }
}

fn check_place(directive: &Directive, kind: SourceKind) -> Result<(), Wrong> {
    let belongs = directive.scope.kind();
    let fits = belongs == kind || (kind == SourceKind::CommandLine && belongs == SourceKind::Local);
    if fits {
        return Ok(());
    }
    let file = match directive.scope {
        Scope::Pool => "crs.conf (the same on all nodes)",
        Scope::Local => "crs-local.conf (settings of one node)",
        Scope::Relay => "crs-relay.conf",
    };
    Err(Wrong::expected(format!("expected this directive in {file}")))
}

impl Seen {
    fn note(&mut self, directive: &Directive, line: usize) -> Result<(), Wrong> {
        let (first, count) = self.0.entry(directive.name).or_insert((line, 0));
        *count += 1;
        match directive.repeats {
            Repeats::Once if *count > 1 => Err(Wrong::expected(format!(
                "expected one line only; line {first} says it already"
            ))),
            Repeats::Many if *count > REPEATS_MAX => {
                Err(Wrong::expected(format!("expected at most {REPEATS_MAX} lines of it")))
            }
            Repeats::Once | Repeats::Many => Ok(()),
        }
    }
}

/// A remark about a whole configuration.
pub(super) fn missing(file: &str, expected: impl Into<String>) -> Problem {
    Problem { file: file.to_owned(), ..Problem::general(super::Severity::Error, expected) }
}

/// The same where a line asks for what is missing.
pub(super) fn missing_at(place: &Place, directive: &str, expected: impl Into<String>) -> Problem {
    let problem = missing(&place.file, expected);
    Problem { line: Some(place.line), directive: Some(directive.to_owned()), ..problem }
}
