//! What goes to standard output: the same fields in every form, nothing but data, exit codes.

use crs_admin_api::command::doctor::{Check, Reply as Findings, Verdict};
use crs_admin_api::command::health_check::{Health, Reply as Report, Test};
use crs_admin_api::command::show_attach::AttachRow;
use crs_admin_api::{Reply, Request};

use crate::fake::{FakeNode, run_at, stderr, stdout};

fn row(n: usize) -> AttachRow {
    AttachRow {
        uri: format!("+4670{n:07}"),
        account: crs_types::AccountId::parse("police").unwrap(),
        time: n as u64,
        version: "crs-client 0.1.0".to_owned(),
        ip_port: "192.0.2.17:50312".to_owned(),
        crs: "crs1".to_owned(),
        key_exchange: "X25519MLKEM768".to_owned(),
        role: "primary".to_owned(),
        device: format!("device-{n}"),
        connection: n as u64,
    }
}

fn attached(count: usize) -> FakeNode {
    FakeNode::new(move |request| {
        assert!(matches!(request, Request::ShowAttach(_)));
        Ok(Reply::ShowAttach((0..count).map(row).collect()))
    })
}

#[test]
fn output_parity_of_table_json_and_tsv() {
    let node = attached(3);
    for (flags, columns) in [("", 6), ("--verbose", 10)] {
        let json = stdout(&node.run(&format!("show attach -o json {flags}")));
        let rows: Vec<serde_json::Map<String, serde_json::Value>> =
            serde_json::from_str(&json).unwrap();
        let tsv = stdout(&node.run(&format!("show attach -o tsv {flags}")));
        let table = stdout(&node.run(&format!("show attach {flags}")));
        assert!(rows.iter().all(|row| row.len() == columns));
        assert!(tsv.lines().all(|line| line.split('\t').count() == columns), "{tsv}");
        for (row, line) in rows.iter().zip(tsv.lines().skip(1)) {
            for value in row.values() {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                assert!(line.split('\t').any(|cell| cell == text), "{text} in {line}");
                assert!(table.contains(&text), "{text} in {table}");
            }
        }
    }
}

#[test]
fn the_columns_of_show_attach_are_those_of_the_manuals() {
    let table = stdout(&attached(1).run("show attach"));
    let heading: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heading, ["URI", "ACCOUNT", "TIME", "VERSION", "IP:PORT", "CRS"]);
}

#[test]
fn a_pipe_gets_no_colour_no_boxes_and_no_heading_when_told() {
    let node = attached(2);
    let text = stdout(&node.run("show attach"));
    assert!(!text.contains('\u{1b}') && !text.contains('│'), "{text}");
    assert_eq!(text.lines().count(), 3);
    assert_eq!(stdout(&node.run("show attach --no-header")).lines().count(), 2);
    assert_eq!(stdout(&node.run("show attach --no-header -o tsv")).lines().count(), 2);
}

#[test]
fn ten_thousand_clients_come_in_parts_and_are_all_printed() {
    let node = attached(10_000);
    let text = stdout(&node.run("show attach --no-header"));
    assert_eq!(text.lines().count(), 10_000);
    assert!(text.lines().last().unwrap().starts_with("+46700009999"));
}

fn health(result: Health) -> FakeNode {
    FakeNode::new(move |_| {
        let description = "50 of 50 packets".to_owned();
        let test = Test { name: "call".to_owned(), result, description, ms: 812 };
        Ok(Reply::HealthCheck(Report::of(
            "crs1".into(),
            "2026-11-21T08:00:00.000Z".into(),
            vec![test],
        )))
    })
}

#[test]
fn health_check_prints_json_by_default_and_exits_with_0_1_or_3() {
    for (result, exit, word) in
        [(Health::Ok, 0, "ok"), (Health::Error, 1, "error"), (Health::Warning, 3, "warning")]
    {
        let node = health(result);
        let output = node.run("health-check account police --local-only");
        assert_eq!(output.status.code(), Some(exit));
        let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(report["result"], word);
        assert_eq!(report["tests"][0]["description"], "50 of 50 packets");
        let summary = node.run("health-check system --output-format summary");
        assert_eq!((stdout(&summary), summary.status.code()), (format!("{word}\n"), Some(exit)));
        let tsv = stdout(&node.run("health-check system --output-format tsv"));
        assert_eq!(
            tsv,
            format!("NAME\tRESULT\tDESCRIPTION\tMS\ncall\t{word}\t50 of 50 packets\t812\n")
        );
    }
}

#[test]
fn doctor_names_cause_fix_and_page_of_every_finding() {
    let node = FakeNode::new(|_| {
        let disk = Check::ok("storage", "disk", "3 MiB free");
        Ok(Reply::Doctor(Findings::of(vec![
            Check::ok("storage", "store", "open"),
            disk.finding(Verdict::Fail, "nearly full", "df -h"),
        ])))
    });
    let output = node.run("doctor --output json");
    assert_eq!(output.status.code(), Some(1));
    let findings: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let checks = findings["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 2);
    for check in checks.iter().filter(|check| check["result"] != "ok") {
        assert!(check["cause"].is_string() && check["fix"].is_string() && check["doc"].is_string());
    }
    let short = stdout(&node.run("doctor --short"));
    assert!(
        !short.contains("store  ") && short.contains("docs/troubleshooting.md#disk"),
        "{short}"
    );
}

#[test]
fn doctor_without_a_node_finds_that_out() {
    let output = run_at(std::path::Path::new("/nonexistent"), "doctor -o json");
    assert_eq!(output.status.code(), Some(1));
    let findings: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(findings["checks"][0]["name"], "node-answers");
    assert!(findings["checks"][0]["fix"].as_str().unwrap().contains("systemctl status"));
}

#[test]
fn doctor_before_installation_needs_no_node_and_has_at_least_twelve_checks() {
    let output = run_at(std::path::Path::new("/nonexistent"), "doctor --pre -o json --data /tmp");
    let findings: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(findings["checks"].as_array().unwrap().len() >= 12);
    assert_eq!(stderr(&output), "");
}

#[test]
fn shared_secrets_have_the_length_asked_for() {
    use base64::Engine;
    let nowhere = std::path::Path::new("/nonexistent");
    for (flags, bytes) in [("", 16), ("-B32", 32), ("-B 32", 32), ("-b 128", 16), ("-b129", 17)] {
        let output = run_at(nowhere, &format!("create sharedSecret {flags}"));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = stdout(&output);
        let decoded = base64::engine::general_purpose::STANDARD.decode(text.trim()).unwrap();
        assert_eq!(decoded.len(), bytes, "{flags}");
    }
    let json = stdout(&run_at(nowhere, "create sharedSecret -o json"));
    let made: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(made["shared_secret"].is_string());
}

#[test]
fn create_account_sends_what_was_asked() {
    let node = FakeNode::new(|request| {
        let Request::CreateAccount(request) = request else { panic!("{request:?}") };
        assert_eq!(request.bytes, Some(32));
        assert_eq!(request.cms_key.as_deref(), Some("KEY"));
        Ok(Reply::CreateAccount(crs_admin_api::command::create_account::Reply {
            id: request.account.clone(),
            path: "/opt/crs/accounts/police".to_owned(),
            shared_secret: crs_admin_api::SecretText::new("made"),
            cms_key: "3f2a".to_owned(),
        }))
    });
    let output = node.run("create account police -B32 --cms-key KEY");
    assert_eq!(
        stdout(&output),
        "ID:            police\npath:          /opt/crs/accounts/police\nshared secret: made\n"
    );
}

#[test]
fn commands_are_listed_with_their_impact() {
    let output = run_at(std::path::Path::new("/nonexistent"), "commands -o json");
    let commands: Vec<serde_json::Value> = serde_json::from_str(&stdout(&output)).unwrap();
    let impact =
        |name: &str| commands.iter().find(|c| c["command"] == name).map(|c| c["impact"].clone());
    assert_eq!(impact("show attach"), Some("read".into()));
    assert_eq!(impact("delete account"), Some("change".into()));
    assert_eq!(impact("complete"), None);
}

#[test]
fn completion_asks_the_node_and_is_silent_without_one() {
    let node = FakeNode::new(|request| {
        let Request::Complete(request) = request else { panic!("{request:?}") };
        assert_eq!(request.prefix, "po");
        Ok(Reply::Complete(vec![crs_admin_api::command::complete::Value {
            value: "police".into(),
        }]))
    });
    assert_eq!(stdout(&node.run("complete -- show blacklist po")), "police\n");
    let output = run_at(std::path::Path::new("/nonexistent"), "complete -- show blacklist po");
    assert_eq!(
        (output.status.code(), stdout(&output), stderr(&output)),
        (Some(1), "".into(), "".into()),
        "the shell is told that no file belongs there"
    );
    let output = run_at(std::path::Path::new("/nonexistent"), "complete -- apply 20");
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), "".into()), "but here it does");
}

#[test]
fn a_reload_with_lines_it_does_not_understand_exits_with_3() {
    let node = FakeNode::new(|_| {
        Ok(Reply::ReloadAccount(vec![crs_admin_api::command::reload_account::ReloadRow {
            account: crs_types::AccountId::parse("police").unwrap(),
            blocked: 0,
            unblocked: 0,
            closed: 0,
            problems: vec!["line 3: expected a number".to_owned()],
        }]))
    });
    let output = node.run("reload account");
    assert_eq!(output.status.code(), Some(3));
    assert!(stdout(&output).contains("line 3: expected a number"));
}
