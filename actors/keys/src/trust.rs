//! Whom a user trusts: the CAs of the own account and of the connected ones, as the own CMS says.
//!
//! On the wire: COSE_Sign1 (ES256 by a CA of the account, external associated data
//! `crs-trust-v1`). A client accepts a new list when a CA of the list it has signed it and its
//! serial is not older, so that a CA can be replaced by naming the new one first.

use std::collections::BTreeMap;

use crs_types::AccountId;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::account_ca::AccountCa;
use crate::cbor::{self, Bytes, CborError};
use crate::cose::{self, CoseError};
use crate::derive;
use crate::identity::{self, IdentityError};

const PURPOSE: &str = "crs-trust-v1";
const VERSION: u64 = 1;
/// Most CAs of one account.
pub const CAS_MAX: usize = 16;
/// Most connected domains.
pub const CONNECTED_MAX: usize = 1000;

/// The CAs that a user's own CMS named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The own account.
    pub account: AccountId,
    /// Serial of the update file it comes from.
    pub serial: u64,
    /// CAs of the own account.
    pub cas: Vec<CertificateDer<'static>>,
    /// CAs of connected accounts.
    pub connected: BTreeMap<AccountId, Vec<CertificateDer<'static>>>,
}

/// A connected domain with its CAs, as files carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// The domain's CAs (X.509 DER).
    pub cas: Vec<Bytes>,
    /// The domain.
    pub account: AccountId,
}

/// Why a trust list was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The container.
    #[error("trust list: {0}")]
    Cose(#[from] CoseError),
    /// The content.
    #[error("trust list: {0}")]
    Cbor(#[from] CborError),
    /// It speaks of another account.
    #[error("trust list: expected account {expected}, it is of {found}")]
    Account {
        /// The account of the list in use.
        expected: AccountId,
        /// The account it names.
        found: AccountId,
    },
    /// It is older than the list in use.
    #[error("trust list: serial {found} is older than {current}")]
    Older {
        /// Serial of the list in use.
        current: u64,
        /// Serial of the one offered.
        found: u64,
    },
    /// Too many CAs or domains, none at all, or a domain twice.
    #[error("trust list: {0}")]
    Content(String),
    /// A CA that is none.
    #[error("trust list: {0}")]
    Ca(#[from] IdentityError),
}

#[derive(Serialize, Deserialize)]
struct Payload {
    v: u64,
    cas: Vec<Bytes>,
    serial: u64,
    account: AccountId,
    connected: Vec<Connected>,
}

impl Trust {
    /// A list as an enrolment bundle gives it: the own CAs only.
    pub fn initial(account: AccountId, cas: Vec<CertificateDer<'static>>) -> Self {
        Self { account, serial: 0, cas, connected: BTreeMap::new() }
    }

    /// The CAs to check a user of `account` against; empty when the account is not connected.
    pub fn cas_of(&self, account: &AccountId) -> &[CertificateDer<'static>] {
        if *account == self.account {
            return &self.cas;
        }
        self.connected.get(account).map_or(&[], Vec::as_slice)
    }

    /// Signs the list for the account's users.
    pub fn sign(&self, ca: &AccountCa) -> Vec<u8> {
        let payload = Payload {
            v: VERSION,
            cas: self.cas.iter().map(|ca| Bytes::from(ca.as_ref())).collect(),
            serial: self.serial,
            account: self.account.clone(),
            connected: connected_to_wire(&self.connected),
        };
        cose::sign(ca.key(), PURPOSE, cbor::encode(&payload))
    }

    /// Verifies a newer list by this one.
    pub fn accept(&self, bytes: &[u8]) -> Result<Self, TrustError> {
        let payload = cose::verify(bytes, PURPOSE, &self.cas)?;
        let payload: Payload = cbor::decode_versioned("a trust list", VERSION, &payload)?;
        if payload.account != self.account {
            let (expected, found) = (self.account.clone(), payload.account);
            return Err(TrustError::Account { expected, found });
        }
        if payload.serial < self.serial {
            return Err(TrustError::Older { current: self.serial, found: payload.serial });
        }
        let cas = cas_from_wire(&payload.cas)?;
        let connected = connected_from_wire(&payload.account, &payload.connected)?;
        Ok(Self { account: payload.account, serial: payload.serial, cas, connected })
    }
}

/// Connected domains in the form of files, in order of account.
pub fn connected_to_wire(
    connected: &BTreeMap<AccountId, Vec<CertificateDer<'static>>>,
) -> Vec<Connected> {
    let entry = |(account, cas): (&AccountId, &Vec<CertificateDer<'static>>)| Connected {
        cas: cas.iter().map(|ca| Bytes::from(ca.as_ref())).collect(),
        account: account.clone(),
    };
    connected.iter().map(entry).collect()
}

/// Connected domains from a file, checked: no domain twice, none the own one, usable CAs.
pub fn connected_from_wire(
    own: &AccountId,
    connected: &[Connected],
) -> Result<BTreeMap<AccountId, Vec<CertificateDer<'static>>>, TrustError> {
    if connected.len() > CONNECTED_MAX {
        let text = format!("{} connected domains, at most {CONNECTED_MAX}", connected.len());
        return Err(TrustError::Content(text));
    }
    let mut out = BTreeMap::new();
    for domain in connected {
        let cas = cas_from_wire(&domain.cas)?;
        if domain.account == *own || out.insert(domain.account.clone(), cas).is_some() {
            let text = format!("connected domain {} appears twice or is our own", domain.account);
            return Err(TrustError::Content(text));
        }
    }
    Ok(out)
}

/// What the administrators of two organisations compare: over account and CAs together. Whoever
/// swaps the file that is handed over could otherwise pose as the domain.
pub fn domain_fingerprint<'a>(account: &AccountId, cas: impl Iterator<Item = &'a [u8]>) -> String {
    let mut input = account.folded().into_bytes();
    for ca in cas {
        input.push(0);
        input.extend_from_slice(&derive::sha256(ca));
    }
    derive::fingerprint(&input)
}

/// CA certificates from a file, checked: 1 to [`CAS_MAX`] usable ones.
pub fn cas_from_wire(cas: &[Bytes]) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    if cas.is_empty() || cas.len() > CAS_MAX {
        let text = format!("expected 1 to {CAS_MAX} CA certificates, got {}", cas.len());
        return Err(TrustError::Content(text));
    }
    let checked = |ca: &Bytes| {
        let ca = CertificateDer::from(ca.0.clone());
        identity::verify_ca(&ca).map(|()| ca)
    };
    Ok(cas.iter().map(checked).collect::<Result<_, _>>()?)
}
