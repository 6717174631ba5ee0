//! Runs the binary.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crs_keys::bundle::{self, Bundle};
use crs_keys::update::{self, Pin};
use crs_types::{AccountId, Secret, Timestamp};
use serde_json::Value;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_794_700_800);
pub(crate) const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const USER: &str = "+46701234567";

pub(crate) fn crs_cms(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crs-cms"))
        .args(["--now", "2026-11-15T00:00:00Z", "--output", "json", "--dir"])
        .arg(dir)
        .args(args)
        .current_dir(dir.parent().unwrap())
        .output()
        .unwrap()
}

pub(crate) fn ok(dir: &Path, args: &[&str]) -> Value {
    let output = crs_cms(dir, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) fn fails(dir: &Path, exit: i32, args: &[&str]) -> Value {
    let output = crs_cms(dir, args);
    assert_eq!(output.status.code(), Some(exit), "{args:?}");
    assert!(output.stdout.is_empty(), "nothing but data on standard output");
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(!error["hint"].as_str().unwrap().is_empty());
    assert_eq!(error["exit"], exit);
    error
}

/// A domain `acme` in `<tmp>/acme` with one user.
pub(crate) fn domain() -> (tempfile::TempDir, std::path::PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("acme");
    let path = dir.to_str().unwrap();
    ok(
        &dir,
        &[
            "init",
            "--account",
            "acme",
            "--secret",
            SECRET,
            "--server",
            "crs1.example.org:5223",
            "--public-name",
            "crs1.example.org",
            path,
        ],
    );
    ok(&dir, &["user", "add", USER]);
    (temp, dir)
}

#[test]
fn an_update_file_made_by_the_command_is_applicable() {
    let (temp, dir) = domain();
    ok(&dir, &["team-code", "add", "ops", USER]);
    let first = ok(&dir, &["update", "create"]);
    assert_eq!(first["file"], "2026-11.upd");
    assert_eq!((&first["serial"], &first["users"]), (&1.into(), &1.into()));
    let second = ok(&dir, &["update", "create", "--period", "2026-12", "-o", "next.upd"]);
    assert_eq!(second["serial"], 2, "serials rise");

    assert_eq!(
        (&first["make_anew_until"], &second["make_anew_until"]),
        (&Value::Null, &Value::Null)
    );

    let secret = Secret::from_base64(SECRET).unwrap();
    let account = AccountId::parse("acme").unwrap();
    let key = first["cms_key"].as_str().unwrap().parse().unwrap();
    for (file, serial) in [("2026-11.upd", 1), ("next.upd", 2)] {
        let bytes = std::fs::read(temp.path().join(file)).unwrap();
        let opened = update::open(&bytes, &secret, &account, Pin::Key(&key)).unwrap();
        assert_eq!(opened.update.serial, serial);
        assert_eq!(opened.update.team_codes.len(), 1);
        assert!(update::admissible(&opened.update, NOW, Some(serial - 1), false).is_ok());
    }
    let shown = ok(&dir, &["fingerprint"]);
    assert_eq!(shown["fingerprint"], first["fingerprint"]);
    let past = fails(&dir, 1, &["update", "create", "--period", "2026-10"]);
    assert_eq!(past["code"], "past-period");
}

#[test]
fn an_enrolment_bundle_opens_with_the_printed_pin() {
    let (temp, dir) = domain();
    let made = ok(
        &dir,
        &[
            "enrol",
            USER,
            "-o",
            "a.crsenrol",
            "--qr-svg",
            "a.svg",
            "--qr-png",
            "a.png",
            "--qr-terminal",
        ],
    );
    let pin = made["pin"].as_str().unwrap();
    let bytes = std::fs::read(temp.path().join("a.crsenrol")).unwrap();
    let opened = Bundle::open(&bytes, pin, NOW).unwrap();
    assert_eq!(opened.uri.to_string(), USER);
    assert_eq!(bundle::from_text(made["text"].as_str().unwrap()).unwrap(), bytes);
    assert!(std::fs::read(temp.path().join("a.png")).unwrap().starts_with(b"\x89PNG"));
    let svg = std::fs::read_to_string(temp.path().join("a.svg")).unwrap();
    assert!(svg.contains("<svg"));
    let chosen = ok(&dir, &["enrol", USER, "--pin", "correct-horse", "-o", "b.crsenrol"]);
    assert_eq!(chosen["pin"], Value::Null, "a PIN that the user chose is not repeated");
    assert_eq!(fails(&dir, 2, &["enrol", USER, "--pin", "12345", "-o", "x"])["code"], "input");
    assert_eq!(fails(&dir, 1, &["enrol", "+46700000000", "-o", "x"])["code"], "no-user");
}

#[test]
fn key_files_are_private_and_their_secrets_never_printed() {
    let (_temp, dir) = domain();
    for name in ["domain.json", "keys.json", "lock"] {
        let mode = std::fs::metadata(dir.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    // Whatever is damaged, the error names the place and not the content.
    let keys = std::fs::read_to_string(dir.join("keys.json")).unwrap();
    std::fs::write(dir.join("keys.json"), keys.replace("\"v\"", "\"canary-in-key-file\"")).unwrap();
    let output = crs_cms(&dir, &["fingerprint"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("canary"));
}

#[test]
fn users_come_go_and_are_revoked() {
    let (temp, dir) = domain();
    let numbers = temp.path().join("numbers.txt");
    std::fs::write(&numbers, "# staff\n+46700000001\n\n0046700000002\n").unwrap();
    ok(&dir, &["user", "add", "--from", numbers.to_str().unwrap(), "--unlisted"]);
    assert_eq!(ok(&dir, &["user", "revoke", USER])["revoked"]["+46701234567"], 2);
    let removed = ok(&dir, &["user", "remove", "tel:+46700000001"]);
    assert_eq!(removed["removed"][0], "+46700000001");
    assert_eq!(ok(&dir, &["user", "add", "+46700000001"])["added"][0], "+46700000001");
    let list = ok(&dir, &["user", "list"]);
    let row = |index: usize| (list[index]["uri"].clone(), list[index]["generation"].clone());
    assert_eq!(row(0), ("+46700000001".into(), 2.into()), "old keys are not revived");
    assert_eq!(list[1]["listed"], false);
    assert_eq!(row(2), ("+46701234567".into(), 2.into()));
    assert_eq!(fails(&dir, 1, &["user", "add", USER])["code"], "user-exists");
    assert_eq!(fails(&dir, 1, &["user", "remove", "+46799999999"])["code"], "no-user");
    let test_client = "urn:x-crs:client:test-0-a";
    assert_eq!(fails(&dir, 1, &["user", "add", test_client])["code"], "test-client");
    std::fs::write(&numbers, "12\n").unwrap();
    let bad = fails(&dir, 2, &["user", "add", "--from", numbers.to_str().unwrap()]);
    assert!(bad["message"].as_str().unwrap().contains("numbers.txt:1"));
}

#[test]
fn wrong_use_says_what_to_do() {
    let temp = tempfile::tempdir().unwrap();
    let nowhere = temp.path().join("nowhere");
    assert_eq!(fails(&nowhere, 1, &["user", "list"])["code"], "no-domain");
    let (_keep, dir) = domain();
    let path = dir.to_str().unwrap();
    let init = ["init", "--account", "acme", "--secret", SECRET, path];
    assert_eq!(fails(&dir, 1, &init)["code"], "exists");
    let fresh = temp.path().join("fresh");
    let fresh = fresh.to_str().unwrap();
    let short = ["init", "--account", "acme", "--secret", "AAAA", fresh];
    assert_eq!(fails(&dir, 1, &short)["code"], "secret");
    let garbage = ["init", "--account", "acme", "--secret", "***", fresh];
    assert_eq!(fails(&dir, 2, &garbage)["code"], "input");
    let address = ["server", "--server", "no-port"];
    assert_eq!(fails(&dir, 2, &address)["code"], "input");
    let many = [["--server", "a:1"]; 17].concat();
    assert_eq!(fails(&dir, 1, &[&["server"], many.as_slice()].concat())["code"], "limit");
    let huge = temp.path().join("huge");
    std::fs::File::create(&huge).unwrap().set_len(16 * 1024 * 1024 + 1).unwrap();
    let from = ["user", "add", "--from", huge.to_str().unwrap()];
    assert_eq!(fails(&dir, 2, &from)["code"], "input");
    assert_eq!(crs_cms(&dir, &["no-such-command"]).status.code(), Some(2));
}

/// `crs-cms user list | head -1` in a script with `pipefail`.
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let (_temp, dir) = domain();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_crs-cms"))
        .arg("--dir")
        .arg(&dir)
        .args(["user", "list"])
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// The remedy fits what went wrong with the file.
#[test]
fn a_file_that_is_not_there_is_told_as_that() {
    let (_temp, dir) = domain();
    let missing = fails(&dir, 1, &["user", "add", "--from", "/nonexistent/numbers.txt"]);
    assert!(missing["message"].as_str().unwrap().contains("/nonexistent/numbers.txt"));
    assert!(missing["hint"].as_str().unwrap().contains("nothing of that name"), "{missing}");
}

#[test]
fn organisations_connect_by_public_files() {
    let (temp, acme) = domain();
    let rival = temp.path().join("rival");
    let path = rival.to_str().unwrap();
    let init = ["init", "--account", "rival", "--secret", SECRET, path];
    ok(&rival, &init);
    let exported = ok(&rival, &["export", "-o", "rival.crsdomain"]);
    let connected = ok(&acme, &["connect", "rival.crsdomain"]);
    assert_eq!(exported["fingerprint"], connected["fingerprint"]);
    assert_eq!(ok(&acme, &["connected"])[0]["account"], "rival");
    ok(&acme, &["disconnect", "RIVAL"]);
    assert_eq!(ok(&acme, &["connected"]), Value::Array(vec![]));
    assert_eq!(fails(&rival, 1, &["connect", "rival.crsdomain"])["code"], "public-file");
    std::fs::write(temp.path().join("junk"), "{}").unwrap();
    assert_eq!(fails(&acme, 1, &["connect", "junk"])["code"], "public-file");
}

#[test]
fn the_pool_ca_is_taken_from_pem_or_der_and_reaches_the_bundle() {
    use base64::Engine;
    let (temp, dir) = domain();
    let pool = crs_keys::pool_ca::PoolCa::generate(&mut crs_types::rng::OsRng, NOW).unwrap();
    let der = pool.certificate().as_ref();
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    std::fs::write(temp.path().join("ca.pem"), pem).unwrap();
    std::fs::write(temp.path().join("ca.der"), der).unwrap();
    for file in ["ca.pem", "ca.der"] {
        ok(&dir, &["server", "--server", "[2001:db8::1]:5223", "--server-ca", file]);
        let made = ok(&dir, &["enrol", USER, "-o", "a.crsenrol"]);
        let bytes = std::fs::read(temp.path().join("a.crsenrol")).unwrap();
        let opened = Bundle::open(&bytes, made["pin"].as_str().unwrap(), NOW).unwrap();
        assert_eq!(opened.server, bundle::ServerTrust::PoolCa(der.into()));
        assert_eq!(opened.addresses, ["[2001:db8::1]:5223"]);
    }
    std::fs::write(temp.path().join("junk"), "junk").unwrap();
    assert_eq!(fails(&dir, 2, &["server", "--server-ca", "junk"])["code"], "input");
}
