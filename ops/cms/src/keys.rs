//! The domain's keys, and the derivation of the users' keys from its master secret.
//!
//! Users' keys are a function of master, user, period and generation, so that a month that is
//! made again (because one user was added) does not change everybody's keys, and so that the file
//! of users holds no keys at all.

use crs_keys::account_ca::AccountCa;
use crs_keys::cbor::Bytes;
use crs_keys::derive;
use crs_keys::kem;
use crs_keys::p256::SigningKey;
use crs_keys::update::{CmsKey, Succession};
use crs_types::{AccountId, Generation, Period, Rng, Secret, Timestamp, Uri};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::DomainError;

/// In memory.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) account_secret: Secret,
    /// Newest first: the first issues, all are trusted.
    pub(crate) cas: Vec<AccountCa>,
    pub(crate) cms: CmsKey,
    pub(crate) succession: Succession,
    master: Secret,
}

/// In the key file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredKeys {
    v: u32,
    account_secret: Secret,
    master: Secret,
    cms_key: Secret,
    succession: Succession,
    cas: Vec<StoredCa>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCa {
    key: Secret,
    certificate: Bytes,
}

impl Keys {
    pub(crate) fn generate(
        account: &AccountId,
        account_secret: Secret,
        rng: &mut dyn Rng,
        now: Timestamp,
    ) -> Result<Self, DomainError> {
        Ok(Self {
            account_secret,
            cas: vec![AccountCa::generate(account.clone(), rng, now)?],
            cms: CmsKey::generate(rng),
            succession: Succession::default(),
            master: Secret::generate(rng, 32),
        })
    }

    /// The key that opens a user's packages. A new generation has a new one, so that a lost
    /// device gets nothing more.
    pub(crate) fn enrolment(&self, uri: &Uri, generation: Generation) -> kem::PrivateKey {
        let seed = self.derived("enrolment", uri, generation, None);
        kem::PrivateKey::from_seed(seed.expose()).expect("a derived seed has 32 bytes")
    }

    /// A user's signing and encapsulation key of a period.
    pub(crate) fn monthly(
        &self,
        uri: &Uri,
        generation: Generation,
        period: Period,
    ) -> (SigningKey, kem::PrivateKey) {
        let sign = self.derived("sign", uri, generation, Some(period));
        let kem = self.derived("kem", uri, generation, Some(period));
        let kem = kem::PrivateKey::from_seed(kem.expose()).expect("a derived seed has 32 bytes");
        (SigningKey::derive(sign.expose(), "crs-cms-sign-v1"), kem)
    }

    fn derived(
        &self,
        purpose: &str,
        uri: &Uri,
        generation: Generation,
        period: Option<Period>,
    ) -> Secret {
        let period = period.map(|period| period.to_string()).unwrap_or_default();
        let generation = generation.0.to_be_bytes();
        // Fixed-length generation and NUL separators keep two users' inputs apart.
        let info: [&[u8]; 8] = [
            b"crs-cms-v1 ",
            purpose.as_bytes(),
            b"\0",
            uri.as_str().as_bytes(),
            b"\0",
            &generation,
            period.as_bytes(),
            b"\0",
        ];
        Secret::new(derive::derive_with::<32>(self.master.expose(), &info).to_vec())
    }

    pub(crate) fn to_stored(&self) -> StoredKeys {
        let ca = |ca: &AccountCa| StoredCa {
            key: ca.key().scalar().clone(),
            certificate: ca.certificate().as_ref().into(),
        };
        StoredKeys {
            v: 1,
            account_secret: self.account_secret.clone(),
            master: self.master.clone(),
            cms_key: self.cms.seed().clone(),
            succession: self.succession.clone(),
            cas: self.cas.iter().map(ca).collect(),
        }
    }

    pub(crate) fn from_stored(
        account: &AccountId,
        stored: StoredKeys,
    ) -> Result<Self, DomainError> {
        if stored.v != 1 {
            return Err(DomainError::Version(stored.v));
        }
        let damaged = |_| DomainError::Keys;
        let ca = |ca: StoredCa| {
            let key = SigningKey::from_scalar(ca.key.expose()).map_err(|_| DomainError::Keys)?;
            let certificate = CertificateDer::from(ca.certificate.0);
            Ok(AccountCa::from_parts(account.clone(), key, certificate))
        };
        let cas = stored.cas.into_iter().map(ca).collect::<Result<Vec<_>, DomainError>>()?;
        if cas.is_empty() || stored.master.len() != 32 {
            return Err(DomainError::Keys);
        }
        Ok(Self {
            account_secret: stored.account_secret,
            cas,
            cms: CmsKey::from_seed(stored.cms_key.expose()).map_err(damaged)?,
            succession: stored.succession,
            master: stored.master,
        })
    }
}
