//! Who a client is: its user, where to connect, whom to trust and its keys per month.

use crs_types::{AccountId, DeviceId, Generation, Period, Secret, Timestamp, Uri};
use serde::{Deserialize, Serialize};

/// Everything a client needs to be a user. Kept in a profile, or made in memory for tests and
/// for the health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user's account.
    pub account: AccountId,
    /// The user.
    pub uri: Uri,
    /// This device.
    pub device: DeviceId,
    /// Servers as `host:port`, tried in turn.
    pub servers: Vec<String>,
    /// How to recognise a server.
    pub trust: ServerTrust,
    /// The key to which monthly packages are sealed (X-Wing seed, 32 bytes); `None` for identities that never rotate.
    pub enrolment_key: Option<Secret>,
    /// Keys by month, newest first. Old ones are kept for as long as messages may wait.
    pub keys: Vec<PeriodKeys>,
    /// Serial of the trust list in use.
    pub trust_serial: u64,
    /// CAs that this user's own CMS named, its own account's first.
    pub cas: Vec<TrustedAccount>,
}

/// How a client recognises a server (design.md §4 *Server identity*).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerTrust {
    /// The certificates of the pool's CA (X.509 DER).
    PoolCa(Vec<Vec<u8>>),
    /// A certificate of the public PKI for this name; `roots` are the accepted root
    /// certificates (X.509 DER), read from the system at enrolment.
    PublicPki {
        /// The name that the certificate must be for.
        name: String,
        /// Accepted roots.
        roots: Vec<Vec<u8>>,
    },
}

/// The CAs of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedAccount {
    /// The account.
    pub account: AccountId,
    /// Its CA certificates (X.509 DER).
    pub cas: Vec<Vec<u8>>,
}

/// A user's keys of one month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodKeys {
    /// The month.
    pub period: Period,
    /// Their generation.
    pub generation: Generation,
    /// Serial of the update file they came with; 0 for those of the enrolment bundle.
    pub serial: u64,
    /// Signing certificate, also the TLS client certificate (X.509 DER).
    pub sign_cert: Vec<u8>,
    /// Its private key (P-256 scalar, 32 bytes).
    pub sign_key: Secret,
    /// The encapsulation keys; `None` until the first key update after enrolment.
    pub kem: Option<KemKeys>,
}

/// The keys that open messages of one month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KemKeys {
    /// Encapsulation certificate (COSE, docs/protocol-e2e.md).
    pub cert: Vec<u8>,
    /// Its private key (X-Wing seed, 32 bytes).
    pub seed: Secret,
}

impl Identity {
    /// The keys to connect and sign with at `now`: of the newest month that has begun.
    /// Falls back to the newest there are, which the server will refuse by name.
    pub fn current_keys(&self, now: Timestamp) -> Option<&PeriodKeys> {
        let today = Period::at(now);
        let begun = self.keys.iter().filter(|k| k.period <= today);
        begun
            .max_by_key(|k| (k.period, k.generation, k.serial))
            .or_else(|| self.keys.iter().min_by_key(|k| k.period))
    }

    /// The CAs of an account, if this user's CMS named it.
    pub fn cas_of(&self, account: &AccountId) -> Option<&[Vec<u8>]> {
        self.cas.iter().find(|t| t.account == *account).map(|t| t.cas.as_slice())
    }

    /// Adds or replaces the keys of a month and drops those that nothing can wait for any more.
    pub fn store_keys(&mut self, keys: PeriodKeys, now: Timestamp) {
        self.keys.retain(|k| (k.period, k.generation) != (keys.period, keys.generation));
        self.keys.push(keys);
        self.keys.sort_by_key(|k| std::cmp::Reverse((k.period, k.generation)));
        let keep = crs_types::limits::MESSAGE_RETENTION + crs_types::period::GRACE;
        let newest = self.keys.first().map(|k| k.period);
        self.keys.retain(|k| Some(k.period) == newest || now < k.period.end().plus(keep));
    }
}
