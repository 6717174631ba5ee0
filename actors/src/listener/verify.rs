//! Who a client certificate speaks for, decided inside the handshake: the account is taken from
//! the certificate, the chain is checked against that account's CAs only, and a revoked
//! generation is refused before any application byte (design.md §4).

use std::fmt;
use std::sync::Arc;

use crs_keys::identity::{self, IdentityError, UserIdentity};
use crs_keys::test_ca::TestCa;
use crs_types::period::Standing;
use crs_types::{AccountId, Clock, OsRng, Secret, Timestamp};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::refused::{self, Refused};
use crate::accounts::AccountRegistry;

/// Pool keys from which the CA of the health check's clients is derived, newest first.
pub struct TestClients(Vec<Secret>);

/// The verifier of one listener.
pub(super) struct UserVerifier {
    pub(super) accounts: Arc<AccountRegistry>,
    pub(super) clock: Arc<dyn Clock>,
    /// Present for connections from addresses where test clients are welcome.
    pub(super) test_clients: Option<Arc<TestClients>>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl TestClients {
    /// From the pool keys, newest first.
    pub fn new(pool_keys: Vec<Secret>) -> Self {
        Self(pool_keys)
    }

    fn verify(
        &self,
        account: &AccountId,
        certificate: &CertificateDer<'_>,
        now: Timestamp,
    ) -> Result<UserIdentity, IdentityError> {
        let derive = |key| TestCa::derive(key, account, &mut OsRng, now);
        let cas = self.0.iter().filter_map(|key| derive(key).ok());
        let none = Err(IdentityError::TestClient);
        cas.map(|ca| ca.verify(certificate, now)).find(Result::is_ok).unwrap_or(none)
    }
}

impl UserVerifier {
    fn verify(&self, end_entity: &CertificateDer<'_>) -> Result<(), IdentityError> {
        let now = self.clock.now();
        let claimed = identity::claimed(end_entity)?;
        let view = self.accounts.view();
        // An account that is not here looks like one that did not issue the certificate.
        let Some(account) = view.account(&claimed.account) else {
            identity::refuse(end_entity);
            return Err(IdentityError::NoCa { account: claimed.account });
        };
        if claimed.uri.is_test_client() {
            let clients = self.test_clients.as_ref().ok_or(IdentityError::TestClient)?;
            return clients.verify(&claimed.account, end_entity, now).map(drop);
        }
        let user = identity::verify_client(end_entity, account.cas(), now)?;
        match user.period.standing(now) {
            Standing::Valid | Standing::UpdateOnly => {}
            Standing::NotYet => return Err(IdentityError::NotYetValid),
            Standing::Expired => return Err(IdentityError::Expired),
        }
        account.check_generation(&user.uri, user.generation).map_err(|_| IdentityError::Revoked)
    }
}

/// What the operator is told. The user is named when a CA of the account has issued the
/// certificate: nobody else may fill the log with names of his choosing.
fn told(error: &IdentityError, end_entity: &CertificateDer<'_>) -> Refused {
    let (why, issued) = match error {
        IdentityError::Malformed
        | IdentityError::NoSan
        | IdentityError::ManySans(_)
        | IdentityError::San(_) => (refused::MALFORMED, false),
        IdentityError::NoCa { .. } => (refused::UNKNOWN_ACCOUNT, false),
        IdentityError::NotIssuedByAccount { .. }
        | IdentityError::BadCa(_)
        | IdentityError::TestClient => (refused::OTHER_CA, false),
        IdentityError::WrongUsage => (refused::WRONG_USAGE, true),
        IdentityError::NotYetValid => (refused::NOT_YET_VALID, true),
        IdentityError::Expired => (refused::EXPIRED, true),
        IdentityError::Revoked => (refused::REVOKED, true),
        IdentityError::KeyPeriod
        | IdentityError::WrongKey
        | IdentityError::Period(_)
        | IdentityError::Chain(_) => (refused::MALFORMED, true),
    };
    let claimed = identity::claimed(end_entity).ok().filter(|_| issued);
    Refused { why, user: claimed.map(|claimed| (claimed.account, claimed.uri)) }
}

/// The alert that a refusal sends (RFC 8446 §6.2, by rustls' mapping).
fn refusal(error: &IdentityError) -> CertificateError {
    match error {
        IdentityError::Malformed => CertificateError::BadEncoding,
        IdentityError::NotIssuedByAccount { .. }
        | IdentityError::NoCa { .. }
        | IdentityError::BadCa(_)
        | IdentityError::TestClient => CertificateError::UnknownIssuer,
        IdentityError::WrongUsage => CertificateError::InvalidPurpose,
        IdentityError::NotYetValid => CertificateError::NotValidYet,
        IdentityError::Expired => CertificateError::Expired,
        IdentityError::Revoked => CertificateError::Revoked,
        IdentityError::NoSan
        | IdentityError::ManySans(_)
        | IdentityError::San(_)
        | IdentityError::KeyPeriod
        | IdentityError::WrongKey
        | IdentityError::Period(_)
        | IdentityError::Chain(_) => CertificateError::ApplicationVerificationFailure,
    }
}

impl ClientCertVerifier for UserVerifier {
    /// No hints: they would disclose which organisations are hosted here.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        // Ignored: an account's CA issues users' certificates directly, and the work of finding a
        // path through these would be a stranger's to choose.
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity).map_err(|error| {
            refused::leave(told(&error, end_entity));
            Error::InvalidCertificate(refusal(&error))
        })?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

impl fmt::Debug for UserVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserVerifier").finish_non_exhaustive()
    }
}

impl fmt::Debug for TestClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestClients({} keys)", self.0.len())
    }
}
