//! `doctor`: the node's checks, or with `--pre` this machine's before a node is installed.

use std::time::Duration;

use crs_admin_api::command::doctor::{Check, Reply as Findings, Request as Ask, Verdict};
use crs_admin_api::view::Render;
use crs_admin_api::{AdminError, Code, Exit, Reply, Request};
use crs_types::{Clock, SystemClock};

use crate::args::{Doctor, Global, Output};
use crate::client::Client;
use crate::{output, pre};

/// The node's checks touch disk and network.
const PATIENCE: Duration = Duration::from_secs(60);
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
        match ask(global, args) {
            Ok(findings) => findings,
            Err(error) => Findings::of(vec![unanswered(&error)]),
        }
    };
    let known = findings.checks.is_empty() && !args.only.is_empty();
    if known {
        let message = format!("no check or group is called {}", args.only.join(", "));
        let hint = "see `crs-cli doctor` for the names";
        return Err(AdminError::with_hint(Code::Usage, message, hint));
    }
    Ok(findings)
}

fn ask(global: &Global, args: &Doctor) -> Result<Findings, AdminError> {
    let request = Request::Doctor(Ask { only: args.only.clone(), pool: args.pool });
    let Reply::Doctor(findings) = Client::connect(&global.socket)?.ask(&request, PATIENCE)? else {
        return Err(AdminError::new(Code::Malformed, "the node answered something else"));
    };
    Ok(findings)
}

fn unanswered(error: &AdminError) -> Check {
    let check = Check::ok("node", "node-answers", "the node does not answer");
    check.finding(Verdict::Fail, error.message.clone(), &error.hint)
}
