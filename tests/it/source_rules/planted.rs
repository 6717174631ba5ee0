//! The planted bugs of tests/planted: scripts/planted shows that each is noticed, which takes too
//! long for every run. Here: that all of them still apply and name a test that exists.

use crs_tests::workspace_root;

/// As many as there must be at least.
const BUGS_MIN: usize = 20;

/// A change of one file: the lines before and after it, with a line of context on each side.
struct Change {
    path: String,
    before: Vec<String>,
    after: Vec<String>,
}

struct Bug {
    test: String,
    changes: Vec<Change>,
}

/// Reads a file of tests/planted. `None`: it is not of their form.
fn parse(text: &str) -> Option<Bug> {
    let (head, diff) = text.split_once("\n\n")?;
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    field("Bug: ")?;
    let run = field("Run: -p ")?.split_once(' ')?;
    let test = field("Test: ")?.to_owned();
    if !["--lib", "--test it"].contains(&run.1) {
        return None;
    }
    let mut changes: Vec<Change> = Vec::new();
    let mut path = String::new();
    for line in diff.lines() {
        if let Some(name) = line.strip_prefix("+++ b/") {
            path = name.to_owned();
        } else if line.starts_with("@@ ") {
            changes.push(Change { path: path.clone(), before: Vec::new(), after: Vec::new() });
        } else if !line.starts_with("--- ") {
            let change = changes.last_mut()?;
            let (mark, rest) = line.split_at_checked(1)?;
            if mark != "+" {
                change.before.push(rest.to_owned());
            }
            if mark != "-" {
                change.after.push(rest.to_owned());
            }
        }
    }
    (!changes.is_empty()).then_some(Bug { test, changes })
}

/// What keeps a change from being made to `source`, if anything does.
fn fault(change: &Change, source: &str) -> Option<&'static str> {
    let lines: Vec<&str> = source.lines().collect();
    let places = lines.windows(change.before.len()).filter(|lines| **lines == change.before[..]);
    match places.count() {
        _ if change.before == change.after => Some("changes nothing"),
        0 => Some("does not apply any more"),
        1 => None,
        _ => Some("applies in more than one place"),
    }
}

/// Everything that is wrong with one file, beside sources that hold `tests`.
fn faults(text: &str, tests: &str, read: impl Fn(&str) -> String) -> Vec<String> {
    let Some(bug) = parse(text) else { return vec!["is not of the form of the others".into()] };
    let mut found: Vec<String> = bug
        .changes
        .iter()
        .filter_map(|change| {
            fault(change, &read(&change.path)).map(|what| format!("{what}: {}", change.path))
        })
        .collect();
    let name = bug.test.rsplit("::").next().unwrap_or_default();
    if !tests.contains(&format!("fn {name}(")) {
        found.push(format!("there is no test {name}"));
    }
    found
}

fn all_tests() -> String {
    let texts = crs_tests::source_files(&[".rs"]);
    texts.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

fn source(path: &str) -> String {
    std::fs::read_to_string(workspace_root().join(path)).unwrap_or_default()
}

#[test]
fn planted_bugs_apply_and_name_their_test() {
    let folder = workspace_root().join("tests/planted");
    let tests = all_tests();
    let mut count = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        count += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        wrong.extend(
            faults(&text, &tests, source).into_iter().map(|what| format!("{name}: {what}")),
        );
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(count >= BUGS_MIN, "only {count} bugs");
}

#[test]
fn a_bug_that_cannot_be_planted_is_seen() {
    let patch = "Bug: b\nRun: -p crs-types --lib\nTest: x::it_works\n\n\
        --- a/f.rs\n+++ b/f.rs\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n";
    let tests = "fn it_works() {}";
    let with = |source: &'static str| faults(patch, tests, move |_| source.to_owned());
    assert_eq!(with("one\ntwo\n"), Vec::<String>::new());
    assert_eq!(with("one\ntoo\n"), ["does not apply any more: f.rs"]);
    assert_eq!(with("one\ntwo\none\ntwo\n"), ["applies in more than one place: f.rs"]);
    assert_eq!(
        faults(patch, "fn it_was_renamed() {}", |_| "one\ntwo\n".to_owned()),
        ["there is no test it_works"]
    );
    assert_eq!(faults("Bug: b\n", tests, source), ["is not of the form of the others"]);
}
