//! kill -9 of the node under load: nothing confirmed is lost, doubled or out of order (CS-01).

use std::process::Command;

use crs_tests::program;
use serde_json::Value;

#[test]
fn a_killed_node_loses_nothing_it_confirmed() {
    let load = Command::new(program("crs-load"))
        .args(["messages", "--spawn", "1", "--kill9", "3", "--rate", "40", "--clients", "4"])
        .args(["--seconds", "1", "--json"])
        .output()
        .expect("crs-load is built");
    let said = String::from_utf8_lossy(&load.stdout);
    let failed = || String::from_utf8_lossy(&load.stderr).into_owned();
    let line = said.lines().last().unwrap_or_else(|| panic!("no result: {}", failed()));
    let result: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    for fault in ["lost", "duplicates", "reordered", "phantoms", "undelivered", "refused"] {
        assert_eq!(result[fault], 0, "{fault}: {result}");
    }
    assert_eq!(result["kills"], 3, "{result}");
    assert!(result["confirmed"].as_u64().is_some_and(|n| n > 20), "{result}");
}

/// Deliberate bugs are in a program of their own (crs-node-planted), never in this one.
#[test]
fn the_node_has_no_planted_bug() {
    let node = std::fs::read(program("crs-node")).expect("crs-node is built");
    let switch = b"CRS_PLANTED_BUG";
    assert!(!node.windows(switch.len()).any(|window| window == switch));
}
