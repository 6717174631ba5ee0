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
    // In use: `check` does not try.
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

/// What the parser cannot know: this machine's processors, and who may read its files. Each with
/// its line, and the printed command mends it.
#[test]
fn check_looks_at_processors_and_at_who_may_read_keys() {
    let dir = tempfile::tempdir().unwrap();
    let local = "crsname crs1\nrelay-cpus 900\ncertificate chain.pem key.pem\n";
    write(
        dir.path(),
        &[
            ("crs.conf", &format!("key {KEY}\nip crs1 192.0.2.1\n")),
            ("crs-local.conf", local),
            ("chain.pem", "x"),
            ("key.pem", "x"),
        ],
    );
    for name in ["crs.conf", "key.pem"] {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(dir.path().join(name), open).unwrap();
    }
    let check = || run(node(dir.path()).args(["check", "--config", "crs.conf"]));
    let (code, out, _) = check();
    assert_eq!(code, 64, "{out}");
    let folder = dir.path().canonicalize().unwrap().display().to_string();
    let own = "crs.conf: warning: expected a file that others cannot read, as it holds the keys of the pool";
    let key = "crs-local.conf:3: warning: certificate: expected a file that others cannot read, as it holds a \
               private key";
    for part in [
        "crs-local.conf:2: relay-cpus: expected a processor that this process may use (0",
        "), got 900\n",
        &format!("{own}: chmod o= {folder}/crs.conf, got mode 644\n"),
        &format!("{key}: chmod o= {folder}/key.pem, got mode 644 of {folder}/key.pem\n"),
        "the node would not start: 1 error, 2 warnings",
    ] {
        assert!(out.contains(part), "{part:?} not in\n{out}");
    }
    let (code, _, error) = run(node(dir.path()).args(["--config", "crs.conf"]));
    assert_eq!(code, 64, "the node refuses the same: {error}");
    assert!(error.contains("relay-cpus: expected a processor"), "{error}");
    write(dir.path(), &[("crs-local.conf", &local.replace("900", "0"))]);
    for command in out.lines().filter_map(|line| line.split_once("chmod ")) {
        let words = command.1.split(", got").next().unwrap();
        let pasted =
            std::process::Command::new("sh").args(["-c", &format!("chmod {words}")]).status();
        assert!(pasted.unwrap().success(), "chmod {words}");
    }
    let (code, out, _) = check();
    assert_eq!((code, out.as_str()), (0, "the configuration is correct: 0 errors, 0 warnings\n"));
}

/// `crs-node ports | head -1` is no failure; what `check` found still is.
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[("crs.conf", &format!("key {KEY}\nip crs1 192.0.2.1\n")), ("bad.conf", "x\n")],
    );
    for (words, expected) in [
        (["ports", "--config", "crs.conf"], 0),
        (["check", "--config", "crs.conf"], 0),
        (["check", "--config", "bad.conf"], 64),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = node(dir.path()).args(words).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(expected), "{words:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

/// Who has the port, and which folder: what a start that failed leaves to be done.
#[test]
fn a_start_that_fails_names_port_and_folder_once() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let local = format!(
        "client-listen {addr}\nmedia-listen 127.0.0.1:0\nmetrics-listen off\nlog-dir log\n\
         data-dir data\naccounts-dir a\nbackup-dir b\nadmin-socket s\n"
    );
    let pool = format!("key {KEY}\nip crs1 127.0.0.1\n");
    write(dir.path(), &[("crs.conf", &pool), ("crs-local.conf", &local)]);
    let (code, _, error) = run(node(dir.path()).args(["--config", "crs.conf"]));
    assert_eq!(code, 1, "{error}");
    assert_eq!(error.matches("Address already in use").count(), 1, "{error}");
    assert!(error.contains(&format!("try: `ss -lnp 'sport = :{}'`", addr.port())), "{error}");
    let (code, _, error) = run(node(dir.path()).args(["--dev", "--data", "crs.conf/x"]));
    assert_eq!(code, 64, "{error}");
    assert!(error.contains("cannot make the folder crs.conf/x: "), "{error}");
}

/// The hint of a refused start names the files of that start.
#[test]
fn a_refused_start_names_the_check_that_explains_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("my pool");
    std::fs::create_dir(&folder).unwrap();
    write(&folder, &[("crs.conf", &format!("key {KEY}\nip crs1 192.0.2.1\nkeepalive x\n"))]);
    let (code, _, error) =
        run(node(dir.path()).args(["--config", "my pool/crs.conf", "--set", "data-dir a b"]));
    assert_eq!(code, 64, "{error}");
    let command = error.split('`').nth(1).unwrap();
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_crs-node")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut pasted = std::process::Command::new("sh");
    let (code, out, _) = run(pasted.args(["-c", command]).current_dir("/").env("PATH", path));
    assert_eq!(code, 64, "{command}");
    for part in ["my pool/crs.conf:3: expected a directive", "--set: data-dir: expected the end"] {
        assert!(out.contains(part), "{command}: {part:?} not in\n{out}");
    }
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
