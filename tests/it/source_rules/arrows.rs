//! Which crate may depend on which (docs/ARCHITECTURE.md, *Direction of dependencies*).

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crs_tests::workspace_root;

/// Allowed arrows between crates of the workspace; every crate may use `crs-types`.
const ALLOWED: &[(&str, &[&str])] = &[
    ("crs-types", &[]),
    ("crs-keys", &[]),
    ("crs-proto", &[]),
    ("crs-udp", &[]),
    ("crs-storage", &[]),
    ("crs-cluster", &[]),
    ("crs-relay", &["crs-udp", "crs-proto"]),
    ("crs-admin-api", &[]),
    ("crs-ops", &[]),
    (
        "crs-actors",
        &[
            "crs-keys",
            "crs-proto",
            "crs-udp",
            "crs-relay",
            "crs-storage",
            "crs-cluster",
            "crs-ops",
            "crs-admin-api",
        ],
    ),
    ("crs-cli", &["crs-admin-api"]),
    ("crs-cms", &["crs-keys"]),
    ("crs-client", &["crs-keys", "crs-proto"]),
    ("crs-load", &["crs-client", "crs-udp"]),
    (
        "crs-node",
        &[
            "crs-keys",
            "crs-proto",
            "crs-udp",
            "crs-relay",
            "crs-storage",
            "crs-cluster",
            "crs-actors",
            "crs-ops",
            "crs-admin-api",
            "crs-client",
        ],
    ),
];

/// Third-party crates that only some of ours may name.
const NAMED_ONLY_BY: &[(&str, &[&str])] = &[
    ("bincode", &["crs-types"]),
    ("sled", &["crs-storage"]),
    ("redb", &["crs-storage"]),
    ("ractor", &["crs-actors", "crs-node"]),
    ("openraft", &["crs-storage", "crs-cluster"]),
    ("axum", &["crs-ops"]),
];

/// Crates that must not depend on an async runtime.
const NO_TOKIO: &[&str] = &["crs-types", "crs-keys", "crs-proto", "crs-udp", "crs-relay"];

type Dependencies = BTreeMap<String, BTreeSet<String>>;

fn dependencies() -> Dependencies {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(workspace_root())
        .output()
        .expect("cargo metadata runs");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let mut found = Dependencies::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("name").to_owned();
        let normal = package["dependencies"]
            .as_array()
            .expect("dependencies")
            .iter()
            .filter(|d| d["kind"].is_null())
            .map(|d| d["name"].as_str().expect("name").to_owned())
            .collect();
        found.insert(name, normal);
    }
    found
}

fn wrong_arrows(found: &Dependencies) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, uses) in found {
        if name == "crs-tests" {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(of, _)| of == name) else {
            wrong.push(format!("{name} has no row in the table of arrows"));
            continue;
        };
        for used in uses.iter().filter(|used| used.starts_with("crs-")) {
            if used != "crs-types" && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{name} -> {used}"));
            }
        }
        for (library, by) in NAMED_ONLY_BY {
            if uses.contains(*library) && !by.contains(&name.as_str()) {
                wrong.push(format!("{name} names {library}; only {by:?} may"));
            }
        }
        if NO_TOKIO.contains(&name.as_str()) && uses.contains("tokio") {
            wrong.push(format!("{name} depends on tokio"));
        }
    }
    wrong
}

#[test]
fn crates_depend_only_in_the_written_direction() {
    assert_eq!(wrong_arrows(&dependencies()), Vec::<String>::new());
}

#[test]
fn a_planted_wrong_arrow_is_seen() {
    let mut found = dependencies();
    found.entry("crs-proto".to_owned()).or_default().insert("crs-storage".to_owned());
    found.entry("crs-keys".to_owned()).or_default().insert("tokio".to_owned());
    found.entry("crs-cli".to_owned()).or_default().insert("sled".to_owned());
    assert_eq!(wrong_arrows(&found).len(), 3);
}
