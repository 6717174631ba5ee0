//! Words that must not stand in the sources.

use crs_tests::{source_files, workspace_root};

/// Endings of the files that are read.
const ENDINGS: &[&str] = &[".rs", ".md", ".toml", ".sh", ".py"];

fn offences(words: &[String], text: &str) -> Vec<String> {
    words.iter().filter(|word| text.contains(word.as_str())).cloned().collect()
}

#[test]
fn no_unfinished_code_is_left() {
    // Spelled in halves, so that this file does not offend itself.
    let words: Vec<String> =
        [("todo", "!("), ("unimplemented", "!("), ("dbg", "!("), ("#[ign", "ore")]
            .iter()
            .map(|(a, b)| format!("{a}{b}"))
            .collect();
    let root = workspace_root();
    let mut found = Vec::new();
    for path in source_files(&[".rs"]) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for word in offences(&words, &text) {
            found.push(format!("{}: {word}", path.strip_prefix(&root).unwrap_or(&path).display()));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn private_machine_paths_stay_out() {
    let words: Vec<String> = [("/work/", "main"), ("/work/", "shared"), ("/root", "/.cargo")]
        .iter()
        .map(|(a, b)| format!("{a}{b}"))
        .collect();
    let root = workspace_root();
    let mut found = Vec::new();
    for path in source_files(ENDINGS) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for word in offences(&words, &text) {
            found.push(format!("{}: {word}", path.strip_prefix(&root).unwrap_or(&path).display()));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}
