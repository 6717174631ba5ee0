//! What the node prints once it serves: where it listens and what to do next.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crs_types::shell;
use serde::Serialize;

use crate::config::Config;
use crate::folder::DataFolder;
use crate::identity::POOL_CA_FILE;
use crate::serve::Environment;

/// Addresses that were really bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// Clients.
    #[serde(serialize_with = "first")]
    pub client: Vec<SocketAddr>,
    /// Media, best first.
    pub media: Vec<SocketAddr>,
    /// Metrics and health.
    pub metrics: Option<SocketAddr>,
}

/// The line for programs.
#[derive(Serialize)]
struct Ready<'a> {
    ready: bool,
    node: &'a str,
    pid: u32,
    #[serde(flatten)]
    addresses: &'a Addresses,
    admin_socket: &'a Path,
    pool_ca: PathBuf,
    data: &'a Path,
    log: &'a Path,
    created: &'a [PathBuf],
}

/// Prints to standard output; a closed pipe there is nobody's fault.
pub fn ready(
    config: &Config,
    environment: &Environment,
    addresses: &Addresses,
    folder: &DataFolder,
) {
    let pool_ca = config.paths.data.join(POOL_CA_FILE);
    let text = if environment.ready_json {
        let line = Ready {
            ready: true,
            node: config.name.as_str(),
            pid: std::process::id(),
            addresses,
            admin_socket: &config.paths.admin_socket,
            pool_ca,
            data: &config.paths.data,
            log: &config.paths.log,
            created: &folder.created,
        };
        serde_json::to_string(&line).map(|line| line + "\n").unwrap_or_default()
    } else {
        people(config, addresses, folder, &pool_ca)
    };
    let mut out = std::io::stdout().lock();
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn people(config: &Config, addresses: &Addresses, folder: &DataFolder, pool_ca: &Path) -> String {
    let mut lines = Vec::new();
    if !folder.created.is_empty() {
        lines.push("first start, created:".to_owned());
        lines.extend(folder.created.iter().map(|path| format!("  {}", path.display())));
    }
    lines.push(format!("{} serves:", config.name));
    lines.extend(addresses.client.iter().map(|addr| format!("  clients   tcp {addr}")));
    lines.extend(addresses.media.iter().map(|addr| format!("  media     udp {addr}")));
    lines.extend(addresses.metrics.iter().map(|addr| format!("  metrics   http://{addr}/metrics")));
    lines.push(format!("  crs-cli   {}", socket(config).display()));
    lines.push(format!("  logs      {}", config.paths.log.display()));
    if config.pool.development {
        lines.extend(next_steps(config, addresses, pool_ca));
    }
    lines.join("\n") + "\n"
}

/// As it is called from any folder.
fn socket(config: &Config) -> PathBuf {
    let path = &config.paths.admin_socket;
    std::path::absolute(path).unwrap_or_else(|_| path.clone())
}

/// Two commands to paste: an account whose secret goes into a file that only this user reads, and
/// its key management.
fn next_steps(config: &Config, addresses: &Addresses, pool_ca: &Path) -> [String; 5] {
    let word = |path: &Path| shell::word(&path.display().to_string()).into_owned();
    [
        String::new(),
        "Development keys, loopback only: NOT FOR PRODUCTION. Next:".to_owned(),
        format!(
            "  (umask 077; {} --socket {} create account demo -o tsv --no-header | cut -f 3 > demo.secret)",
            sibling("crs-cli"),
            word(&socket(config))
        ),
        format!(
            "  {} init --account demo --secret-file demo.secret --server {} --server-ca {} ./demo",
            sibling("crs-cms"),
            addresses.client.first().map(ToString::to_string).unwrap_or_default(),
            word(pool_ca)
        ),
        "Stop with ctrl-c.".to_owned(),
    ]
}

/// Programs get one address.
fn first<S: serde::Serializer>(addrs: &[SocketAddr], serializer: S) -> Result<S::Ok, S::Error> {
    addrs.first().serialize(serializer)
}

/// The program beside this one, when it is there: a build folder is in nobody's PATH.
fn sibling(name: &str) -> String {
    let beside = std::env::current_exe().ok().map(|exe| exe.with_file_name(name));
    beside.filter(|path| path.is_file()).map_or_else(
        || name.to_owned(),
        |path| shell::word(&path.display().to_string()).into_owned(),
    )
}
