//! The certificate of the client port: issued at start, issued anew before it ends; or the
//! operator's, which SIGHUP takes.

use std::sync::Arc;

use crs_actors::admin::ShownCertificate;
use crs_actors::listener::NodeCertificate;
use crs_client::ServerTrust;
use crs_keys::pool_ca::{NODE_VALIDITY, PoolCa};
use crs_keys::seal_at_rest::Sealer;
use crs_keys::server_cert;
use crs_storage::Store;
use crs_types::{NodeId, OsRng, Timestamp};
use rustls_pki_types::CertificateDer;

use super::Base;
use crate::config::Config;
use crate::identity;

/// The certificate that is shown, and how it is renewed.
pub(super) struct Certificates {
    shown: Arc<NodeCertificate>,
    ca: PoolCa,
    config: Config,
}

impl Certificates {
    /// Reads or makes the pool CA and issues, or loads the configured certificate.
    pub(super) async fn start(
        config: &Config,
        base: &Base,
        store: &Store,
        sealer: &Sealer,
    ) -> anyhow::Result<Self> {
        let now = base.clock.now();
        let (ca, made) = identity::pool_ca(store, sealer, &mut OsRng, now).await?;
        if made {
            let fingerprint = ca.fingerprint();
            tracing::info!(target: crs_ops::log::INIT, module = "node", "made the pool CA {fingerprint}");
        }
        identity::record_node(store, NodeId(1), config, now).await?;
        identity::publish(&ca, &config.paths.data)?;
        let shown = match &config.certificate {
            Some(certificate) => {
                let (chain, key) = identity::configured(certificate)?;
                NodeCertificate::from_chain(chain, key)?
            }
            None => NodeCertificate::new(identity::issue(&ca, config, &mut OsRng, now)?)?,
        };
        Ok(Self { shown, ca, config: config.clone() })
    }

    pub(super) fn shown(&self) -> Arc<NodeCertificate> {
        Arc::clone(&self.shown)
    }

    /// How the health check's clients recognise this node; asked anew each time, since SIGHUP
    /// may have brought another certificate.
    pub(super) fn trust(&self) -> Arc<dyn Fn() -> ServerTrust + Send + Sync> {
        let shown = self.shown();
        let ca = self.ca.certificate().clone();
        let names = self.config.pool.server_names.clone();
        let address = self.config.listen.client.ip().to_string();
        Arc::new(move || trust_in(&shown.chain(), &ca, &names, &address))
    }

    /// What is known of the certificate that is shown now.
    pub(super) fn state(&self) -> ShownCertificate {
        let chain = self.shown.chain();
        // A certificate that cannot be read would not be shown.
        let ends = chain.iter().filter_map(|der| server_cert::not_after(der).ok());
        ShownCertificate { end: ends.min().unwrap_or_default(), own: self.own(&chain) }
    }

    /// The node sends the pool CA along with the certificates that it issues.
    fn own(&self, chain: &[CertificateDer<'static>]) -> bool {
        chain.contains(self.ca.certificate())
    }

    /// Issues anew when a third of the life is left. When that fails it is tried again at each
    /// look, and the tiers of `cert/expiring` tell.
    pub(super) fn renew(&self, base: &Base) {
        let (now, chain) = (base.clock.now(), self.shown.chain());
        let end = chain.first().and_then(|leaf| server_cert::not_after(leaf).ok());
        let due = end.is_some_and(|end| end.since(now) <= NODE_VALIDITY / 3);
        if !due || !self.own(&chain) {
            return;
        }
        match self.issue(now) {
            Ok(end) => {
                tracing::info!(module = "node", "issued a new certificate, valid until {end}");
            }
            Err(error) => {
                tracing::warn!(module = "node", "the node's certificate was not renewed: {error}");
            }
        }
    }

    fn issue(&self, now: Timestamp) -> anyhow::Result<Timestamp> {
        let issued = identity::issue(&self.ca, &self.config, &mut OsRng, now)?;
        let end = issued.not_after;
        self.shown.replace(issued.chain, issued.key)?;
        Ok(end)
    }
}

/// A configured certificate is trusted by its own chain, under one of the pool's names that it
/// bears: whether the public trusts it is not what the health check is about.
fn trust_in(
    chain: &[CertificateDer<'static>],
    pool_ca: &CertificateDer<'static>,
    names: &[String],
    address: &str,
) -> ServerTrust {
    let Some((leaf, above)) = chain.split_first().filter(|_| !chain.contains(pool_ca)) else {
        return ServerTrust::PoolCa(vec![pool_ca.to_vec()]);
    };
    let name = names.iter().find(|name| server_cert::is_for(leaf, name));
    // A certificate that stands alone can only have signed itself.
    let roots = if above.is_empty() { chain } else { above };
    ServerTrust::PublicPki {
        name: name.map_or_else(|| address.to_owned(), Clone::clone),
        roots: roots.iter().map(|der| der.to_vec()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use crs_keys::pool_ca::NodeSubject;
    use crs_types::NodeName;
    use crs_types::rng::SeededRng;

    use super::*;

    #[test]
    fn the_health_check_trusts_what_is_shown_under_a_name_that_it_bears() {
        let now = Timestamp::from_secs(1_800_000_000);
        let mut rng = SeededRng::new(5);
        let pool = PoolCa::generate(&mut rng, now).unwrap();
        let public = PoolCa::generate(&mut rng, now).unwrap();
        let subject = NodeSubject {
            name: NodeName::parse("crs1").unwrap(),
            dns: vec!["crs.example.org".into()],
            ips: Vec::new(),
        };
        let names = ["localhost".to_owned(), "crs.example.org".to_owned()];
        let mut trust = |ca: &PoolCa, keep: usize| {
            let mut chain = ca.issue_node(&subject, &mut rng, now).unwrap().chain;
            chain.truncate(keep);
            (trust_in(&chain, pool.certificate(), &names, "127.0.0.1"), chain)
        };
        let (own, _) = trust(&pool, 2);
        assert_eq!(own, ServerTrust::PoolCa(vec![pool.certificate().to_vec()]));
        let (configured, _) = trust(&public, 2);
        let roots = vec![public.certificate().to_vec()];
        let name = "crs.example.org".to_owned();
        assert_eq!(configured, ServerTrust::PublicPki { name: name.clone(), roots });
        let (alone, chain) = trust(&public, 1);
        let roots = vec![chain[0].to_vec()];
        assert_eq!(alone, ServerTrust::PublicPki { name, roots });
    }
}
