//! SIGHUP: reads the files again and takes what a running node can take (U8, Q-53). A bad file
//! keeps the old state.

use std::sync::Arc;

use crs_actors::NodeContext;
use crs_actors::listener::NodeCertificate;
use crs_actors::relay::RelayService;
use crs_ops::{LogControl, Metrics};
use metrics::{Counter, Gauge};

use crate::config::{Config, Problem};
use crate::identity;
use crate::load::Loader;

/// What a reload works on.
pub struct Reloader {
    loader: Loader,
    context: Arc<NodeContext>,
    certificate: Arc<NodeCertificate>,
    relay: Option<RelayService>,
    log: LogControl,
    current: Config,
    counters: Counters,
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reloaded {
    /// The new state is in force; the names are of settings that differ and need a restart.
    Applied {
        /// Settings that differ and are taken at the next start only.
        needs_restart: Vec<&'static str>,
    },
    /// The old state stays.
    Refused {
        /// Why.
        problems: Vec<Problem>,
    },
}

struct Counters {
    applied: Counter,
    refused: Counter,
    last_ok: Gauge,
}

impl Reloader {
    /// A reloader for a node that runs with `current`.
    pub fn new(
        loader: Loader,
        current: Config,
        context: Arc<NodeContext>,
        certificate: Arc<NodeCertificate>,
        relay: Option<RelayService>,
        log: LogControl,
        metrics: &Metrics,
    ) -> Self {
        let counters = Counters::new(metrics);
        Self { loader, context, certificate, relay, log, current, counters }
    }

    /// Reads the files and applies them, or tells why not.
    pub fn reload(&mut self) -> Reloaded {
        self.log.reopen();
        let outcome = match self.loader.load() {
            Ok(new) => self.apply(new),
            Err(problems) => Reloaded::Refused { problems },
        };
        self.tell(&outcome);
        outcome
    }

    fn apply(&mut self, new: Config) -> Reloaded {
        if let Some(certificate) = &new.certificate {
            let replaced = identity::configured(certificate)
                .map_err(|error| error.to_string())
                .and_then(|(chain, key)| {
                    self.certificate.replace(chain, key).map_err(|error| error.to_string())
                });
            if let Err(why) = replaced {
                return Reloaded::Refused { problems: vec![Problem::of_start(&why)] };
            }
        }
        let needs_restart = differences(&self.current, &new);
        self.context.reload(new.settings.clone());
        self.log.set_level(new.log.level);
        if let Some(relay) = &self.relay {
            relay.set_limits(new.relay.limits);
        }
        // What needs a restart stays as it runs, so that the next reload still tells it.
        self.current.settings = new.settings;
        self.current.pool.addr_map = new.pool.addr_map;
        self.current.log.level = new.log.level;
        self.current.relay.limits = new.relay.limits;
        Reloaded::Applied { needs_restart }
    }

    fn tell(&self, outcome: &Reloaded) {
        match outcome {
            Reloaded::Applied { needs_restart } => {
                self.counters.applied.increment(1);
                self.counters.last_ok.set(1.0);
                tracing::info!(module = "node", "configuration reloaded");
                if !needs_restart.is_empty() {
                    let list = needs_restart.join(", ");
                    tracing::warn!(
                        module = "node",
                        "changed, but taken at the next start only: {list}"
                    );
                }
            }
            Reloaded::Refused { problems } => {
                self.counters.refused.increment(1);
                self.counters.last_ok.set(0.0);
                tracing::warn!(
                    module = "node",
                    "configuration not reloaded, the old one stays in force"
                );
                for problem in problems {
                    tracing::warn!(module = "node", "{problem}");
                }
            }
        }
    }
}

impl Counters {
    fn new(metrics: &Metrics) -> Self {
        let reloads = |result| {
            metrics.counter(
                "crs_config_reloads_total",
                "Reloads of the configuration.",
                &[("result", result)],
            )
        };
        let last_ok = metrics.gauge(
            "crs_config_last_reload_successful",
            "1 when the last reload of the configuration was taken, 0 when it was refused.",
            &[],
        );
        last_ok.set(1.0);
        Self { applied: reloads("applied"), refused: reloads("refused"), last_ok }
    }
}

/// Settings that differ and that a running node cannot take.
fn differences(old: &Config, new: &Config) -> Vec<&'static str> {
    let same_keys = old.pool.keys.len() == new.pool.keys.len()
        && old.pool.keys.iter().zip(&new.pool.keys).all(|(a, b)| a.secret == b.secret);
    let relay = |config: &Config| format!("{:?}", config.relay);
    let log = |config: &Config| (config.log.max_bytes, config.log.keep, config.log.stderr);
    [
        ("key", same_keys),
        ("host, ip", old.pool.hosts == new.pool.hosts),
        ("server-name", old.pool.server_names == new.pool.server_names),
        ("mailbox-groups", old.pool.mailbox_groups == new.pool.mailbox_groups),
        ("crsname", old.name == new.name),
        ("db-backup", old.db_backup == new.db_backup),
        ("listen addresses", old.listen == new.listen),
        ("media-address", old.media_addresses == new.media_addresses),
        ("crs-relay.conf, relay-…", relay(old) == relay(new)),
        ("folders", old.paths == new.paths),
        ("log-size, log-files, log-stderr", log(old) == log(new)),
        ("user", old.user == new.user),
        ("disk-min-free", old.disk_min_free == new.disk_min_free),
        ("worker-threads", old.worker_threads == new.worker_threads),
        ("certificate", old.certificate == new.certificate),
    ]
    .into_iter()
    .filter_map(|(name, same)| (!same).then_some(name))
    .collect()
}
