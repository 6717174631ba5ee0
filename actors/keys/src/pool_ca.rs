//! The pool's certificate authority and the nodes' TLS certificates (design.md §4 *Server
//! identity*). Made once, when the pool is first initialised; kept sealed in the control group.

use std::net::IpAddr;
use std::time::Duration;

use crs_types::{NodeName, Rng, Secret, Timestamp};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::account_ca::{self, CA_VALIDITY, IssueError, Validity};
use crate::cbor::{self, Bytes, CborError};
use crate::derive;
use crate::p256::{KeyError, SigningKey};

const VERSION: u64 = 1;
/// How long a node's certificate is valid. Nodes issue a new one at start and when a third is
/// left.
pub const NODE_VALIDITY: Duration = Duration::from_secs(90 * 86_400);
/// Certificates begin this much before the issuer's clock, for clocks that are slow.
const BACKDATE: Duration = Duration::from_secs(3600);

/// The CA of a pool.
#[derive(Clone)]
pub struct PoolCa {
    key: SigningKey,
    certificate: CertificateDer<'static>,
}

/// What a node's certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSubject {
    /// The node's name (common name).
    pub name: NodeName,
    /// DNS names that clients use.
    pub dns: Vec<String>,
    /// Addresses that clients use.
    pub ips: Vec<IpAddr>,
}

/// A node's TLS identity.
#[derive(Debug)]
pub struct NodeIdentity {
    /// The node's certificate, then the CA's (clients may trust a CA by fingerprint alone).
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key (PKCS#8).
    pub key: PrivateKeyDer<'static>,
    /// When the certificate ends.
    pub not_after: Timestamp,
}

/// A pool CA could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum PoolCaError {
    /// The stored form is malformed or of an unknown version.
    #[error("pool CA: {0}")]
    Cbor(#[from] CborError),
    /// The stored key is none.
    #[error("pool CA: {0}")]
    Key(#[from] KeyError),
    /// Issuing failed, for example for a name that is not a DNS name.
    #[error("pool CA: {0}")]
    Issue(#[from] IssueError),
    /// A certificate without any name would verify nowhere.
    #[error("a node certificate needs at least one DNS name or address")]
    NoName,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u64,
    key: Bytes,
    certificate: Bytes,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.key.0.zeroize();
    }
}

impl PoolCa {
    /// A new CA.
    pub fn generate(rng: &mut dyn Rng, now: Timestamp) -> Result<Self, PoolCaError> {
        let key = SigningKey::generate(rng);
        let mut id = [0; 4];
        rng.fill(&mut id);
        let name = format!("CRS pool {}", id.map(|byte| format!("{byte:02x}")).concat());
        let validity = Validity { from: now.minus(BACKDATE), to: now.plus(CA_VALIDITY) };
        let params = account_ca::ca_params(&name, validity, account_ca::serial(rng));
        let certificate = self_sign(&params, &key)?;
        Ok(Self { key, certificate })
    }

    /// The stored form: secret, seal it ([`crate::seal_at_rest`]).
    pub fn to_secret(&self) -> Secret {
        let stored = Stored {
            v: VERSION,
            key: self.key.scalar().expose().into(),
            certificate: self.certificate.as_ref().into(),
        };
        Secret::new(cbor::encode(&stored))
    }

    /// From the stored form.
    pub fn from_secret(secret: &Secret) -> Result<Self, PoolCaError> {
        let stored: Stored = cbor::decode_versioned("a pool CA", VERSION, secret.expose())?;
        Ok(Self {
            key: SigningKey::from_scalar(stored.key.as_slice())?,
            certificate: CertificateDer::from(stored.certificate.0.clone()),
        })
    }

    /// The certificate that enrolment bundles tell clients to trust.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// SHA-256 of the certificate, as people compare it.
    pub fn fingerprint(&self) -> String {
        derive::fingerprint(&self.certificate)
    }

    /// Issues a node's certificate with a fresh key.
    pub fn issue_node(
        &self,
        subject: &NodeSubject,
        rng: &mut dyn Rng,
        now: Timestamp,
    ) -> Result<NodeIdentity, PoolCaError> {
        if subject.dns.is_empty() && subject.ips.is_empty() {
            return Err(PoolCaError::NoName);
        }
        let validity = Validity { from: now.minus(BACKDATE), to: now.plus(NODE_VALIDITY) };
        let key = SigningKey::generate(rng);
        let certificate = self.sign_node(subject, &key, validity, rng)?;
        Ok(NodeIdentity {
            chain: vec![certificate, self.certificate.clone()],
            key: key.to_pkcs8()?,
            not_after: validity.to,
        })
    }

    fn sign_node(
        &self,
        subject: &NodeSubject,
        key: &SigningKey,
        validity: Validity,
        rng: &mut dyn Rng,
    ) -> Result<CertificateDer<'static>, IssueError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = account_ca::name(subject.name.as_str());
        account_ca::set_validity(&mut params, validity);
        params.serial_number = Some(account_ca::serial(rng));
        let dns = subject.dns.iter().map(|name| name.as_str().try_into().map(SanType::DnsName));
        params.subject_alt_names = dns.collect::<Result<_, _>>()?;
        params.subject_alt_names.extend(subject.ips.iter().copied().map(SanType::IpAddress));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let issuer = rcgen::Issuer::from_ca_cert_der(&self.certificate, &self.key)?;
        Ok(params.signed_by(key, &issuer)?.der().clone())
    }
}

fn self_sign(
    params: &CertificateParams,
    key: &SigningKey,
) -> Result<CertificateDer<'static>, IssueError> {
    Ok(params.self_signed(key)?.der().clone())
}

impl std::fmt::Debug for PoolCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PoolCa({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crs_types::rng::SeededRng;
    use rustls_pki_types::{ServerName, UnixTime};
    use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

    fn subject() -> NodeSubject {
        NodeSubject {
            name: NodeName::parse("crs1").unwrap(),
            dns: vec!["crs1.example.org".into()],
            ips: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        }
    }

    fn verifies(ca: &PoolCa, node: &NodeIdentity, name: &str, at: Timestamp) -> bool {
        let anchors = [anchor_from_trusted_cert(ca.certificate()).unwrap()];
        let certificate = EndEntityCert::try_from(&node.chain[0]).unwrap();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(at.as_secs()));
        let algorithms = [webpki::aws_lc_rs::ECDSA_P256_SHA256];
        let usage = KeyUsage::server_auth();
        let name = ServerName::try_from(name).unwrap();
        certificate.verify_for_usage(&algorithms, &anchors, &[], time, usage, None, None).is_ok()
            && certificate.verify_is_valid_for_subject_name(&name).is_ok()
    }

    #[test]
    fn node_certificates_verify_for_their_names_and_time_only() {
        let mut rng = SeededRng::new(1);
        let now = Timestamp::from_secs(1_800_000_000);
        let ca = PoolCa::generate(&mut rng, now).unwrap();
        let node = ca.issue_node(&subject(), &mut rng, now).unwrap();
        for name in ["crs1.example.org", "192.0.2.1", "2001:db8::1"] {
            assert!(verifies(&ca, &node, name, now), "{name}");
        }
        assert!(!verifies(&ca, &node, "crs2.example.org", now));
        let after = node.not_after.plus(Duration::from_secs(1));
        assert!(!verifies(&ca, &node, "crs1.example.org", after));
        let other = PoolCa::generate(&mut rng, now).unwrap();
        assert!(!verifies(&other, &node, "crs1.example.org", now));
    }

    #[test]
    fn the_stored_form_issues_for_the_same_clients() {
        let mut rng = SeededRng::new(1);
        let now = Timestamp::from_secs(1_800_000_000);
        let ca = PoolCa::generate(&mut rng, now).unwrap();
        let again = PoolCa::from_secret(&ca.to_secret()).unwrap();
        let node = again.issue_node(&subject(), &mut rng, now).unwrap();
        assert!(verifies(&ca, &node, "crs1.example.org", now));
        assert!(!format!("{ca:?}").contains("Secret"));
    }

    #[test]
    fn names_are_checked() {
        let mut rng = SeededRng::new(1);
        let now = Timestamp::from_secs(1_800_000_000);
        let ca = PoolCa::generate(&mut rng, now).unwrap();
        let nameless = NodeSubject { dns: vec![], ips: vec![], ..subject() };
        assert!(matches!(ca.issue_node(&nameless, &mut rng, now), Err(PoolCaError::NoName)));
        let wrong = NodeSubject { dns: vec!["nöt ascii".into()], ..subject() };
        assert!(matches!(ca.issue_node(&wrong, &mut rng, now), Err(PoolCaError::Issue(_))));
    }
}
