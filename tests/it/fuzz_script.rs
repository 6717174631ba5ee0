//! `scripts/fuzz` must not call something fuzzed that has not run.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crs_tests::workspace_root;

fn program(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Whether the script is content with a target that does this.
fn passes(target: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let fuzz = dir.path().join("tests/fuzz");
    std::fs::create_dir_all(dir.path().join("scripts")).unwrap();
    std::fs::copy(workspace_root().join("scripts/fuzz"), dir.path().join("scripts/fuzz")).unwrap();
    program(&dir.path().join("bin/cargo"), "exit 0");
    program(&fuzz.join("target/x86_64-unknown-linux-gnu/release/parser"), target);
    let path = format!("{}:{}", dir.path().join("bin").display(), std::env::var("PATH").unwrap());
    let script = dir.path().join("scripts/fuzz");
    let run = Command::new(script).arg("parser").env("PATH", path).output().unwrap();
    run.status.success()
}

#[test]
fn a_fuzz_target_that_did_not_run_is_a_failure() {
    let ran = "echo stat::number_of_executed_units: 7";
    assert!(passes(ran));
    for broken in [
        "exit 127".to_owned(),
        "kill -9 $$".to_owned(),
        "echo stat::number_of_executed_units: 0".to_owned(),
        "true".to_owned(),
        format!("{ran}; exit 1"),
        format!("{ran}; touch artifacts/crash-1"),
    ] {
        assert!(!passes(&broken), "{broken}");
    }
}
