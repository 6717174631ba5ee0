//! The final types of a configuration: nothing here needs checking again.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crs_actors::Settings;
use crs_ops::LogLevel;
use crs_relay::RelayConfig;
use crs_types::{NodeName, Secret};

use super::Problem;

/// Which of the files a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKind {
    /// `crs.conf`, the same on all nodes.
    Pool,
    /// `crs-local.conf`, of this node only.
    Local,
    /// `crs-relay.conf`, limits of the relay.
    Relay,
    /// The command line: directives of `crs-local.conf` that override the file's.
    CommandLine,
}

/// One file's name and content.
#[derive(Debug, Clone)]
pub struct Source {
    /// Which file it is.
    pub kind: SourceKind,
    /// Its name, as messages show it.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Everything a configuration is made from, parsed in this order.
#[derive(Debug, Clone, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Sorts the sources into their order.
    pub fn new(mut sources: Vec<Source>) -> Self {
        sources.sort_by_key(|source| source.kind);
        Self(sources)
    }

    /// The sources in order.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }
}

/// Where a directive stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as messages show it.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
}

/// Name of the source that the command line's directives are.
pub const COMMAND_LINE: &str = "--set";

/// `crs.conf:12`; the command line has no lines that anybody could count.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.file == COMMAND_LINE { Ok(()) } else { write!(f, ":{}", self.line) }
    }
}

/// Where every directive stands, in the order in which the lines were read.
#[derive(Debug, Clone, Default)]
pub struct Places(Vec<(&'static str, Place)>);

impl Places {
    /// A line of a directive was read.
    pub(super) fn note(&mut self, directive: &'static str, source: &Source, line: usize) {
        self.0.push((directive, Place { file: source.name.clone(), line }));
    }

    /// The lines of a directive.
    pub fn of(&self, directive: &str) -> impl DoubleEndedIterator<Item = &Place> {
        self.0.iter().filter(move |(name, _)| *name == directive).map(|(_, place)| place)
    }

    /// The line of a directive that stands once: the command line comes last and counts.
    pub fn last(&self, directive: &str) -> Option<&Place> {
        self.of(directive).next_back()
    }
}

/// A complete, checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// What all nodes share.
    pub pool: PoolConfig,
    /// Push gateways; kept for the push feature.
    pub push: PushConfig,
    /// What SIGHUP reloads.
    pub settings: Settings,
    /// Name of this node (C-089).
    pub name: NodeName,
    /// Role as backup of the peer (C-090).
    pub db_backup: DbBackup,
    /// Where to listen.
    pub listen: Listen,
    /// Addresses at which clients reach the media port, best first.
    pub media_addresses: Vec<IpAddr>,
    /// Media relay.
    pub relay: RelayConfig,
    /// Folders and files.
    pub paths: Paths,
    /// Log files.
    pub log: LogSettings,
    /// The user the node must run as; `None`: any.
    pub user: Option<String>,
    /// Posts are refused while fewer bytes are free.
    pub disk_min_free: u64,
    /// Threads of the async runtime; `None`: one per processor.
    pub worker_threads: Option<usize>,
    /// A certificate of a public CA in place of the pool's own.
    pub certificate: Option<Certificate>,
    /// Remarks that do not keep the node from starting.
    pub warnings: Vec<Problem>,
    /// Where each directive stands.
    pub places: Places,
}

impl Config {
    /// Every file and folder that is named, but for the admin socket.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let Paths { data, accounts, log, scripts, backup, admin_socket: _ } = &mut self.paths;
        let certificate = self.certificate.iter_mut().flat_map(|c| [&mut c.chain, &mut c.key]);
        let keys = self.push.providers.iter_mut().filter_map(|provider| match provider {
            PushProvider::Apns(Apns::Key { file, .. }) => Some(file),
            PushProvider::Apns(Apns::Direct) | PushProvider::Other { .. } => None,
        });
        [data, accounts, log, scripts, backup].into_iter().chain(certificate).chain(keys)
    }
}

/// What all nodes of a pool share.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// `key` lines: the first is used, the others are accepted too while it is being replaced.
    pub keys: Vec<PoolKey>,
    /// `host` and `ip` lines, in file order.
    pub hosts: Vec<Host>,
    /// `iw-listen-port` (C-074).
    pub iw_listen_port: u16,
    /// `addr-map` lines, in file order (C-085).
    pub addr_map: Vec<AddrMap>,
    /// DNS names in the nodes' certificates.
    pub server_names: Vec<String>,
    /// Mailbox groups of a new pool.
    pub mailbox_groups: u16,
    /// Made by `--dev`: loopback only.
    pub development: bool,
}

/// A pool key.
#[derive(Debug, Clone)]
pub struct PoolKey {
    /// The secret bytes.
    pub secret: Secret,
    /// Its declared length.
    pub length: KeyLength,
}

/// Length of a shared key and so the cipher of the links it protects (design.md §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyLength {
    /// `128bit`.
    Bits128,
    /// `256bit`.
    Bits256,
}

impl KeyLength {
    /// Least number of secret bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::Bits128 => 16,
            Self::Bits256 => 32,
        }
    }
}

impl fmt::Display for KeyLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bits128 => "128bit",
            Self::Bits256 => "256bit",
        })
    }
}

/// A node of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub name: NodeName,
    /// Its public address (C-071).
    pub ip: Option<IpAddr>,
}

/// One `addr-map` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddrMap {
    /// Address as it is known.
    pub from: IpAddr,
    /// Address to use instead.
    pub to: IpAddr,
}

/// Push settings (C-075…C-077), kept for the push feature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushConfig {
    /// `features push`.
    pub enabled: bool,
    /// `cps` line.
    pub cps: Option<Cps>,
    /// `push-config` lines.
    pub providers: Vec<PushProvider>,
}

/// The push gateway (C-075).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cps {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Our id there.
    pub id: String,
    /// Shared secret.
    pub secret: Secret,
    /// Its length.
    pub length: KeyLength,
}

/// One `push-config` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushProvider {
    /// `push-config apns …`.
    Apns(Apns),
    /// `push-config fcm|webpush|unifiedpush …`: words kept as written.
    Other {
        /// Provider.
        name: String,
        /// Its arguments.
        words: Vec<String>,
    },
}

/// How APNs is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Apns {
    /// `type direct` (C-077): tokens from the gateway, pushes direct.
    Direct,
    /// `key <p8> <kid> <team> <topic>`: the operator's own app.
    Key {
        /// File of the signing key.
        file: PathBuf,
        /// Key id.
        key_id: String,
        /// Team id.
        team: String,
        /// Topic.
        topic: String,
    },
}

/// `db-backup` (C-090…C-093).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DbBackup {
    /// Not a backup of the peer.
    #[default]
    None,
    /// Full replica.
    ReplicateFromPeer,
    /// Single-voter recovery after the peer is gone for good.
    ReadFrom,
}

/// Addresses to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Clients and remote admins, TLS.
    pub client: SocketAddr,
    /// Media, UDP; best first.
    pub media: Vec<SocketAddr>,
    /// Metrics and health, HTTP; `None` when switched off.
    pub metrics: Option<SocketAddr>,
    /// Pool control (QUIC); for the pool feature.
    pub pool: SocketAddr,
    /// Pool bulk (QUIC); for the pool feature.
    pub bulk: SocketAddr,
    /// Inter-working (TLS); for the federation feature.
    pub iw: SocketAddr,
}

/// Folders and files of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Data folder (C-061).
    pub data: PathBuf,
    /// Account folders (C-060).
    pub accounts: PathBuf,
    /// Log folder (C-064).
    pub log: PathBuf,
    /// Folder of `notify.sh` (C-063).
    pub scripts: PathBuf,
    /// Backup archives (C-062).
    pub backup: PathBuf,
    /// Unix socket of `crs-cli`.
    pub admin_socket: PathBuf,
}

/// Log files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// Least important Type.
    pub level: LogLevel,
    /// Size at which a file is rotated.
    pub max_bytes: u64,
    /// Rotated files kept.
    pub keep: u32,
    /// Also to standard error.
    pub stderr: bool,
}

/// A certificate of a public CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// PEM file with the chain, leaf first.
    pub chain: PathBuf,
    /// PEM file with the key (PKCS#8).
    pub key: PathBuf,
}
