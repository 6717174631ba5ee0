//! Hints and remedies come from where nobody knows how this program was called: here they become
//! commands that reach the same node when they are pasted.

use std::ffi::OsString;

use crs_admin_api::command::doctor::Reply as Findings;
use crs_admin_api::{AdminError, Code, Reply};
use crs_types::shell;

use crate::args::{DEFAULT_SOCKET, Global};
use crate::output;

/// The error with commands that reach the same node.
pub(super) fn of_error(error: AdminError, global: &Global) -> AdminError {
    if error.is(Code::NoPermission) {
        let words: Vec<OsString> = std::env::args_os().skip(1).collect();
        let Some(command) = as_root(&words, global) else { return error };
        let hint = format!("run it as root: `{command}`, or as the user that the node runs as");
        return AdminError { hint, ..error };
    }
    let hint = shell::hint_with_options(&error.hint, "crs-cli", &output::reaching(global));
    AdminError { hint, ..error }
}

/// The reply, likewise.
pub(super) fn of_reply(reply: Reply, global: &Global) -> Reply {
    let Reply::ShowNode(mut nodes) = reply else { return reply };
    let options = output::reaching(global);
    nodes.next = nodes.next.map(|next| shell::hint_with_options(&next, "crs-cli", &options));
    Reply::ShowNode(nodes)
}

/// The findings, likewise: each remedy is a command by itself.
pub(super) fn of_findings(findings: &mut Findings, global: &Global) {
    let options = output::reaching(global);
    for fix in findings.checks.iter_mut().filter_map(|check| check.fix.as_mut()) {
        *fix = shell::with_options(fix, "crs-cli", &options);
    }
}

/// The same command with sudo, which passes no environment on. A secret on the command line is
/// not repeated.
fn as_root(words: &[OsString], global: &Global) -> Option<String> {
    let words: Vec<&str> = words.iter().map(|word| word.to_str()).collect::<Option<_>>()?;
    if words.iter().any(|word| word.starts_with("-s")) {
        return None;
    }
    let named = words.iter().any(|word| *word == "--socket" || word.starts_with("--socket="));
    let mut command = "sudo crs-cli".to_owned();
    if !named && global.socket.as_os_str() != DEFAULT_SOCKET {
        command = format!("{command} {}", output::socket_option(&global.socket));
    }
    for word in words {
        command.push(' ');
        command.push_str(&shell::word(word));
    }
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(socket: &str) -> Global {
        Global { socket: socket.into(), output: None, no_header: false, verbose: false }
    }

    #[test]
    fn the_command_as_root_is_the_same_one_and_repeats_no_secret() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let line = words("show attach police");
        assert_eq!(
            as_root(&line, &global(DEFAULT_SOCKET)).unwrap(),
            "sudo crs-cli show attach police"
        );
        assert_eq!(
            as_root(&line, &global("/my run/crs.sock")).unwrap(),
            "sudo crs-cli --socket '/my run/crs.sock' show attach police"
        );
        let named = words("--socket /x show node");
        assert_eq!(as_root(&named, &global("/x")).unwrap(), "sudo crs-cli --socket /x show node");
        assert_eq!(as_root(&words("create account police -sAAEC"), &global("/x")), None);
    }
}
