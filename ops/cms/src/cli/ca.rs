//! `crs-cms ca`.

use std::path::Path;

use crs_types::Timestamp;
use serde_json::json;

use super::CliError;
use super::args::CaCommand;
use super::output::{Report, table};
use crate::Domain;

pub(super) fn run(dir: &Path, command: CaCommand, now: Timestamp) -> Result<Report, CliError> {
    let mut domain = Domain::open(dir)?;
    match command {
        CaCommand::List => Ok(list(&domain)),
        CaCommand::Remove { fingerprint, compromised } => {
            let removed = domain.remove_ca(&fingerprint.join(" "), compromised, now)?;
            let text = format!(
                "removed {}\n\nnext: make and apply the update file of this month, and again that of next month if it\n\
                 has been applied; until then the CRS trusts the CA. Whoever has no keys that another CA has\n\
                 certified must enrol again. Export our public file again for connected organisations.\n",
                removed.fingerprint,
            );
            Ok(Report::new(text, json!({ "removed": removed.fingerprint })))
        }
    }
}

fn list(domain: &Domain) -> Report {
    let cas = domain.ca_list();
    let state = |until: Option<Timestamp>| match until {
        None => "issues".to_owned(),
        Some(until) => format!("needed until {until}"),
    };
    let rows: Vec<_> = cas
        .iter()
        .map(|ca| vec![ca.fingerprint.clone(), ca.made.to_string(), state(ca.needed_until)])
        .collect();
    let json: Vec<_> = cas
        .iter()
        .map(|ca| {
            json!({
                "fingerprint": ca.fingerprint, "made": ca.made.to_string(),
                "issues": ca.needed_until.is_none(),
                "needed_until": ca.needed_until.map(|until| until.to_string()),
            })
        })
        .collect();
    Report::new(table(&["FINGERPRINT", "MADE", "STATE"], &rows), json)
}
