//! An update file as a stranger's COSE library reads it (pycose), when Python has it.
//!
//! `scripts/test` or CI install tests/third_party/requirements.txt; without it this says so and
//! passes, unless `CRS_REQUIRE_THIRD_PARTY` is set.

use std::path::Path;
use std::process::Command;

use crate::cli::{SECRET, domain, ok};

#[test]
fn pycose_opens_an_update_file_and_verifies_its_signature() {
    let required = std::env::var_os("CRS_REQUIRE_THIRD_PARTY").is_some();
    let python = std::env::var("CRS_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import pycose, cbor2, cryptography"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        assert!(!required, "{python} lacks tests/third_party/requirements.txt");
        eprintln!("skipped: {python} has no pycose, cbor2, cryptography");
        return;
    }
    let (temp, dir) = domain();
    let made = ok(&dir, &["update", "create", "-o", "a.upd"]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(&python)
        .arg(root.join("tests/third_party/test_update_cose.py"))
        .args(["--file", temp.path().join("a.upd").to_str().unwrap()])
        .args(["--secret", SECRET, "--account", "acme", "--users", "1"])
        .args(["--cms-key", made["cms_key"].as_str().unwrap()])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}
