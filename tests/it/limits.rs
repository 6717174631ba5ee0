//! docs/limits.md against the sources: constants exist and have the stated value, tests exist, no
//! limit of the sources is left out.

mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crs_tests::{source_files, workspace_root};

/// Names that mean a limit. Others may be documented, these must be.
const ENDINGS: &[&str] = &["_MAX", "_LIMIT", "_QUEUE", "_TIMEOUT", "_DEADLINE", "_PATIENCE"];
/// Rows that may say `none: why` in place of a test. Nothing is added here without a reason that
/// a reviewer accepts.
const NOT_REACHED: &[&str] = &[];

/// Constants whose name sounds like a limit and that are none, with the reason.
const NO_LIMITS: &[(&str, &str, &str)] =
    &[("actors/proto/src/connection/core.rs", "WAKE_MAX", "how often a clock is looked at")];

/// One line of a table.
struct Row {
    limit: String,
    value: String,
    /// Constants or fields, each with its file.
    decided: Vec<(String, String)>,
    tests: Vec<String>,
    /// Why there is no test, when the row says so.
    none: Option<String>,
}

/// What the sources hold: file → text.
type Sources = BTreeMap<String, String>;

fn document() -> String {
    std::fs::read_to_string(workspace_root().join("docs/limits.md")).unwrap_or_default()
}

fn sources() -> Sources {
    let root = workspace_root();
    let name = |path: &Path| path.strip_prefix(&root).unwrap_or(path).display().to_string();
    source_files(&[".rs", ".py"])
        .iter()
        .map(|path| (name(path), std::fs::read_to_string(path).unwrap_or_default()))
        .collect()
}

/// Rows of all tables with five columns, headings and rulers left out.
fn rows(document: &str) -> Vec<Row> {
    let cells = document.lines().filter_map(|line| {
        let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
        (cells.len() == 5 && cells[0] != "limit").then_some(cells)
    });
    cells
        .map(|cells| {
            let decided = quoted(cells[3]);
            let decided = decided.chunks(2).filter_map(|pair| match pair {
                [name, file] => Some((name.clone(), file.clone())),
                _ => None,
            });
            let none = cells[4].strip_prefix("none: ").map(str::to_owned);
            Row {
                limit: cells[0].to_owned(),
                value: cells[1].to_owned(),
                decided: decided.collect(),
                tests: if none.is_some() { Vec::new() } else { quoted(cells[4]) },
                none,
            }
        })
        .collect()
}

/// What stands between back-ticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Constants of a text: name → (expression as it is written).
fn constants(text: &str) -> BTreeMap<String, String> {
    let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    production
        .lines()
        .filter_map(|line| {
            let (_, declaration) = line.split_once("const ")?;
            let (name, rest) = declaration.split_once(':')?;
            let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            let (_, expression) = rest.split_once(" = ")?;
            let expression = expression.trim_end().strip_suffix(';')?;
            (!name.is_empty() && name.chars().all(upper))
                .then(|| (name.to_owned(), expression.to_owned()))
        })
        .collect()
}

fn is_production(file: &str) -> bool {
    let other = ["/tests/", "/tests.rs", "/testing/", "fuzz/", "/golden"];
    file.ends_with(".rs") && !file.starts_with("tests/") && !other.iter().any(|o| file.contains(o))
}

/// Everything in the document that the sources do not bear out.
fn contradictions(document: &str, sources: &Sources) -> Vec<String> {
    let tests: BTreeSet<&str> = sources.values().flat_map(|text| test_names(text)).collect();
    let mut found = Vec::new();
    for row in rows(document) {
        let mut tell = |what: String| found.push(format!("{}: {what}", row.limit));
        if row.decided.is_empty() {
            tell("no constant is named".to_owned());
        }
        for (name, file) in &row.decided {
            let text = sources.get(file).map_or("", String::as_str);
            if !words(text).any(|word| word == name) {
                tell(format!("{name} is not in {file}"));
            }
            let written = constants(text).get(name).and_then(|text| value::of_source(text));
            if let (Some(written), Some(stated)) = (written, value::of_document(&row.value))
                && written != stated
            {
                tell(format!("{name} is {written}, the page says {stated}"));
            }
        }
        if row.tests.is_empty() && row.none.is_none() {
            tell("no test, and no reason why".to_owned());
        }
        for test in row.tests.iter().filter(|test| !tests.contains(test.as_str())) {
            tell(format!("there is no test {test}"));
        }
    }
    found
}

/// Limits of the sources that the document does not name.
fn missing(document: &str, sources: &Sources) -> Vec<String> {
    let named: BTreeSet<(String, String)> =
        rows(document).into_iter().flat_map(|row| row.decided).collect();
    let mut found = Vec::new();
    for (file, text) in sources.iter().filter(|(file, _)| is_production(file)) {
        for name in constants(text).into_keys() {
            let limit = ENDINGS.iter().any(|ending| name.ends_with(ending));
            let excused = NO_LIMITS.iter().any(|(f, n, _)| f == file && *n == name);
            if limit && !excused && !named.contains(&(name.clone(), file.clone())) {
                found.push(format!("{name} of {file}"));
            }
        }
    }
    found
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// Functions behind a test attribute (or inside `proptest!`), and Python's tests.
fn test_names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim_start) {
        let python = line.strip_prefix("async ").unwrap_or(line).strip_prefix("def test_");
        if let Some(name) = python.and_then(|_| line.split("def ").nth(1)) {
            names.extend(name.split('(').next());
        } else if line.starts_with("#[test") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some(name) = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")
            && std::mem::take(&mut marked)
        {
            names.extend(name.split(['(', '<']).next());
        }
    }
    names
}

#[test]
fn the_page_says_what_the_sources_do() {
    assert!(rows(&document()).len() > 150, "the tables are not understood");
    assert_eq!(contradictions(&document(), &sources()), Vec::<String>::new());
}

#[test]
fn no_limit_of_the_sources_is_missing() {
    assert_eq!(missing(&document(), &sources()), Vec::<String>::new());
    for (file, name, reason) in NO_LIMITS {
        let known = sources().get(*file).is_some_and(|text| constants(text).contains_key(*name));
        assert!(known && !reason.is_empty(), "{name} of {file} needs no excuse");
    }
}

/// Rows without a test that are not `allowed` to be, and the other way round.
fn unreached(document: &str, allowed: &[&str]) -> Vec<String> {
    let none: BTreeMap<String, String> =
        rows(document).into_iter().filter_map(|row| row.none.map(|why| (row.limit, why))).collect();
    let further = none.iter().filter(|(limit, _)| !allowed.contains(&limit.as_str()));
    let mut found: Vec<_> = further.map(|(limit, why)| format!("{limit}: {why}")).collect();
    let excused = allowed.iter().filter(|limit| !none.contains_key(**limit));
    found.extend(excused.map(|limit| format!("{limit} needs no excuse")));
    found
}

#[test]
fn a_test_reaches_each_limit() {
    assert_eq!(unreached(&document(), NOT_REACHED), Vec::<String>::new());
}

/// A wrong value, an unknown test, an unknown constant, a row left out: each is told.
#[test]
fn planted_faults_are_seen() {
    let row = |value: &str, name: &str, test: &str| {
        format!("| frame | {value} | closed | `{name}` in `a/src/x.rs` | {test} |\n")
    };
    let text = "pub const FRAME_MAX: usize = 96 * 1024;\nconst IN_QUEUE: u32 = 7;\n\
                #[cfg(test)]\nmod tests {\n    #[test]\n    fn it_is_cut() {}\n}\n";
    let sources: Sources = [("a/src/x.rs".to_owned(), text.to_owned())].into();
    let good = row("96 KiB", "FRAME_MAX", "`it_is_cut`");
    assert_eq!(contradictions(&good, &sources), Vec::<String>::new());
    for (bad, word) in [
        (row("95 KiB", "FRAME_MAX", "`it_is_cut`"), "the page says"),
        (row("96 KiB", "BODY_MAX", "`it_is_cut`"), "is not in a/src/x.rs"),
        (row("96 KiB", "FRAME_MAX", "`it_is_lost`"), "there is no test it_is_lost"),
        (row("96 KiB", "FRAME_MAX", ""), "no test, and no reason why"),
    ] {
        let told = contradictions(&bad, &sources);
        assert!(told.len() == 1 && told[0].contains(word), "{told:?}");
    }
    assert_eq!(missing(&good, &sources), ["IN_QUEUE of a/src/x.rs"]);
    let none = row("96 KiB", "FRAME_MAX", "none: it is hard");
    assert_eq!(unreached(&none, &[]), ["frame: it is hard"]);
    assert_eq!(unreached(&none, &["frame"]), Vec::<String>::new());
    assert_eq!(unreached(&good, &["frame"]), ["frame needs no excuse"]);
}
