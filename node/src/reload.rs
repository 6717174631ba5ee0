//! SIGHUP: reads the files again and takes what a running node can take (U8, Q-53). A bad file
//! keeps the old state.

use std::path::PathBuf;
use std::sync::Arc;

use crs_actors::NodeContext;
use crs_actors::listener::NodeCertificate;
use crs_actors::relay::RelayService;
use crs_ops::{LogControl, Metrics};
use crs_relay::RelayConfig;
use metrics::{Counter, Gauge};
use rustls_pki_types::CertificateDer;

use crate::config::{Config, LogSettings, PoolConfig, Problem, PushConfig, differing};
use crate::identity;
use crate::load::Loader;
use crate::machine;
use crate::watch::Drift;

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

/// The files of the configuration as they are on disk.
#[derive(Debug)]
pub struct FilesRead {
    read: Result<Config, Vec<Problem>>,
    /// The chain of the configured certificate, when there is one.
    chain: Option<Result<Vec<CertificateDer<'static>>, String>>,
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

impl Reloaded {
    /// How the files still differ from what runs.
    pub fn drift(self) -> Option<Drift> {
        match self {
            Self::Applied { needs_restart } => Drift::differs(needs_restart),
            Self::Refused { problems } => Some(Drift::wrong(&problems)),
        }
    }
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
        let outcome = match machine::load(&self.loader) {
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
        self.context.reload(new.settings.clone());
        self.log.set_level(new.log.level);
        if let Some(relay) = &self.relay {
            relay.set_limits(new.relay.limits);
        }
        take(&mut self.current, new.clone());
        // Whatever still differs was not taken.
        Reloaded::Applied { needs_restart: differing(&self.current, &new) }
    }

    /// What the configuration that runs asks for in vain.
    pub fn without_effect(&self) -> Vec<String> {
        self.current.without_effect().iter().map(ToString::to_string).collect()
    }

    /// Files with secrets of the configuration that runs.
    pub fn secret_paths(&self) -> Vec<PathBuf> {
        machine::secret_paths(&self.current, &self.loader)
    }

    /// Reads the files without taking anything. May block: not for an async thread.
    pub fn reading(&self) -> impl FnOnce() -> FilesRead + Send + use<> {
        let loader = self.loader.clone();
        move || {
            let read = machine::load(&loader);
            let certificate = read.as_ref().ok().and_then(|config| config.certificate.as_ref());
            let chain = certificate.map(|files| {
                identity::configured(files).map(|(chain, _)| chain).map_err(|e| e.to_string())
            });
            FilesRead { read, chain }
        }
    }

    /// How files that were read differ from what runs.
    pub fn drift(&self, files: &FilesRead) -> Option<Drift> {
        let new = match (&files.read, &files.chain) {
            (Ok(_), Some(Err(why))) => return Some(Drift::wrong(&[Problem::of_start(why)])),
            (Err(problems), _) => return Some(Drift::wrong(problems)),
            (Ok(new), _) => new,
        };
        let mut names = differing(&self.current, new);
        let renewed = files.chain.as_ref().and_then(|chain| chain.as_ref().ok());
        if renewed.is_some_and(|chain| *chain != self.certificate.chain()) {
            names.push("the files of certificate");
        }
        Drift::differs(names)
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

/// Takes what a running node can take, and leaves the rest as it runs, so that the next reload
/// still tells it. Every field is named: a new one has to be decided about here.
fn take(current: &mut Config, new: Config) {
    let Config { pool, push, settings, relay, log, certificate, .. } = &mut *current;
    let Config {
        pool:
            PoolConfig {
                keys: _,
                hosts: _,
                iw_listen_port: _,
                addr_map,
                server_names: _,
                mailbox_groups: _,
                development: _,
            },
        push: PushConfig { enabled: _, cps: _, providers },
        settings: new_settings,
        name: _,
        db_backup: _,
        listen: _,
        media_addresses: _,
        relay:
            RelayConfig {
                addresses: _,
                threads: _,
                cpus: _,
                max_legs: _,
                limits,
                rate: _,
                batch: _,
                offload: _,
                first_allocation: _,
            },
        paths: _,
        log: LogSettings { level, max_bytes: _, keep: _, stderr: _ },
        user: _,
        disk_min_free: _,
        worker_threads: _,
        certificate: new_certificate,
        warnings: _,
        places: _,
    } = new;
    pool.addr_map = addr_map;
    push.providers = providers;
    *settings = new_settings;
    relay.limits = limits;
    log.level = level;
    // Without the line the node would need a certificate of its own, which it makes at a start.
    if new_certificate.is_some() {
        *certificate = new_certificate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, SourceKind, Sources, Strictness, parse, reloadable};

    const KEY: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
    const LOCAL: &str = "crsname crs1\nclient-listen 127.0.0.1:5223\nmedia-listen 127.0.0.1:146\n\
                         pool-listen 127.0.0.1:8090\nbulk-listen 127.0.0.1:8091\niw-listen 127.0.0.1:8080\n";

    /// A configuration with one more line.
    fn config(kind: SourceKind, line: &str) -> Config {
        let pool = format!("key {KEY}\nhost crs1\nhost crs2\nip crs1 192.0.2.1\n");
        let base = [(SourceKind::Pool, pool.as_str()), (SourceKind::Local, LOCAL)];
        let mut sources: Vec<Source> = base
            .into_iter()
            .map(|(kind, text)| Source { kind, name: "f".into(), bytes: text.into() })
            .collect();
        match sources.iter_mut().find(|source| source.kind == kind) {
            Some(source) => source.bytes.extend_from_slice(line.as_bytes()),
            None => sources.push(Source { kind, name: "f".into(), bytes: line.into() }),
        }
        parse(&Sources::new(sources), Strictness::Strict)
            .unwrap_or_else(|p| panic!("{line}: {p:?}"))
    }

    /// One changed line for every directive.
    const CHANGES: &[(SourceKind, &str)] = &[
        (SourceKind::Pool, "key AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        (SourceKind::Pool, "host crs3"),
        (SourceKind::Pool, "ip crs2 192.0.2.2"),
        (SourceKind::Pool, "iw-listen-port 8081"),
        (SourceKind::Pool, "server-name crs.example.org"),
        (SourceKind::Pool, "mailbox-groups 8"),
        (SourceKind::Pool, "development"),
        (SourceKind::Pool, "keep-alive 10.0.0.0/8 tcp 60000"),
        (SourceKind::Pool, "detach-cleanup 0.0.0.0/0 1"),
        (SourceKind::Pool, "addr-map 192.0.2.1 198.51.100.1"),
        (SourceKind::Pool, "rate-limit attach 5"),
        (SourceKind::Pool, "limit sessions 5"),
        (SourceKind::Pool, "cps cps.example.org 5230 id 00112233445566778899aabbccddeeff 128bit"),
        (SourceKind::Pool, "features push"),
        (SourceKind::Pool, "push-config apns type direct"),
        (SourceKind::CommandLine, "crsname crs2"),
        (SourceKind::CommandLine, "db-backup replicate-from-peer"),
        (SourceKind::CommandLine, "data-dir /x"),
        (SourceKind::CommandLine, "accounts-dir /x"),
        (SourceKind::CommandLine, "scripts-dir /x"),
        (SourceKind::CommandLine, "backup-dir /x"),
        (SourceKind::CommandLine, "admin-socket /x"),
        (SourceKind::CommandLine, "disk-min-free 1GiB"),
        (SourceKind::CommandLine, "user somebody"),
        (SourceKind::CommandLine, "worker-threads 3"),
        (SourceKind::CommandLine, "certificate chain.pem key.pem"),
        (SourceKind::CommandLine, "client-listen 127.0.0.1:1"),
        (SourceKind::CommandLine, "media-listen 127.0.0.1:147"),
        (SourceKind::CommandLine, "media-address 192.0.2.9"),
        (SourceKind::CommandLine, "metrics-listen off"),
        (SourceKind::CommandLine, "pool-listen 127.0.0.1:1"),
        (SourceKind::CommandLine, "bulk-listen 127.0.0.1:1"),
        (SourceKind::CommandLine, "iw-listen 127.0.0.1:1"),
        (SourceKind::CommandLine, "log-dir /x"),
        (SourceKind::CommandLine, "log-level debug"),
        (SourceKind::CommandLine, "log-size 1MiB"),
        (SourceKind::CommandLine, "log-files 3"),
        (SourceKind::CommandLine, "log-stderr on"),
        (SourceKind::Relay, "MAX_RTP_RELAYS=1"),
        (SourceKind::Relay, "MAX_RTP_PROXY_RELAYS=1"),
        (SourceKind::Relay, "MAX_OPAQUE_RELAYS=1"),
        (SourceKind::Relay, "MAX_OPAQUE_PROXY_RELAYS=1"),
        (SourceKind::Relay, "MAX_OPAQUE_MULTICAST_RELAYS=1"),
        (SourceKind::Relay, "MAX_LEGS=64"),
        (SourceKind::Relay, "LEG_PACKETS_PER_SECOND=1"),
        (SourceKind::Relay, "LEG_BYTES_PER_SECOND=1500"),
        (SourceKind::CommandLine, "relay-threads 2"),
        (SourceKind::CommandLine, "relay-cpus 0"),
        (SourceKind::CommandLine, "relay-offload on"),
    ];

    /// A changed directive is named, and what the reference marks as taken by SIGHUP is taken, no
    /// more and no less.
    #[test]
    fn every_directive_is_noticed_by_name_and_taken_as_documented() {
        let name = |line: &str| line.split([' ', '=']).next().unwrap_or_default().to_owned();
        let changed: Vec<String> = CHANGES.iter().map(|(_, line)| name(line)).collect();
        let known: Vec<&str> = reloadable().map(|(name, _)| name).collect();
        assert_eq!(changed, known, "a change of every directive, in the order of the tables");
        let base = config(SourceKind::Relay, "");
        assert_eq!(differing(&base, &config(SourceKind::Relay, "")), [] as [&str; 0]);
        for ((kind, line), (name, reload)) in CHANGES.iter().zip(reloadable()) {
            let new = config(*kind, line);
            assert!(differing(&base, &new).contains(&name), "{line} is not noticed");
            let mut current = base.clone();
            take(&mut current, new.clone());
            let left = differing(&current, &new);
            assert_eq!(left.contains(&name), !reload, "{line}: left {left:?}");
        }
    }

    /// A node does without a line about its certificate only from its next start on.
    #[test]
    fn a_certificate_line_that_is_gone_needs_a_restart() {
        let mut current = config(SourceKind::CommandLine, "certificate chain.pem key.pem");
        let new = config(SourceKind::Relay, "");
        take(&mut current, new.clone());
        assert_eq!(differing(&current, &new), ["certificate"]);
    }
}
