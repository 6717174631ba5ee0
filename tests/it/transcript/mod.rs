//! Replays documents whose `console` blocks are transcripts: what they promise is what happens.

mod bash;
mod document;
mod pasted;

use document::{Step, matches, parse};

/// Runs every command of a document in one shell, in a fresh folder, and compares the output.
fn replay(name: &str) {
    let path = crs_tests::workspace_root().join(name);
    let text = std::fs::read_to_string(&path).expect("the document is there");
    let steps = parse(&text);
    assert!(steps.len() > 5, "{name} holds a transcript");
    let folder = tempfile::tempdir().expect("a fresh folder");
    let mut shell = bash::Shell::start(folder.path());
    for Step { line, command, expected } in steps {
        let output = shell.run(&command).unwrap_or_else(|why| {
            panic!("{name}:{line}: $ {command}\n{why}\n{}", shell.node_log(folder.path()))
        });
        assert!(
            matches(&expected, &output),
            "{name}:{line}: $ {command}\n--- expected\n{}\n--- got\n{}",
            expected.join("\n"),
            output.join("\n"),
        );
    }
}

#[test]
fn the_operators_first_hour_is_as_written() {
    replay("docs/operator/first-hour.md");
}

#[test]
fn the_smallest_configuration_works_as_written() {
    replay("docs/operator/running.md");
}
