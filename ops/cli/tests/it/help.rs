//! Every command's help has an example, and every example is a command line that is understood.

use std::path::Path;

use crate::fake::{run_at, stdout};

/// All commands, from their own help.
fn leaves(path: &str, found: &mut Vec<(String, String)>) {
    let help = stdout(&run_at(Path::new("/nonexistent"), &format!("{path} --help")));
    let mut elements = Vec::new();
    let mut listing = false;
    for line in help.lines() {
        match line {
            "Commands:" | "Actions:" => listing = true,
            "" => listing = listing && elements.is_empty(),
            line if listing && line.starts_with("  ") && !line.starts_with("   ") => {
                elements.push(line.split_whitespace().next().unwrap().to_owned());
            }
            _ => {}
        }
    }
    if elements.is_empty() {
        found.push((path.trim().to_owned(), help));
    }
    for element in elements {
        leaves(&format!("{path} {element}"), found);
    }
}

#[test]
fn help_examples_run() {
    let mut all = Vec::new();
    leaves("", &mut all);
    assert!(all.len() >= 30, "{}", all.len());
    for (path, help) in all {
        let examples: Vec<&str> =
            help.lines().filter_map(|line| line.strip_prefix("  crs-cli ")).collect();
        assert!(!examples.is_empty(), "no example in crs-cli {path} --help");
        for example in examples {
            assert!(example.starts_with(&path), "{example} is an example of {path}");
            understood(example);
        }
    }
}

/// Without a node: anything but a usage error of the words themselves.
fn understood(example: &str) {
    if example.contains("doctor") || example.starts_with("apply") {
        // These do real work, or read a real file; the words are all that counts here.
        let output = words(example).arg("--help").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{example}");
        return;
    }
    let output = words(example).output().unwrap();
    assert_ne!(output.status.code(), Some(2), "{example}: {output:?}");
}

fn words(example: &str) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_crs-cli"));
    let mut quoted = false;
    let mut word = String::new();
    for c in example.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => {
                command.arg(std::mem::take(&mut word));
            }
            c => word.push(c),
        }
    }
    command.arg(word).env("CRS_SOCKET", "/nonexistent").stdin(std::process::Stdio::null());
    command
}
