//! Every command's help has an example, and every example is a command line that is understood.

use std::path::Path;
use std::process::{Command, Stdio};

use crs_types::shell;

use crate::fake::{run_at, stdout};

/// All pages of help, of groups and of commands, found from the first one.
fn pages(path: &str, found: &mut Vec<(String, String)>) {
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
    found.push((path.trim().to_owned(), help));
    for element in elements {
        pages(&format!("{path} {element}"), found);
    }
}

#[test]
fn help_examples_run() {
    let mut all = Vec::new();
    pages("", &mut all);
    assert!(all.len() >= 42, "{}", all.len());
    for (path, help) in all {
        let examples = shell::examples(&help, "crs-cli");
        assert!(!examples.is_empty(), "no example in crs-cli {path} --help");
        for words in examples {
            let line = words[1..].join(" ");
            assert!(line.starts_with(&path), "{line} is an example of {path}");
            understood(&words[1..]);
        }
    }
}

/// Without a node: anything but a usage error of the words themselves.
fn understood(words: &[String]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crs-cli"));
    command.args(words).env("CRS_SOCKET", "/nonexistent").stdin(Stdio::null());
    if ["doctor", "apply"].contains(&words[0].as_str()) {
        // These do real work, or read a real file; the words are all that counts here.
        let output = command.arg("--help").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        return;
    }
    let output = command.output().unwrap();
    assert_ne!(output.status.code(), Some(2), "{words:?}: {output:?}");
}
