//! Running the program in a fresh folder.

use std::path::Path;
use std::process::{Command, Output};

/// A pool key for tests.
pub(crate) const KEY: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";

/// The program, ready for arguments, in a folder.
pub(crate) fn node(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crs-node"));
    command.current_dir(folder);
    command
}

/// Exit status, standard output, standard error.
pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// Writes files into a folder.
pub(crate) fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}
