//! `crs-client enrol` with what is no bundle: which file, and what to do.

use std::process::Command;

fn told(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_crs-client"))
        .args(["--profile", "/nonexistent/profile"])
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .env_remove("CRS_PIN")
        .env_remove("CRS_PROFILE")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_bundle_that_is_not_there_is_named_with_what_to_do() {
    let missing = told(&["enrol", "/nonexistent", "--pin", "314159"]);
    assert!(missing.contains("there is no file /nonexistent; name the file"), "{missing}");
    assert!(missing.contains(".crsenrol") && missing.contains("CMS administrator"), "{missing}");
    let folder = told(&["enrol", "/", "--pin", "314159"]);
    assert!(folder.contains("/ cannot be read: Is a directory"), "{folder}");
}

#[test]
fn a_file_that_is_no_bundle_and_a_missing_pin_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret.txt");
    std::fs::write(&file, "q83vEjRWeJCrze8S").unwrap();
    let path = file.to_str().unwrap();
    let other = told(&["enrol", path, "--pin", "314159"]);
    assert!(other.contains("enrolment bundle: this is not an enrolment bundle"), "{other}");
    let missing = told(&["enrol", path]);
    assert!(missing.contains("no terminal to ask for it: give --pin or set CRS_PIN"), "{missing}");
}

/// The hint names the profile that was named.
#[test]
fn who_is_not_enrolled_is_told_the_command() {
    let text = told(&["send", "+46700000001", "hello"]);
    assert!(text.contains("`crs-client --profile /nonexistent/profile enrol FILE`"), "{text}");
}
