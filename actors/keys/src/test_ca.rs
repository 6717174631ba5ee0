//! The health check's certificate authority: derived from the pool key for that purpose
//! alone, so that every node can verify what any node minted. Good for test URNs only.
//!
//! The caller further accepts such clients only from loopback or pool addresses, never counts
//! them in statistics and never federates them.

use std::time::Duration;

use crs_types::{AccountId, Generation, Period, Rng, Secret, Timestamp, Uri};
use rustls_pki_types::CertificateDer;

use crate::account_ca::{AccountCa, IssueError, Validity};
use crate::derive;
use crate::identity::{self, IdentityError, UserIdentity};
use crate::p256::SigningKey;
use crate::package::UserKeys;
use crate::trust::Trust;

/// How long a test client's certificate is valid.
pub const TEST_VALIDITY: Duration = Duration::from_secs(60);
/// It begins this much early, for nodes whose clocks differ.
const BACKDATE: Duration = Duration::from_secs(30);

/// The CA of test clients of one account.
#[derive(Debug, Clone)]
pub struct TestCa {
    ca: AccountCa,
}

impl TestCa {
    /// Derives the CA of an account's test clients from the pool key. Equal on every node of the
    /// pool: the key by derivation, the name by construction.
    pub fn derive(
        pool_key: &Secret,
        account: &AccountId,
        rng: &mut dyn Rng,
        now: Timestamp,
    ) -> Result<Self, IssueError> {
        let folded = account.folded();
        let info = [derive::HEALTH_CHECK.as_bytes(), b"\0", folded.as_bytes()];
        let secret = derive::derive_with::<32>(pool_key.expose(), &info);
        let key = SigningKey::derive(secret.as_slice(), derive::HEALTH_CHECK);
        let account = AccountId::parse(&folded).unwrap_or_else(|_| account.clone());
        Ok(Self { ca: AccountCa::with_key(account, key, rng, now)? })
    }

    /// Keys and certificates of a test client, valid for [`TEST_VALIDITY`] from now.
    pub fn issue(
        &self,
        uri: &Uri,
        rng: &mut dyn Rng,
        now: Timestamp,
    ) -> Result<UserKeys, TestCaError> {
        if !uri.is_test_client() {
            return Err(TestCaError::NotATestClient(uri.clone()));
        }
        let identity = UserIdentity {
            account: self.ca.account().clone(),
            uri: uri.clone(),
            period: Period::at(now),
            generation: Generation(0),
        };
        let from = now.minus(BACKDATE).max(identity.period.start());
        let validity = Validity { from, to: now.plus(TEST_VALIDITY) };
        Ok(UserKeys::issue(&self.ca, identity, validity, rng)?)
    }

    /// What test clients trust: this CA and nothing else.
    pub fn trust(&self) -> Trust {
        Trust::initial(self.ca.account().clone(), vec![self.ca.certificate().clone()])
    }

    /// Verifies a test client's chain: this CA only, test URNs only, this account only.
    pub fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        now: Timestamp,
    ) -> Result<UserIdentity, IdentityError> {
        let cas = [self.ca.certificate().clone()];
        let identity = identity::verify_certificate(end_entity, &cas, now)?;
        if !identity.uri.is_test_client() || identity.account != *self.ca.account() {
            return Err(IdentityError::TestClient);
        }
        Ok(identity)
    }
}

/// A test client's certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TestCaError {
    /// The URI is a real user's.
    #[error("{0} is not a test client")]
    NotATestClient(Uri),
    /// Issuing failed.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crs_types::rng::SeededRng;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn ca(pool_seed: u64, account: &str) -> TestCa {
        let pool_key = Secret::generate(&mut SeededRng::new(pool_seed), 32);
        let account = AccountId::parse(account).unwrap();
        TestCa::derive(&pool_key, &account, &mut SeededRng::new(99), NOW).unwrap()
    }

    fn client() -> Uri {
        Uri::test_client(0, "abc").unwrap()
    }

    #[test]
    fn any_node_of_the_pool_verifies_what_another_minted() {
        let keys = ca(1, "Acme").issue(&client(), &mut SeededRng::new(5), NOW).unwrap();
        let identity = ca(1, "acme").verify(&keys.sign_cert, NOW).unwrap();
        assert_eq!(identity.uri, client());
        assert_eq!(identity.account, AccountId::parse("acme").unwrap());
    }

    #[test]
    fn other_pools_and_other_accounts_do_not() {
        let keys = ca(1, "acme").issue(&client(), &mut SeededRng::new(5), NOW).unwrap();
        assert!(ca(2, "acme").verify(&keys.sign_cert, NOW).is_err());
        assert!(ca(1, "other").verify(&keys.sign_cert, NOW).is_err());
    }

    #[test]
    fn certificates_are_short_lived_even_at_a_month_boundary() {
        let boundary = "2027-01".parse::<Period>().unwrap().start();
        let keys = ca(1, "acme").issue(&client(), &mut SeededRng::new(5), boundary).unwrap();
        let ca = ca(1, "acme");
        assert!(ca.verify(&keys.sign_cert, boundary).is_ok());
        assert!(ca.verify(&keys.sign_cert, boundary.plus(TEST_VALIDITY)).is_ok());
        let late = boundary.plus(TEST_VALIDITY).plus(Duration::from_secs(1));
        assert_eq!(ca.verify(&keys.sign_cert, late), Err(IdentityError::Expired));
    }

    #[test]
    fn real_users_are_neither_issued_nor_accepted() {
        let user = Uri::parse("+46701234567").unwrap();
        let ca = ca(1, "acme");
        assert!(matches!(
            ca.issue(&user, &mut SeededRng::new(5), NOW),
            Err(TestCaError::NotATestClient(_))
        ));
        let keys = ca.issue(&client(), &mut SeededRng::new(5), NOW).unwrap();
        let cas = ca.trust().cas;
        assert_eq!(
            identity::verify_client(&keys.sign_cert, &cas, NOW),
            Err(IdentityError::TestClient)
        );
    }
}
