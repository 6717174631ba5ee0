//! The users of a domain with their first keys, as `crs-cms loadtest-export` writes them.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crs_client::identity::TrustedAccount;
use crs_client::{Identity, PeriodKeys, ServerTrust};
use crs_types::{AccountId, DeviceId, Generation, Period, Secret, Uri};
use serde::Deserialize;

#[derive(Deserialize)]
struct Head {
    v: u32,
    account: AccountId,
    addresses: Vec<String>,
    server_ca: Option<String>,
    cas: Vec<String>,
}

#[derive(Deserialize)]
struct Line {
    uri: Uri,
    period: Period,
    generation: u32,
    sign_cert: String,
    sign_key: String,
    enrolment_key: String,
}

/// Users of one account.
#[derive(Debug, Clone)]
pub struct Users {
    /// Their identities, in order of number.
    pub identities: Vec<Identity>,
    /// The account's CAs (X.509 DER).
    pub account_cas: Vec<Vec<u8>>,
    /// The server's CAs (X.509 DER).
    pub server_cas: Vec<Vec<u8>>,
}

impl Users {
    /// Parses an export; `server` replaces the addresses in it.
    pub fn parse(text: &str, server: Option<&str>) -> anyhow::Result<Self> {
        let mut lines = text.lines();
        let head: Head = serde_json::from_str(lines.next().context("an empty export")?)?;
        anyhow::ensure!(head.v == 1, "export of version {}, expected 1", head.v);
        let server_cas: Vec<Vec<u8>> =
            head.server_ca.iter().map(decode).collect::<Result<_, _>>()?;
        anyhow::ensure!(!server_cas.is_empty(), "the domain does not say which CA the server has");
        let account_cas: Vec<Vec<u8>> = head.cas.iter().map(decode).collect::<Result<_, _>>()?;
        let servers = server.map_or(head.addresses, |server| vec![server.to_owned()]);
        let identities = lines
            .map(|line| {
                let line: Line = serde_json::from_str(line)?;
                let keys = PeriodKeys {
                    period: line.period,
                    generation: Generation(line.generation),
                    serial: 0,
                    sign_cert: decode(&line.sign_cert)?,
                    sign_key: Secret::new(decode(&line.sign_key)?),
                    kem: None,
                };
                Ok(Identity {
                    account: head.account.clone(),
                    uri: line.uri,
                    device: DeviceId::parse("load")?,
                    servers: servers.clone(),
                    trust: ServerTrust::PoolCa(server_cas.clone()),
                    enrolment_key: Some(Secret::new(decode(&line.enrolment_key)?)),
                    keys: vec![keys],
                    trust_serial: 0,
                    cas: vec![TrustedAccount {
                        account: head.account.clone(),
                        cas: account_cas.clone(),
                    }],
                })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { identities, account_cas, server_cas })
    }
}

fn decode(text: impl AsRef<[u8]>) -> anyhow::Result<Vec<u8>> {
    STANDARD.decode(text).context("base64 in the export")
}
