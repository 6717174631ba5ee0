//! Shared pieces of this crate's tests: an account with a CA, users with keys.

use crs_types::rng::SeededRng;
use crs_types::{AccountId, Generation, Period, Secret, Timestamp, Uri};

use crate::account_ca::{AccountCa, Validity};
use crate::cbor::Bytes;
use crate::identity::UserIdentity;
use crate::kem;
use crate::package::UserKeys;
use crate::trust::{self, Trust};
use crate::update::{UpdateFile, UpdateUser};

/// The middle of November 2026.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_794_700_800);

pub(crate) struct Domain {
    pub(crate) ca: AccountCa,
    pub(crate) trust: Trust,
    pub(crate) rng: SeededRng,
}

pub(crate) fn domain(account: &str, seed: u64) -> Domain {
    let mut rng = SeededRng::new(seed);
    let account = AccountId::parse(account).unwrap();
    let ca = AccountCa::generate(account.clone(), &mut rng, NOW).unwrap();
    let trust = Trust::initial(account, vec![ca.certificate().clone()]);
    Domain { ca, trust, rng }
}

pub(crate) fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

pub(crate) fn period(text: &str) -> Period {
    text.parse().unwrap()
}

pub(crate) fn secret(length: usize) -> Secret {
    Secret::generate(&mut SeededRng::new(77), length)
}

impl Domain {
    pub(crate) fn identity(&self, number: &str, month: &str) -> UserIdentity {
        UserIdentity {
            account: self.ca.account().clone(),
            uri: uri(number),
            period: period(month),
            generation: Generation(1),
        }
    }

    pub(crate) fn keys(&mut self, number: &str, month: &str) -> UserKeys {
        let identity = self.identity(number, month);
        let validity = Validity::of_period(identity.period);
        UserKeys::issue(&self.ca, identity, validity, &mut self.rng).unwrap()
    }

    /// An update file with the given users and their enrolment keys.
    pub(crate) fn update(
        &mut self,
        numbers: &[&str],
        month: &str,
    ) -> (UpdateFile, Vec<kem::PrivateKey>) {
        let mut enrolment = Vec::new();
        let users = numbers
            .iter()
            .map(|number| {
                let keys = self.keys(number, month);
                let key = kem::PrivateKey::generate(&mut self.rng);
                let sealed = keys.seal(&key.public_key().unwrap(), &mut self.rng).unwrap();
                enrolment.push(key);
                UpdateUser {
                    uri: keys.identity.uri,
                    listed: true,
                    sealed: sealed.into(),
                    kem_cert: keys.kem_cert.into(),
                    sign_cert: keys.sign_cert.as_ref().into(),
                    generation: 1,
                }
            })
            .collect();
        let mut trust = self.trust.clone();
        trust.serial = 7;
        let update = UpdateFile {
            v: 1,
            cas: trust.cas.iter().map(|ca| Bytes::from(ca.as_ref())).collect(),
            trust: trust.sign(&self.ca).into(),
            users,
            period: period(month),
            serial: 7,
            account: trust.account.clone(),
            created: NOW,
            connected: trust::connected_to_wire(&trust.connected),
            kms_public: Bytes::default(),
            team_codes: [("ops".parse().unwrap(), vec![uri(numbers[0])])].into(),
            domain_token: Bytes::default(),
        };
        (update, enrolment)
    }
}
