//! `doctor`: the node's checks, or with `--pre` this machine's before a node is installed.

use std::time::Duration;

use crs_admin_api::command::doctor::{Check, Reply as Findings, Request as Ask, Verdict};
use crs_admin_api::command::show_version;
use crs_admin_api::view::Render;
use crs_admin_api::{AdminError, Code, Exit, Reply, Request};
use crs_types::{Clock, SystemClock, shell};

use super::hints;
use crate::args::{Doctor, Global, Output};
use crate::client::Client;
use crate::{output, pre};

/// The node's checks touch disk and network.
const PATIENCE: Duration = Duration::from_secs(60);
/// A node that hangs is found out by a question that needs neither.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// Between two rounds of `--wait`.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn run(global: &Global, args: &Doctor) -> Result<Exit, AdminError> {
    let clock = SystemClock::new();
    let end = clock.mono().plus(args.wait.unwrap_or_default());
    let mut findings = look(global, args)?;
    while findings.result != Verdict::Ok && !end.since(clock.mono()).is_zero() {
        std::thread::sleep(PAUSE.min(end.since(clock.mono())));
        findings = look(global, args)?;
    }
    hints::of_findings(&mut findings, global);
    let exit = findings.exit();
    if args.short {
        findings.checks.retain(|check| check.result != Verdict::Ok);
    }
    match global.output {
        None | Some(Output::Table) => {
            output::print(&findings.report(output::options(global).colour))?
        }
        Some(Output::Json | Output::Tsv) => output::print_view(&findings.view(), global)?,
    }
    Ok(exit)
}

/// One round. A node that does not answer is a finding like any other.
fn look(global: &Global, args: &Doctor) -> Result<Findings, AdminError> {
    let findings = if args.pre {
        Findings::of(pre::checks(args))
    } else {
        match ask(global, args, SIGN_OF_LIFE) {
            Ok(findings) => findings,
            Err(error) => Findings::of(vec![unanswered(&error, global)]),
        }
    };
    let unknown = findings.checks.is_empty() && !args.only.is_empty();
    if unknown {
        let message = format!("no check or group is called {}", args.only.join(", "));
        let hint = "see `crs-cli doctor` for the names";
        return Err(AdminError::with_hint(Code::Usage, message, hint));
    }
    Ok(findings)
}

fn ask(global: &Global, args: &Doctor, life: Duration) -> Result<Findings, AdminError> {
    let mut client = Client::connect(&global.socket)?;
    client.ask(&Request::ShowVersion(show_version::Request {}), life)?;
    let request = Request::Doctor(Ask { only: args.only.clone(), pool: args.pool });
    let Reply::Doctor(findings) = client.ask(&request, PATIENCE)? else {
        return Err(AdminError::new(Code::Malformed, "the node answered something else"));
    };
    Ok(findings)
}

/// The remedy is the command of the hint that comes first, unless that is this one.
fn unanswered(error: &AdminError, global: &Global) -> Check {
    let error = hints::of_error(error.clone(), global);
    let check = Check::ok("node", "node-answers", "the node does not answer");
    let mut commands = shell::commands(&error.hint);
    let fix = if error.is(Code::Timeout) { Some("systemctl status crs") } else { commands.next() };
    check.finding(Verdict::Fail, error.message.clone(), fix.unwrap_or(&error.hint))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// The kernel connects; nobody ever answers. The remedy is not to ask the doctor.
    #[test]
    fn a_node_that_hangs_is_a_finding_after_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("crs.sock");
        let _mute = UnixListener::bind(&socket).unwrap();
        let global = Global { socket, output: None, no_header: false, verbose: false };
        let args = Doctor {
            short: false,
            pre: false,
            pool: false,
            wait: None,
            only: Vec::new(),
            name: None,
            data: std::env::temp_dir(),
        };
        let error = ask(&global, &args, Duration::from_millis(50)).unwrap_err();
        assert!(error.is(Code::Timeout), "{error:?}");
        let check = unanswered(&error, &global);
        assert_eq!(check.result, Verdict::Fail);
        assert_eq!(check.fix.as_deref(), Some("systemctl status crs"));
    }
}
