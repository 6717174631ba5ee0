//! The bash script, loaded into a real bash.

use std::process::Command;

use crs_admin_api::Reply;
use crs_admin_api::command::complete::Value;

use crate::fake::{FakeNode, stdout};

/// Completes the last word of a line as bash would, in the directory of the built program.
fn complete(node: &FakeNode, words: &[&str]) -> Vec<String> {
    let program = env!("CARGO_BIN_EXE_crs-cli");
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source <({program} completion bash); COMP_WORDS=({program} {}); COMP_CWORD={}; \
         _crs_cli; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.len()
    );
    let bash = Command::new("bash")
        .args(["--norc", "-c", &script])
        .env("CRS_SOCKET", node.socket())
        .output()
        .unwrap();
    assert!(bash.stderr.is_empty(), "{}", String::from_utf8_lossy(&bash.stderr));
    stdout(&bash).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_elements_and_live_values_and_no_placeholders() {
    let node = FakeNode::new(|_| Ok(Reply::Complete(vec![Value { value: "police".to_owned() }])));
    assert_eq!(complete(&node, &["show", "sess"]), ["session"]);
    assert_eq!(complete(&node, &["create", "sh"]), ["sharedSecret"]);
    assert_eq!(complete(&node, &["show", "blacklist", "po"]), ["police"]);
    assert_eq!(complete(&node, &["show", "attach", "-o", "j"]), ["json"]);
    assert_eq!(complete(&node, &["show", "attach", "--output", "=", "j"]), ["json"]);
    assert_eq!(complete(&node, &["doctor", "--only", "disk,quo"]), ["disk,quorum"]);
    assert_eq!(complete(&node, &["apply", ""]), Vec::<String>::new(), "files are bash's own");
}
