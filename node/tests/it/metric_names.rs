//! The metrics of a running node against the rules of `promtool check metrics` (U33), which
//! itself finds nothing either: `curl -s http://127.0.0.1:9146/metrics | promtool check metrics`.

use std::collections::{BTreeMap, BTreeSet};

use crate::program::Running;

const NOT_BASE_UNITS: &[&str] = &[
    "ms",
    "us",
    "ns",
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "minutes",
    "hours",
    "days",
    "kb",
    "mb",
    "gb",
    "kilobytes",
    "megabytes",
    "gigabytes",
    "kbytes",
    "bits",
    "percent",
];
const TYPES: &[&str] = &["counter", "gauge", "histogram", "summary"];

/// What is wrong with an exposition, a line each.
fn findings(text: &str) -> Vec<String> {
    let (mut types, mut helped) = (BTreeMap::new(), BTreeSet::new());
    let mut out = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["#", "HELP", name, ref help @ ..] if !help.is_empty() => {
                helped.insert(name);
            }
            ["#", "TYPE", name, kind] => {
                types.insert(name, kind);
            }
            _ => out.extend(sample(line, &types)),
        }
    }
    for (name, kind) in &types {
        if !helped.contains(name) {
            out.push(format!("{name}: no help"));
        }
        out.extend(naming(name, kind));
    }
    out
}

fn naming(name: &str, kind: &str) -> Vec<String> {
    let parts: Vec<&str> = name.split('_').collect();
    let rules = [
        (name.starts_with("crs_"), "does not begin with crs_"),
        (
            name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
            "letters",
        ),
        ((kind == "counter") == name.ends_with("_total"), "_total is for counters, and for all"),
        (!parts.iter().any(|part| TYPES.contains(part)), "names its type"),
        (!parts.iter().any(|part| NOT_BASE_UNITS.contains(part)), "is in no base unit"),
        (
            !["_bucket", "_sum", "_count"].iter().any(|s| name.ends_with(s)),
            "has a histogram's suffix",
        ),
    ];
    let broken = rules.into_iter().filter(|(kept, _)| !kept);
    broken.map(|(_, rule)| format!("{name}: {rule}")).collect()
}

/// A sample must belong to a type that was told before, and name no user.
fn sample(line: &str, types: &BTreeMap<&str, &str>) -> Vec<String> {
    let name = line.split(['{', ' ']).next().unwrap();
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
        name.strip_suffix(suffix).filter(|base| types.get(base) == Some(&"histogram"))
    });
    let mut out = Vec::new();
    if !types.contains_key(base.unwrap_or(name)) {
        out.push(format!("{line}: no type"));
    }
    if line.contains("tel:") || line.contains("\"+46") || line.contains("urn:") {
        out.push(format!("{line}: names a user"));
    }
    out
}

#[test]
fn the_metrics_of_a_node_keep_the_naming_rules() {
    let dir = tempfile::tempdir().unwrap();
    let node = Running::start(dir.path());
    let (status, text) = node.get("/metrics");
    assert_eq!(status, 200);
    assert!(text.contains("\ncrs_build_info{"), "{text}");
    assert_eq!(findings(&text), Vec::<String>::new());
}

#[test]
fn the_rules_find_what_breaks_them() {
    for (text, finding) in [
        ("# HELP crs_x X.\n# TYPE crs_x counter\ncrs_x 1\n", "_total"),
        ("# TYPE crs_x gauge\ncrs_x 1\n", "no help"),
        ("# HELP crs_wait_ms X.\n# TYPE crs_wait_ms gauge\n", "base unit"),
        ("# HELP x X.\n# TYPE x gauge\n", "begin with"),
        ("# HELP crs_x_count X.\n# TYPE crs_x_count gauge\n", "suffix"),
        ("# HELP crs_x_count X.\n# TYPE crs_x_count histogram\n", "suffix"),
        ("crs_x 1\n", "no type"),
        ("# HELP crs_x X.\n# TYPE crs_x gauge\ncrs_x{user=\"+4670\"} 1\n", "names a user"),
    ] {
        let found = findings(text);
        assert!(found.iter().any(|line| line.contains(finding)), "{text}: {found:?}");
    }
}
