//! `trace <element>`: prints events until ctrl-c, `--count` or `--for`.

use std::time::Duration;

use crs_admin_api::command::trace::{Element, Request as Ask};
use crs_admin_api::{AdminError, Exit, Request, TraceItem};
use crs_types::{Clock, SystemClock};

use crate::args::{Global, Output, Trace, TraceElement};
use crate::client::{Client, Next, PATIENCE};
use crate::output;

/// How long one wait may be; the connection is told apart from silence by its end.
const WAIT: Duration = Duration::from_secs(3600);

pub(crate) fn run(global: &Global, args: &Trace) -> Result<Exit, AdminError> {
    let clock = SystemClock::new();
    let end = args.duration.map(|duration| clock.mono().plus(duration));
    let request = Ask { element: element(&args.element), verbose: global.verbose };
    let mut client = Client::connect(&global.socket)?;
    client.ask(&Request::Trace(request), PATIENCE)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let wait = match end {
            Some(end) => end.since(clock.mono()).min(WAIT),
            None => WAIT,
        };
        if wait.is_zero() {
            break;
        }
        match client.next_item(wait)? {
            Next::Item(item) => {
                output::print(&line(&item, global))?;
                left -= u64::from(!matches!(*item, TraceItem::Dropped(_)));
            }
            Next::Nothing => {}
        }
    }
    Ok(Exit::Ok)
}

fn line(item: &TraceItem, global: &Global) -> String {
    let line = match global.output {
        None | Some(Output::Table) => item.line(global.verbose),
        Some(Output::Tsv) => item.tsv(global.verbose),
        Some(Output::Json) => item.json(global.verbose).to_string(),
    };
    line + "\n"
}

fn element(element: &TraceElement) -> Element {
    match element {
        TraceElement::Attach => Element::Attach,
        TraceElement::Session => Element::Session,
        TraceElement::Message => Element::Message,
        TraceElement::Connection => Element::Connection,
        TraceElement::Event => Element::Event,
        TraceElement::Client { account, uri } => {
            Element::Client { account: account.clone(), uri: uri.clone() }
        }
    }
}
