//! Every way to fail has its sentence, its remedy and its exit code.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crs_admin_api::{AdminError, Code};

use crate::fake::{FakeNode, run_at, stderr, stdout};

#[test]
fn a_node_that_is_down_is_told_with_the_command_that_looks_at_it() {
    let output = run_at(Path::new("/nonexistent/crs.sock"), "show node");
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("no node is running") && text.contains("systemctl status"), "{text}");
    assert_eq!(stdout(&output), "");
}

#[test]
fn a_socket_nobody_listens_on_is_a_node_that_is_down() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("crs.sock");
    drop(UnixListener::bind(&path).unwrap());
    let output = run_at(&path, "show node");
    assert!(stderr(&output).contains("no node is running behind"), "{output:?}");
}

#[test]
fn refused_by_the_node_no_quorum_and_versions_are_different_sentences() {
    let mut texts = Vec::new();
    for code in [Code::NoPermission, Code::NoQuorum, Code::VersionMismatch, Code::Timeout] {
        let node = FakeNode::new(move |_| Err(AdminError::new(code, format!("{code:?}"))));
        let output = node.run("show node");
        assert_eq!(output.status.code(), Some(1));
        texts.push(stderr(&output));
    }
    texts.push(stderr(&run_at(Path::new("/nonexistent"), "show node")));
    for (i, text) in texts.iter().enumerate() {
        let hint = text.lines().nth(1).unwrap();
        assert!(texts.iter().skip(i + 1).all(|other| !other.contains(hint)), "{text}");
    }
}

#[test]
fn a_socket_without_permission_says_so() {
    let node = FakeNode::new(|_| Err(AdminError::new(Code::Internal, "reached")));
    let closed = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(node.socket(), closed).unwrap();
    let text = stderr(&node.run("show node"));
    // Root may do everything; everybody else is told.
    assert!(text.contains("reached") || text.contains("may not talk"), "{text}");
}

#[test]
fn a_newer_node_is_refused_by_version() {
    let node = FakeNode::raw(|_| b"{\"v\":9,\"id\":1,\"fly\":{}}\n".to_vec());
    let output = node.run("show node");
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("version 9") && text.contains("version 1"), "{text}");
}

#[test]
fn garbage_and_over_long_lines_from_a_node_are_refused() {
    for answer in [b"\xff\xfe garbage\n".to_vec(), b"\n".to_vec(), vec![b'x'; (1 << 20) + 2]] {
        let node = FakeNode::raw(move |_| answer.clone());
        let output = node.run("show attach");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(stderr(&output).lines().count(), 2);
    }
}

#[test]
fn a_node_that_closes_is_told() {
    let node = FakeNode::raw(|_| b"{\"v\":1".to_vec());
    // Half a line, and then the end of the node's connection never comes: so close it.
    let text = stderr(&run_at(&node.socket(), "nonsense"));
    assert!(text.contains("there is no \"nonsense\""), "{text}");
}

#[test]
fn with_json_the_error_is_one_object_with_code_message_hint_exit() {
    let node = FakeNode::new(|_| Err(AdminError::new(Code::NoSuchAccount, "no account nosuch")));
    let output = node.run("show account nosuch --output json");
    let error: serde_json::Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(error["code"], "no-such-account");
    assert_eq!(error["message"], "no account nosuch");
    assert!(error["hint"].as_str().unwrap().contains("list account"));
    assert_eq!(error["exit"], 1);
    assert_eq!(stdout(&output), "");
}

/// Erasing an account cannot be undone: a script has to say that it means it.
#[test]
fn an_account_is_not_deleted_unasked() {
    let node = FakeNode::new(|request| panic!("{request:?}"));
    let output = node.run("delete account police");
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("nothing was changed") && text.contains("--yes"), "{text}");
    let node = FakeNode::new(|_| Err(AdminError::new(Code::NoSuchAccount, "asked")));
    assert!(stderr(&node.run("delete account police --yes")).contains("asked"));
}

#[test]
fn usage_errors_exit_with_2_also_as_json() {
    let nowhere = Path::new("/nonexistent");
    for line in [
        "shwo attach",
        "show",
        "show attach --nonsense",
        "create account",
        "create account a/b",
        "create account police -s AAECAwQFBgcICQoLDA0ODw== -B16",
        "create account police -s AAECAwQFBgcICQoLDA0ODw== -b128",
        "create sharedSecret -b 8 -B 1",
        "create account police -s AAEC",
        "blacklist add police",
        "blacklist add police 12",
        "trace attach --for soon",
        "apply /nonexistent/2026-11.upd",
    ] {
        let output = run_at(nowhere, line);
        assert_eq!(output.status.code(), Some(2), "{line}: {output:?}");
        assert_eq!(stdout(&output), "", "{line}");
    }
    let output = run_at(nowhere, "shwo attach -o json");
    let error: serde_json::Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!((&error["code"], &error["exit"]), (&"usage".into(), &2.into()));
    assert_eq!(error["hint"], "did you mean \"show\"?");
}
