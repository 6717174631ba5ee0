//! `doctor --pre`: is this machine ready for a node? Runs without one, and changes nothing but
//! for a small file that the disk check writes and removes.

mod clock;
mod disk;
mod machine;
mod network;
mod ports;

use crs_admin_api::command::doctor::{Check, Verdict};

use crate::args::Doctor;

/// Runs the checks that `--only` asks for.
pub(crate) fn checks(args: &Doctor) -> Vec<Check> {
    let mut out = Vec::new();
    let mut run = |group: &str, name: &str, check: &dyn Fn(Check) -> Check| {
        if Check::wanted(group, name, &args.only) {
            out.push(check(Check::ok(group, name, "")));
        }
    };
    for port in ports::NEEDED {
        run("ports", port.name, &|check| ports::free(check, port));
    }
    run("system", "open-files", &machine::open_files);
    run("system", "memory", &machine::memory);
    run("system", "processors", &machine::processors);
    run("system", "kernel", &machine::kernel);
    run("system", "aes", &machine::aes);
    run("system", "user", &machine::user);
    run("system", "clock", &clock::synchronised);
    run("storage", "disk", &|check| disk::space(check, &args.data));
    run("storage", "disk-sync", &|check| disk::sync_speed(check, &args.data));
    run("network", "dns", &|check| network::dns(check, args.name.as_deref()));
    run("network", "socket-buffers", &network::socket_buffers);
    run("network", "backlog", &network::backlog);
    out
}

/// A check that is in order, with what was seen.
fn seen(check: Check, description: impl Into<String>) -> Check {
    Check { description: description.into(), ..check }
}

/// A warning: what was seen, why it matters, how to change it.
fn warn(check: Check, description: impl Into<String>, cause: &str, fix: &str) -> Check {
    seen(check, description).finding(Verdict::Warn, cause, fix)
}

/// A failure.
fn fail(check: Check, description: impl Into<String>, cause: &str, fix: &str) -> Check {
    seen(check, description).finding(Verdict::Fail, cause, fix)
}

/// A small file of the kernel, or empty when it is not there.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(only: &[&str]) -> Doctor {
        Doctor {
            short: false,
            pre: true,
            pool: false,
            wait: None,
            only: only.iter().map(|s| (*s).to_owned()).collect(),
            name: Some("localhost".to_owned()),
            data: std::env::temp_dir(),
        }
    }

    #[test]
    fn there_are_at_least_twelve_and_each_finding_is_complete() {
        let checks = checks(&args(&[]));
        assert!(checks.len() >= 12, "{}", checks.len());
        for check in checks {
            assert!(!check.description.is_empty(), "{}", check.name);
            let found = check.result != Verdict::Ok;
            assert_eq!(check.cause.is_some() && check.fix.is_some() && check.doc.is_some(), found);
        }
    }

    #[test]
    fn only_takes_names_and_groups() {
        assert_eq!(checks(&args(&["memory"])).len(), 1);
        assert_eq!(checks(&args(&["storage", "dns"])).len(), 3);
        assert!(checks(&args(&["nonsense"])).is_empty());
    }

    /// The page explains every check of this program and of the node.
    #[test]
    fn every_check_has_an_entry_in_the_troubleshooting_page() {
        let page = include_str!("../../../../docs/troubleshooting.md");
        let here = checks(&args(&[])).into_iter().map(|check| check.name);
        let node = crs_admin_api::command::doctor::NODE_CHECKS.iter().map(|n| (*n).to_owned());
        for name in here.chain(node).chain(["node-answers".to_owned()]) {
            assert!(page.contains(&format!("\n## {name}\n")), "no entry for {name}");
        }
    }
}
