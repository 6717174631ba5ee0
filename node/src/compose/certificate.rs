//! The certificate of the client port: issued at start, issued anew before it ends.

use std::sync::Arc;

use crs_actors::listener::NodeCertificate;
use crs_client::ServerTrust;
use crs_keys::pool_ca::{NODE_VALIDITY, PoolCa};
use crs_keys::seal_at_rest::Sealer;
use crs_ops::SystemEvent;
use crs_storage::Store;
use crs_types::{NodeId, OsRng, Timestamp};

use super::Base;
use crate::config::Config;
use crate::identity;

/// The certificate that is shown, and how it is renewed.
pub(super) struct Certificates {
    shown: Arc<NodeCertificate>,
    ca: PoolCa,
    /// End of a certificate that this node issued itself; `None` for one of a public CA.
    pub(super) end: Option<Timestamp>,
    config: Config,
    /// Certificates above the leaf of a configured chain (X.509 DER).
    chain: Vec<Vec<u8>>,
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
        let mut above = Vec::new();
        let (shown, end) = match &config.certificate {
            Some(certificate) => {
                let (chain, key) = identity::configured(certificate)?;
                above = chain.iter().skip(1).map(|der| der.to_vec()).collect();
                (NodeCertificate::from_chain(chain, key)?, None)
            }
            None => {
                let issued = identity::issue(&ca, config, &mut OsRng, now)?;
                let end = issued.not_after;
                (NodeCertificate::new(issued)?, Some(end))
            }
        };
        Ok(Self { shown, ca, end, config: config.clone(), chain: above })
    }

    pub(super) fn shown(&self) -> Arc<NodeCertificate> {
        Arc::clone(&self.shown)
    }

    /// How the health check's clients recognise this node. A configured certificate is trusted by
    /// its own chain: whether the public does is not what the check is about.
    pub(super) fn trust(&self) -> ServerTrust {
        if self.chain.is_empty() {
            return ServerTrust::PoolCa(vec![self.ca.certificate().to_vec()]);
        }
        let name = self.config.pool.server_names.first().cloned();
        ServerTrust::PublicPki {
            name: name.unwrap_or_else(|| self.config.listen.client.ip().to_string()),
            roots: self.chain.clone(),
        }
    }

    /// Issues anew when a third of the life is left.
    pub(super) fn renew(&mut self, base: &Base) {
        let now = base.clock.now();
        let due = self.end.is_some_and(|end| end.since(now) <= NODE_VALIDITY / 3);
        if !due {
            return;
        }
        let renewed = identity::issue(&self.ca, &self.config, &mut OsRng, now)
            .map_err(|error| error.to_string())
            .and_then(|issued| {
                let end = issued.not_after;
                let replaced = self.shown.replace(issued.chain, issued.key);
                replaced.map(|()| end).map_err(|error| error.to_string())
            });
        match renewed {
            Ok(end) => {
                self.end = Some(end);
                tracing::info!(module = "node", "issued a new certificate, valid until {end}");
            }
            Err(error) => {
                tracing::warn!(module = "node", "the node's certificate was not renewed: {error}");
                base.notifier.notify(SystemEvent::CertExpiring);
            }
        }
    }
}
