//! What is printed as the next step works when it is pasted into a shell, in the folder where the
//! first command ran.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crs_types::shell;

use crate::cli::SECRET;

fn paste(folder: &Path, line: &str) -> Output {
    let programs = PathBuf::from(env!("CARGO_BIN_EXE_crs-cms"));
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", programs.parent().unwrap().display()))
        .env("CRS_CMS_NOW", "2026-11-15T00:00:00Z")
        .env_remove("CRS_CMS_DIR")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

fn ok(folder: &Path, line: &str) -> String {
    let output = paste(folder, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The command behind a label.
fn next(text: &str, label: &str) -> String {
    let found = text.split_once(label).unwrap_or_else(|| panic!("no {label:?} in {text}")).1;
    found.lines().next().unwrap().trim().to_owned()
}

#[test]
fn every_next_step_leads_on() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    // A folder whose name a shell would break, and another that is not the current one.
    let made = ok(
        folder,
        &format!(
            "crs-cms init --account acme --secret {SECRET} --server h:1 --public-name h 'my org'"
        ),
    );
    assert!(made.contains("on the CRS:  the first update file is applied with this fingerprint"));
    let add = next(&made, "next here:").replace("NUMBER", "+46701234567 +46701234568");
    let added = ok(folder, &add);
    let create = next(&added, "next:");
    let created = ok(folder, &create);
    assert!(created.contains("serial 1"), "{created}");
    let apply = next(&created, "next on the CRS:");
    let print = ok(folder, "crs-cms --dir 'my org' fingerprint");
    let print = next(&print, "CMS fingerprint");
    let expected =
        format!("crs-cli apply 2026-11.upd --confirm-fingerprint {}", shell::word(&print));
    assert_eq!(apply, expected);
    let revoked = ok(folder, "crs-cms --dir 'my org' user revoke +46701234568");
    assert!(ok(folder, &next(&revoked, "next:")).contains("serial 2"));
    let rotated = ok(folder, "crs-cms --dir 'my org' rotate cms-key");
    assert!(ok(folder, &next(&rotated, "next:")).contains("serial 3"));
    ok(folder, "crs-cms init --account rival ./rival && crs-cms --dir rival export -o r.crsdomain");
    let connected = ok(folder, "crs-cms --dir 'my org' connect r.crsdomain");
    assert!(ok(folder, &next(&connected, "to undo:")).contains("disconnected rival"));
}

/// A secret that was made here is not on the CRS yet, and the account neither.
#[test]
fn a_new_secret_goes_to_the_crs_with_the_account() {
    let temp = tempfile::tempdir().unwrap();
    let made = ok(temp.path(), "crs-cms init --account acme ./acme");
    let create = next(&made, "on the CRS:");
    let (secret, key) = (next(&made, "secret "), next(&made, "CMS key"));
    assert_eq!(create, format!("crs-cli create account acme -s {secret} --cms-key {key}"));
}

#[test]
fn the_commands_of_hints_work_on_the_same_domain() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    ok(folder, &format!("crs-cms init --account acme --secret {SECRET} --server h:1 'my org'"));
    ok(folder, "crs-cms --dir 'my org' user add +46701");
    for wrong in [
        "crs-cms --dir nowhere user list",
        "crs-cms --dir 'my org' user add +46701",
        "crs-cms --dir 'my org' user remove +46702",
        "crs-cms --dir 'my org' enrol +46701 -o x.crsenrol",
        "crs-cms --dir 'my org' team-code remove ops",
        "crs-cms --dir 'my org' disconnect rival",
        "crs-cms --dir 'my org' update create --period 2026-10",
    ] {
        let refused = paste(folder, wrong);
        let told = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{wrong}: {told}");
        let commands: Vec<&str> = shell::commands(&told).collect();
        assert_eq!(commands.len(), 1, "{wrong}: {told}");
        ok(folder, commands[0]);
    }
}

/// A CRS refuses what is older than the file in force, whatever its month.
#[test]
fn a_file_of_a_month_before_the_latest_tells_which_to_make_anew() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let init = "crs-cms init --account acme --server h:1 --public-name h 'my org' --secret";
    ok(folder, &format!("{init} {SECRET}"));
    let create = "crs-cms --dir 'my org' update create";
    assert!(!ok(folder, create).contains("warning"), "the first month");
    assert!(!ok(folder, &format!("{create} --period 2026-12")).contains("warning"));
    let again = ok(folder, create);
    assert!(again.contains("warning: files of later months"), "{again}");
    let anew = next(&again, "make them anew:");
    assert!(anew.ends_with("update create --period 2026-12"), "{anew}");
    let made = ok(folder, &anew);
    assert!(made.contains("serial 4") && !made.contains("warning"), "{made}");
}
