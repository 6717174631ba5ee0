//! Public domain files: how two organisations connect. The file holds no secret; its fingerprint
//! is compared by another way (by telephone), because who swaps it could pose as the domain.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crs_keys::cbor::Bytes;
use crs_keys::trust;
use crs_types::AccountId;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::{Domain, DomainError};

/// Largest public file in bytes.
pub const PUBLIC_FILE_MAX: usize = 256 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PublicFile {
    crs_public_domain: u32,
    account: AccountId,
    cas: Vec<String>,
}

/// Another domain as its public file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicDomain {
    /// Its account.
    pub account: AccountId,
    /// Its CAs.
    pub cas: Vec<CertificateDer<'static>>,
}

impl PublicDomain {
    /// Our own, for export.
    pub fn of(domain: &Domain) -> Self {
        Self { account: domain.account().clone(), cas: domain.cas() }
    }

    /// The file.
    pub fn to_json(&self) -> String {
        let file = PublicFile {
            crs_public_domain: 1,
            account: self.account.clone(),
            cas: self.cas.iter().map(|ca| STANDARD.encode(ca)).collect(),
        };
        let mut text = serde_json::to_string_pretty(&file).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads and checks a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, DomainError> {
        let refuse = |text: String| DomainError::Public(text);
        if bytes.len() > PUBLIC_FILE_MAX {
            return Err(refuse(format!("more than {PUBLIC_FILE_MAX} bytes")));
        }
        let file: PublicFile =
            serde_json::from_slice(bytes).map_err(|error| refuse(error.to_string()))?;
        if file.crs_public_domain != 1 {
            return Err(refuse(format!("version {}, expected 1", file.crs_public_domain)));
        }
        let decode = |text: &String| STANDARD.decode(text).map(Bytes);
        let cas = file.cas.iter().map(decode).collect::<Result<Vec<_>, _>>();
        let cas = cas.map_err(|error| refuse(error.to_string()))?;
        let cas = trust::cas_from_wire(&cas).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { account: file.account, cas })
    }

    /// What both administrators compare: over account and CAs together.
    pub fn fingerprint(&self) -> String {
        trust::domain_fingerprint(&self.account, self.cas.iter().map(|ca| ca.as_ref()))
    }
}
