//! TLS settings of the client port: 1.3 only, hybrid post-quantum key exchange first, client
//! certificates required, no tickets and no resumption (a resumed session would skip the
//! verifier), a node certificate that can be replaced while running.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use crs_keys::pool_ca::NodeIdentity;
use crs_types::Clock;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{NamedGroup, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::verify::{TestClients, UserVerifier};
use crate::accounts::AccountRegistry;

/// The certificate that the node shows. Replacing it reaches the next handshake.
pub struct NodeCertificate(ArcSwap<CertifiedKey>);

/// A certificate or key that cannot be used, or settings that rustls refuses.
#[derive(Debug, thiserror::Error)]
#[error("TLS: {0}")]
pub struct TlsError(#[from] rustls::Error);

/// What clients may negotiate, by address (test clients are welcome from some only) and by what
/// they can do.
#[derive(Clone)]
pub struct TlsSettings {
    everybody: ByKeyExchange,
    with_test_clients: ByKeyExchange,
}

/// rustls takes whatever key share came first. A client that can do the hybrid exchange but
/// offers a classical share first is therefore given settings that know the hybrid only, and is
/// asked for that share by a HelloRetryRequest.
#[derive(Clone)]
struct ByKeyExchange {
    hybrid: Arc<ServerConfig>,
    classical: Arc<ServerConfig>,
}

impl NodeCertificate {
    /// The node's own certificate from the pool CA.
    pub fn new(identity: NodeIdentity) -> Result<Arc<Self>, TlsError> {
        Self::from_chain(identity.chain, identity.key)
    }

    /// A chain (end entity first) and its key, for a public certificate.
    pub fn from_chain(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self(ArcSwap::from_pointee(certified(chain, key)?))))
    }

    /// What is shown now, end entity first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.0.load().cert.clone()
    }

    /// Replaces the certificate; the present one stays when the new one is unusable.
    pub fn replace(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), TlsError> {
        self.0.store(Arc::new(certified(chain, key)?));
        Ok(())
    }
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, TlsError> {
    let key = aws_lc_rs::sign::any_supported_type(&key)?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match()?;
    Ok(certified)
}

impl TlsSettings {
    /// Settings for the client port.
    pub fn new(
        certificate: Arc<NodeCertificate>,
        accounts: Arc<AccountRegistry>,
        clock: Arc<dyn Clock>,
        test_clients: TestClients,
    ) -> Result<Self, TlsError> {
        let config = |test_clients: Option<Arc<TestClients>>| -> Result<_, TlsError> {
            let with = |group| {
                let provider = provider(group);
                let verifier = UserVerifier {
                    accounts: Arc::clone(&accounts),
                    clock: Arc::clone(&clock),
                    test_clients: test_clients.clone(),
                    algorithms: provider.signature_verification_algorithms,
                };
                server_config(provider, Arc::clone(&certificate), verifier)
            };
            let hybrid = with(aws_lc_rs::kx_group::X25519MLKEM768)?;
            let classical = with(aws_lc_rs::kx_group::X25519)?;
            Ok(ByKeyExchange { hybrid, classical })
        };
        let everybody = config(None)?;
        let with_test_clients = config(Some(Arc::new(test_clients)))?;
        Ok(Self { everybody, with_test_clients })
    }

    /// Settings for a connection; `local`: from loopback or a node of the pool.
    pub(super) fn choose(&self, hello: &ClientHello<'_>, local: bool) -> Arc<ServerConfig> {
        let settings = if local { &self.with_test_clients } else { &self.everybody };
        let groups = hello.named_groups().unwrap_or_default();
        let hybrid = groups.contains(&NamedGroup::X25519MLKEM768);
        Arc::clone(if hybrid { &settings.hybrid } else { &settings.classical })
    }
}

fn server_config(
    provider: CryptoProvider,
    certificate: Arc<NodeCertificate>,
    verifier: UserVerifier,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![crs_proto::ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// The one provider, with one key exchange.
fn provider(group: &'static dyn SupportedKxGroup) -> CryptoProvider {
    CryptoProvider { kx_groups: vec![group], ..aws_lc_rs::default_provider() }
}

impl ResolvesServerCert for NodeCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for NodeCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCertificate").finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings").finish_non_exhaustive()
    }
}
