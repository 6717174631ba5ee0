//! The way from an empty folder to a message by pasting what the programs print as the next step,
//! and nothing else.

use super::bash::Shell;

/// The commands of the node's own announcement.
fn announced(lines: &[String]) -> Vec<String> {
    let behind = lines.iter().skip_while(|line| !line.ends_with("Next:")).skip(1);
    behind.take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned()).collect()
}

/// What stands behind a label.
fn behind(lines: &[String], label: &str) -> String {
    let found = lines.iter().find_map(|line| line.split_once(label));
    found.unwrap_or_else(|| panic!("no {label:?} in {lines:#?}")).1.trim().to_owned()
}

#[test]
fn next_steps_lead_from_an_empty_folder_to_a_message() {
    let folder = tempfile::tempdir().expect("a fresh folder");
    let mut shell = Shell::start(folder.path());
    let mut run = |command: &str| {
        shell
            .run(command)
            .unwrap_or_else(|why| panic!("$ {command}\n{why}\n{}", shell.node_log(folder.path())))
    };
    run("crs-node --dev --data node > node.out 2> node.err &");
    run("crs-cli --socket node/run/crs.sock doctor --only store,listener,relay --wait 30s");
    // It is printed once all of it serves.
    run("grep -q 'Stop with' <(tail -n +1 -f node.out)");
    let steps = announced(&run("cat node.out"));
    assert_eq!(steps.len(), 2, "{steps:?}");
    run(&steps[0]);
    let made = run(&steps[1]);
    let add = behind(&made, "next here:").replace("NUMBER", "+46700000001 +46700000002");
    let added = run(&add);
    let created = run(&behind(&added, "next:"));
    // The operator sits at the node.
    run("export CRS_SOCKET=$PWD/node/run/crs.sock");
    let apply = behind(&created, "next on the CRS:");
    let unasked = apply.split(" --confirm-fingerprint").next().unwrap_or_default();
    let hint = run(&format!("{unasked} < /dev/null || true"));
    let command = behind(&hint, "if it is the same: `");
    assert_eq!(command.trim_end_matches('`'), apply, "both sides say the same");
    run(&apply);
    for (name, number) in [("alice", "+46700000001"), ("bob", "+46700000002")] {
        run(&format!("crs-cms --dir demo enrol {number} --pin 314159 -o {name}.crsenrol"));
        let enrol = format!("crs-client --profile {name} enrol {name}.crsenrol --pin 314159");
        let enrolled = run(&enrol);
        let next = behind(&enrolled, "next:");
        assert_eq!(next, format!("crs-client --profile {name} run"));
    }
    run("crs-client --profile alice send +46700000002 hello");
    let received = run("crs-client --profile bob receive --count 1 --for 30s");
    assert!(received.iter().any(|line| line.ends_with("+46700000001: hello")), "{received:?}");
}
