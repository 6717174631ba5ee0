//! TLS 1.3 of the client: hybrid post-quantum key exchange first, a client certificate, no
//! resumption (a resumed session would skip the server's check of the certificate).

use std::sync::Arc;
use std::time::Duration;

use crs_keys::p256::SigningKey;
use crs_types::Clock;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::error::ClientError;
use crate::identity::{PeriodKeys, ServerTrust};

/// The provider of the workspace with our order of key exchanges.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519],
        ..aws_lc_rs::default_provider()
    })
}

/// The client's clock judges the server's certificate, too.
struct Now(Arc<dyn Clock>);

impl std::fmt::Debug for Now {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Now")
    }
}

impl TimeProvider for Now {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.now().as_millis())))
    }
}

/// The TLS configuration of one user and month.
pub fn client_config(
    trust: &ServerTrust,
    keys: &PeriodKeys,
    clock: Arc<dyn Clock>,
) -> Result<ClientConfig, ClientError> {
    let chain = vec![CertificateDer::from(keys.sign_cert.clone())];
    let key = SigningKey::from_scalar(keys.sign_key.expose())
        .and_then(|key| key.to_pkcs8())
        .map_err(|e| ClientError::Crypto { what: "the client's key", why: e.to_string() })?;
    let (ServerTrust::PoolCa(roots) | ServerTrust::PublicPki { roots, .. }) = trust;
    config_from_der(crypto_provider(), roots, Some((chain, key)), clock)
}

/// A configuration from certificates and a key; no client certificate without one.
pub fn config_from_der(
    provider: Arc<CryptoProvider>,
    roots: &[Vec<u8>],
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    clock: Arc<dyn Clock>,
) -> Result<ClientConfig, ClientError> {
    let refuse = |what: &'static str| {
        move |e: rustls::Error| ClientError::Crypto { what, why: e.to_string() }
    };
    let mut store = RootCertStore::empty();
    for root in roots {
        store
            .add(CertificateDer::from(root.clone()))
            .map_err(refuse("a certificate of the server's CA"))?;
    }
    let builder = ClientConfig::builder_with_details(provider, Arc::new(Now(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refuse("TLS 1.3"))?
        .with_root_certificates(store);
    let mut config = match client {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(refuse("the client certificate and its key"))?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![crs_proto::ALPN.to_vec()];
    Ok(config)
}

/// The name the server's certificate must be for: the configured one, or the host part of
/// `host:port`.
pub fn server_name(trust: &ServerTrust, server: &str) -> Result<ServerName<'static>, ClientError> {
    let host = match trust {
        ServerTrust::PublicPki { name, .. } => name.as_str(),
        ServerTrust::PoolCa(_) => {
            server.rsplit_once(':').map_or(server, |(h, _)| h).trim_matches(['[', ']'])
        }
    };
    ServerName::try_from(host.to_owned()).map_err(|_| ClientError::Connect {
        server: server.to_owned(),
        why: format!("{host:?} is neither a host name nor an IP address"),
    })
}
