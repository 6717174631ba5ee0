//! What the lines said so far, and the checks that need all of them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crs_actors::Settings;
use crs_ops::LogLevel;
use crs_relay::RelayConfig;
use crs_relay::config::{LegRate, RelayLimits};
use crs_types::NodeName;

use super::Problems;
use super::directive::{missing, missing_at};
use super::listeners;
use super::network::{BULK_PORT, CLIENT_PORT, IW_PORT, MEDIA_PORT, METRICS_PORT, POOL_PORT};
use super::problem::Wrong;
use super::reach;
use super::types::{
    AddrMap, Certificate, Config, DbBackup, Host, Listen, LogSettings, Paths, Place, Places,
    PoolConfig, PoolKey, PushConfig, SourceKind, Sources,
};

/// Longest path of a Unix socket in bytes (unix(7): 108 with the end mark).
const SOCKET_PATH_MAX: usize = 107;

/// A configuration under construction.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) keys: Vec<PoolKey>,
    pub(super) hosts: Vec<NodeName>,
    pub(super) ips: Vec<(NodeName, IpAddr)>,
    pub(super) iw_listen_port: Option<u16>,
    pub(super) server_names: Vec<String>,
    pub(super) mailbox_groups: Option<u16>,
    pub(super) development: bool,
    pub(super) addr_map: Vec<AddrMap>,
    pub(super) push: PushConfig,
    pub(super) settings: Settings,
    pub(super) name: Option<NodeName>,
    pub(super) db_backup: DbBackup,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) accounts_dir: Option<PathBuf>,
    pub(super) scripts_dir: Option<PathBuf>,
    pub(super) backup_dir: Option<PathBuf>,
    pub(super) admin_socket: Option<PathBuf>,
    pub(super) user: Option<String>,
    pub(super) disk_min_free: Option<u64>,
    pub(super) worker_threads: Option<usize>,
    pub(super) certificate: Option<Certificate>,
    pub(super) client_listen: Option<SocketAddr>,
    pub(super) media_listen: Vec<SocketAddr>,
    pub(super) media_address: Vec<IpAddr>,
    pub(super) metrics_listen: Option<Option<SocketAddr>>,
    pub(super) pool_listen: Option<SocketAddr>,
    pub(super) bulk_listen: Option<SocketAddr>,
    pub(super) iw_listen: Option<SocketAddr>,
    pub(super) log_dir: Option<PathBuf>,
    pub(super) log_level: Option<LogLevel>,
    pub(super) log_size: Option<u64>,
    pub(super) log_files: Option<u32>,
    pub(super) log_stderr: bool,
    pub(super) relay_limits: RelayLimits,
    pub(super) max_legs: Option<usize>,
    pub(super) leg_packets: Option<u32>,
    pub(super) leg_bytes: Option<u32>,
    pub(super) relay_threads: Option<usize>,
    pub(super) relay_cpus: Vec<usize>,
    pub(super) relay_offload: bool,
    /// Where the lines stand.
    pub(super) places: Places,
    /// Warnings of the line that is being read.
    pub(super) remarks: Vec<Wrong>,
}

impl Draft {
    /// Adds a warning to the line that is being read.
    pub(super) fn remark(&mut self, text: &str) {
        self.remarks.push(Wrong::expected(text).warning());
    }

    /// Checks what needs several lines and builds the final types. `None` when something that
    /// nothing can stand in for is missing; the problems say what.
    pub(super) fn finish(mut self, sources: &Sources, problems: &mut Problems) -> Option<Config> {
        let files = Files::of(sources);
        if self.keys.is_empty() && !problems.about("key") {
            problems.push(missing(
                &files.pool,
                "expected a line `key <secret>` (make one with: openssl rand -base64 32)",
            ));
        }
        let hosts = self.hosts(problems);
        let name = self.own_name(&hosts, &files, problems);
        let own_ip =
            hosts.iter().find(|host| Some(&host.name) == name.as_ref()).and_then(|host| host.ip);
        let listen = self.listen();
        self.check_loopback(&listen, &files, problems);
        listeners::check(&listen, &self.places, problems);
        let announced = self.announced(name.as_ref(), own_ip);
        reach::check(&listen, &announced, &self.places, problems);
        self.check_socket_path(&files, problems);
        // Without its name the node does not know which of the `ip` lines is its own.
        let lost = name.is_none() && !hosts.is_empty();
        let media_addresses =
            if lost { Vec::new() } else { self.media_addresses(&listen, own_ip, &files, problems) };
        let relay = self.relay(&listen, &files, problems);
        self.settings.log_filter = self.log_level.unwrap_or(LogLevel::Info).to_string();
        Some(Config {
            name: name?,
            listen,
            media_addresses,
            relay,
            paths: self.paths(),
            log: self.log(),
            pool: PoolConfig {
                keys: self.keys,
                hosts,
                iw_listen_port: self.iw_listen_port.unwrap_or(IW_PORT),
                addr_map: self.addr_map,
                server_names: self.server_names,
                development: self.development,
                mailbox_groups: self.mailbox_groups.unwrap_or(crs_types::limits::MAILBOX_GROUPS),
            },
            push: self.push,
            settings: self.settings,
            db_backup: self.db_backup,
            user: self.user,
            disk_min_free: self.disk_min_free.unwrap_or(256 << 20),
            worker_threads: self.worker_threads,
            certificate: self.certificate,
            warnings: Vec::new(),
            places: self.places,
        })
    }

    /// `host` lines with their `ip`; without any `host` line the `ip` lines name the hosts.
    fn hosts(&self, problems: &mut Problems) -> Vec<Host> {
        let ip_of = |name: &NodeName| self.ips.iter().find(|(n, _)| n == name).map(|(_, ip)| *ip);
        if self.hosts.is_empty() {
            return self
                .ips
                .iter()
                .map(|(name, ip)| Host { name: name.clone(), ip: Some(*ip) })
                .collect();
        }
        let lines = self.ips.iter().zip(self.places.of("ip"));
        for ((name, _), place) in lines.filter(|((name, _), _)| !self.hosts.contains(name)) {
            let text = format!("expected a line `host {name}`, as there is `ip {name} …`");
            problems.push(missing_at(place, "ip", text));
        }
        self.hosts.iter().map(|name| Host { name: name.clone(), ip: ip_of(name) }).collect()
    }

    fn own_name(&self, hosts: &[Host], files: &Files, problems: &mut Problems) -> Option<NodeName> {
        let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        match (&self.name, hosts) {
            (Some(name), []) => Some(name.clone()),
            (Some(name), _) if names.contains(&name.as_str()) => Some(name.clone()),
            (Some(name), _) => {
                let text =
                    format!("expected a crsname that crs.conf declares ({})", names.join(", "));
                let wrong = Wrong::expected(text).got(name.as_str()).near(name.as_str(), &names);
                let problem = match self.places.last("crsname") {
                    Some(place) => missing_at(place, "crsname", wrong.expected),
                    None => missing(&files.local, wrong.expected),
                };
                problems.push(super::Problem { got: wrong.got, nearest: wrong.nearest, ..problem });
                None
            }
            (None, [only]) => Some(only.name.clone()),
            (None, _) => {
                if !["crsname", "host", "ip"].iter().any(|directive| problems.about(directive)) {
                    problems.push(missing(
                        &files.local,
                        "expected a line `crsname <name>` with the name of this node",
                    ));
                }
                None
            }
        }
    }

    fn listen(&self) -> Listen {
        let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
        let loopback = SocketAddr::from(([127, 0, 0, 1], METRICS_PORT));
        let media = if self.media_listen.is_empty() {
            vec![any(MEDIA_PORT)]
        } else {
            self.media_listen.clone()
        };
        Listen {
            client: self.client_listen.unwrap_or_else(|| any(CLIENT_PORT)),
            media,
            metrics: self.metrics_listen.unwrap_or(Some(loopback)),
            pool: self.pool_listen.unwrap_or_else(|| any(POOL_PORT)),
            bulk: self.bulk_listen.unwrap_or_else(|| any(BULK_PORT)),
            iw: self.iw_listen.unwrap_or_else(|| any(self.iw_listen_port.unwrap_or(IW_PORT))),
        }
    }

    /// Keys made by `--dev` never meet a public address.
    fn check_loopback(&self, listen: &Listen, files: &Files, problems: &mut Problems) {
        let one = [listen.client, listen.pool, listen.bulk, listen.iw];
        let all = one.iter().chain(&listen.media).chain(listen.metrics.iter());
        for addr in all.filter(|addr| self.development && !addr.ip().is_loopback()) {
            let text = "expected loopback addresses only, because crs.conf was made by --dev";
            let problem = missing(&files.local, text);
            problems.push(super::Problem { got: Some(addr.to_string()), ..problem });
        }
    }

    /// The kernel takes 107 bytes.
    fn check_socket_path(&self, files: &Files, problems: &mut Problems) {
        let length = self.admin_socket.as_ref().map_or(0, |path| path.as_os_str().len());
        if length > SOCKET_PATH_MAX {
            let text = format!(
                "expected an admin-socket of at most {SOCKET_PATH_MAX} bytes, got {length}"
            );
            problems.push(missing(&files.local, text));
        }
    }

    /// The addresses that lines announce to clients, with their lines.
    fn announced(
        &self,
        name: Option<&NodeName>,
        own_ip: Option<IpAddr>,
    ) -> Vec<(IpAddr, &'static str, Option<&Place>)> {
        if !self.media_address.is_empty() {
            let mut lines = self.places.of("media-address");
            let told = |ip: &IpAddr| (*ip, "media-address", lines.next());
            return self.media_address.iter().map(told).collect();
        }
        let mut lines = self.ips.iter().zip(self.places.of("ip"));
        let place = lines.find(|((host, _), _)| Some(host) == name).map(|(_, place)| place);
        own_ip.map(|ip| (ip, "ip", place)).into_iter().collect()
    }

    fn media_addresses(
        &self,
        listen: &Listen,
        own_ip: Option<IpAddr>,
        files: &Files,
        problems: &mut Problems,
    ) -> Vec<IpAddr> {
        if !self.media_address.is_empty() {
            return self.media_address.clone();
        }
        if let Some(ip) = own_ip {
            return vec![ip];
        }
        let bound = listen.media.iter().map(SocketAddr::ip);
        let specific: Vec<IpAddr> = bound.filter(|ip| !ip.is_unspecified()).collect();
        let refused = ["ip", "media-address", "media-listen"].iter().any(|d| problems.about(d));
        if specific.is_empty() && !refused {
            let text = "expected the address at which clients reach the media port: a line `ip <crsname> <IP>` in \
                        crs.conf or `media-address <ip>` in crs-local.conf";
            problems.push(missing(&files.pool, text));
        }
        specific
    }

    fn relay(&self, listen: &Listen, files: &Files, problems: &mut Problems) -> RelayConfig {
        let defaults = RelayConfig::on(listen.media.clone());
        let rate = LegRate {
            packets_per_second: self.leg_packets.unwrap_or(defaults.rate.packets_per_second),
            bytes_per_second: self.leg_bytes.unwrap_or(defaults.rate.bytes_per_second),
        };
        let config = RelayConfig {
            threads: self.relay_threads.unwrap_or(defaults.threads),
            cpus: self.relay_cpus.clone(),
            max_legs: self.max_legs.unwrap_or(defaults.max_legs),
            limits: self.relay_limits,
            rate,
            offload: self.relay_offload,
            ..defaults
        };
        if let Err(error) = config.check() {
            problems.push(missing(&files.relay, error.to_string()));
        }
        config
    }

    fn paths(&self) -> Paths {
        let or =
            |path: &Option<PathBuf>, default: &str| path.clone().unwrap_or_else(|| default.into());
        Paths {
            data: or(&self.data_dir, "/opt/crs/data"),
            accounts: or(&self.accounts_dir, "/opt/crs/accounts"),
            log: or(&self.log_dir, "/var/log/crs"),
            scripts: or(&self.scripts_dir, "/opt/crs/scripts"),
            backup: or(&self.backup_dir, "/opt/crs/backup"),
            admin_socket: or(&self.admin_socket, "/opt/crs/run/crs.sock"),
        }
    }

    fn log(&self) -> LogSettings {
        LogSettings {
            level: self.log_level.unwrap_or(LogLevel::Info),
            max_bytes: self.log_size.unwrap_or(16 << 20),
            keep: self.log_files.unwrap_or(10),
            stderr: self.log_stderr,
        }
    }
}

/// Names of the files, for problems that are in no single line.
struct Files {
    pool: String,
    local: String,
    relay: String,
}

impl Files {
    fn of(sources: &Sources) -> Self {
        let name = |kind, default: &str| {
            sources
                .iter()
                .find(|source| source.kind == kind)
                .map_or_else(|| default.to_owned(), |s| s.name.clone())
        };
        Self {
            pool: name(SourceKind::Pool, "crs.conf"),
            local: name(SourceKind::Local, "crs-local.conf"),
            relay: name(SourceKind::Relay, "crs-relay.conf"),
        }
    }
}
