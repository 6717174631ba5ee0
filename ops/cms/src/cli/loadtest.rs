//! `crs-cms loadtest-export` (hidden): every user's first keys without a PIN, for `crs-load`,
//! which attaches thousands of users. One JSON object a line; the first one is the domain.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crs_keys::bundle::ServerTrust;
use crs_types::Timestamp;
use serde_json::json;

use super::CliError;
use super::output::Report;
use crate::store::write_private;
use crate::{Domain, enrol};

pub(super) fn run(dir: &Path, out: &Path, now: Timestamp) -> Result<Report, CliError> {
    let domain = Domain::open(dir)?;
    let server = domain.server();
    let server_ca = match &server.trust {
        Some(ServerTrust::PoolCa(ca)) => Some(STANDARD.encode(ca.as_slice())),
        Some(ServerTrust::PublicName(_)) | None => None,
    };
    let cas: Vec<String> = domain.cas().iter().map(|ca| STANDARD.encode(ca)).collect();
    let mut text = json!({
        "v": 1, "account": domain.account(), "addresses": server.addresses,
        "server_ca": server_ca, "cas": cas,
    })
    .to_string();
    text.push('\n');
    for uri in domain.users().keys() {
        let bundle = enrol::bundle(&domain, uri, now)?;
        let identity = bundle.identity().map_err(|error| CliError::Input {
            message: error.to_string(),
            hint: "make the domain again",
        })?;
        let line = json!({
            "uri": uri, "period": identity.period, "generation": identity.generation,
            "sign_cert": STANDARD.encode(&bundle.sign_cert),
            "sign_key": bundle.sign_key.scalar().to_base64().as_str(),
            "enrolment_key": bundle.enrolment_key.seed().to_base64().as_str(),
        });
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{line}");
    }
    write_private(out, text.as_bytes())?;
    let users = domain.users().len();
    Ok(Report::new(format!("wrote {users} users"), json!({ "users": users })))
}
