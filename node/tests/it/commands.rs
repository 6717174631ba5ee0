//! Commands that start nothing.

use std::net::TcpListener;

use crate::program::{KEY, node, run, write};

#[test]
fn check_tells_every_problem_and_ends_with_64() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[
            ("crs.conf", &format!("key {KEY}\nip crs1 192.0.2.1\nkeepalive x\n")),
            ("crs-local.conf", "crsname crs1\nclient-listen nowhere\n"),
            ("crs-relay.conf", "MAX_RTP_RELAYS=-1\n"),
        ],
    );
    let (code, out, _) = run(node(dir.path()).args(["check", "--config", "crs.conf"]));
    assert_eq!(code, 64, "{out}");
    for part in [
        "crs.conf:3: expected a directive, got \"keepalive\" (nearest: keep-alive)",
        "crs-local.conf:2: client-listen: expected an address to listen on",
        "crs-relay.conf:1: MAX_RTP_RELAYS: expected a limit",
        "3 errors, 0 warnings",
    ] {
        assert!(out.contains(part), "{part:?} not in\n{out}");
    }
    let (code, out, _) =
        run(node(dir.path()).args(["check", "--config", "crs.conf", "--output", "json"]));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, json["ok"].as_bool()), (64, Some(false)));
    assert_eq!(json["problems"][0]["line"], 3);
    assert_eq!(json["problems"][0]["nearest"], "keep-alive");
}

#[test]
fn a_correct_configuration_ends_with_0_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let local = format!(
        "client-listen {}\ndata-dir data\nlog-dir log\nadmin-socket run/s\n",
        taken.local_addr().unwrap()
    );
    let pool = format!("key {KEY}\nip crs1 127.0.0.1\nkeepalive x\n");
    write(dir.path(), &[("crs.conf", &pool), ("crs-local.conf", &local)]);
    let (code, out, _) = run(node(dir.path()).args(["check", "--lenient", "--config", "crs.conf"]));
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("warning: expected a directive"), "{out}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "check made something");
}

#[test]
fn development_nodes_refuse_public_addresses_and_foreign_folders() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, error) = run(node(dir.path()).args(["--dev", "--bind", "0.0.0.0"]));
    assert_eq!(code, 64, "{error}");
    assert!(error.contains("loopback only"), "{error}");

    write(dir.path(), &[("thesis.odt", "x")]);
    let (code, _, error) = run(node(dir.path()).args(["--dev", "--data", "."]));
    assert_eq!(code, 64, "{error}");
    assert!(error.contains("thesis.odt"), "{error}");
}

#[test]
fn a_foreign_data_folder_is_refused_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = dir.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    write(&foreign, &[("thesis.odt", "x")]);
    let pool = format!("key {KEY}\nip crs1 127.0.0.1\n");
    let local = "client-listen 127.0.0.1:0\nmedia-listen 127.0.0.1:0\nmetrics-listen off\n\
                 log-dir log\naccounts-dir a\nbackup-dir b\nadmin-socket s\n";
    write(dir.path(), &[("crs.conf", &pool), ("crs-local.conf", local)]);
    let (code, _, error) =
        run(node(dir.path()).args(["--config", "crs.conf", "--data", foreign.to_str().unwrap()]));
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("it holds thesis.odt"), "{error}");
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1);
}

#[test]
fn a_wrong_configuration_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, error) = run(node(dir.path()).args(["--config", "none.conf"]));
    assert_eq!(code, 64, "{error}");
    assert!(error.contains("none.conf: expected a readable file"), "{error}");
}

#[test]
fn ports_are_printed_for_people_programs_and_firewalls() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[("crs.conf", &format!("key {KEY}\nip crs1 192.0.2.1\n"))]);
    let ports = |output: &str| {
        let arguments = ["ports", "--config", "crs.conf", "--output", output];
        let (code, out, error) = run(node(dir.path()).args(arguments));
        assert_eq!(code, 0, "{error}");
        out
    };
    let json: serde_json::Value = serde_json::from_str(&ports("json")).unwrap();
    assert!(json.as_array().unwrap().iter().all(|p| p["port"].is_u64() && p["why"].is_string()));
    assert!(ports("table").contains("5223"));
    assert!(ports("tsv").lines().next().unwrap().starts_with("NAME\tPORT"));
    assert!(ports("nft").contains("tcp dport 5223 accept"));
    assert!(ports("ufw").contains("ufw allow proto udp from any to any port 146"));
    assert!(ports("firewalld").contains("<port protocol=\"tcp\" port=\"5223\"/>"));
}
