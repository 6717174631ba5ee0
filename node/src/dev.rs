//! `crs-node --dev`: a configuration for trying out, made in a new folder; loopback only (U2).

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crs_types::{Rng, Secret};

use crate::cli::{Files, Run};

/// Folder made when `--data` names none.
const DEFAULT_FOLDER: &str = "crs-dev";

/// The default hook: one line to syslog for each event (C-445).
pub const NOTIFY_SCRIPT: &str = include_str!("../../scripts/notify.sh");

/// A development pool cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// The address is reachable from outside.
    #[error(
        "--dev runs with development keys and listens on loopback only, not on {0}; for other addresses write a crs.conf"
    )]
    NotLoopback(IpAddr),
    /// The folder is somebody else's.
    #[error("{path} holds {example} but no crs.conf; name an empty or a new folder with --data", path = path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// One of the things in it.
        example: String,
    },
    /// No ports, or no folder.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why not.
        source: io::Error,
    },
}

/// Makes the files of a development pool unless the folder has them from before, and says where
/// they are.
pub fn prepare(run: &Run, files: &Files, rng: &mut dyn Rng) -> Result<Files, DevError> {
    let bind = run.bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    if !bind.is_loopback() {
        return Err(DevError::NotLoopback(bind));
    }
    let folder = files.data.clone().unwrap_or_else(|| DEFAULT_FOLDER.into());
    let what = format!("make the folder {}", folder.display());
    let folder = io_step(&what, make_folder(&folder))?;
    let config = folder.join("crs.conf");
    if !config.exists() {
        refuse_foreign(&folder)?;
        let ports = io_step("find free ports", Ports::choose(bind, run.port_base))?;
        write_files(&folder, bind, &ports, rng)?;
    }
    Ok(Files { config, local_config: None, relay_config: None, data: None, ..files.clone() })
}

fn make_folder(path: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(path)?;
    path.canonicalize()
}

fn refuse_foreign(path: &Path) -> Result<(), DevError> {
    let mut names: Vec<String> = io_step("read the folder", fs::read_dir(path))?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    match names.into_iter().next() {
        None => Ok(()),
        Some(example) => Err(DevError::Foreign { path: path.to_owned(), example }),
    }
}

/// Ports of a development pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ports {
    client: u16,
    media: u16,
    metrics: u16,
    pool: u16,
    bulk: u16,
    iw: u16,
}

impl Ports {
    fn choose(bind: IpAddr, base: Option<u16>) -> io::Result<Self> {
        match base {
            Some(base) => Self::from_base(base),
            None => Self::free(bind),
        }
    }

    fn from_base(base: u16) -> io::Result<Self> {
        let port = |offset: u16| {
            base.checked_add(offset).filter(|_| base > 0).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("--port-base {base} leaves no room for six ports"),
                )
            })
        };
        Ok(Self {
            client: port(0)?,
            media: port(1)?,
            metrics: port(2)?,
            pool: port(3)?,
            bulk: port(4)?,
            iw: port(5)?,
        })
    }

    /// Takes all six before giving any back, so that they differ.
    fn free(bind: IpAddr) -> io::Result<Self> {
        let any = SocketAddr::new(bind, 0);
        let tcp = [TcpListener::bind(any)?, TcpListener::bind(any)?, TcpListener::bind(any)?];
        let udp = [UdpSocket::bind(any)?, UdpSocket::bind(any)?, UdpSocket::bind(any)?];
        let tcp_port = |at: usize| tcp[at].local_addr().map(|addr| addr.port());
        let udp_port = |at: usize| udp[at].local_addr().map(|addr| addr.port());
        Ok(Self {
            client: tcp_port(0)?,
            metrics: tcp_port(1)?,
            iw: tcp_port(2)?,
            media: udp_port(0)?,
            pool: udp_port(1)?,
            bulk: udp_port(2)?,
        })
    }
}

fn write_files(
    folder: &Path,
    bind: IpAddr,
    ports: &Ports,
    rng: &mut dyn Rng,
) -> Result<(), DevError> {
    let key = Secret::generate(rng, 32);
    let pool = format!(
        "# Made by crs-node --dev: development keys, not for production.\n\
         development\nkey {} 256bit\nhost crs1\nip crs1 {bind}\nserver-name localhost\n",
        key.to_base64().as_str()
    );
    let at = |port| SocketAddr::new(bind, port);
    let mut local = "# Made by crs-node --dev.\ncrsname crs1\n".to_owned();
    for (directive, port) in [
        ("client-listen", ports.client),
        ("media-listen", ports.media),
        ("metrics-listen", ports.metrics),
        ("pool-listen", ports.pool),
        ("bulk-listen", ports.bulk),
        ("iw-listen", ports.iw),
    ] {
        // Writing to a String cannot fail.
        let _infallible = writeln!(local, "{directive} {}", at(port));
    }
    local.push_str(
        "data-dir data\naccounts-dir accounts\nlog-dir log\nscripts-dir scripts\nbackup-dir backup\n\
         admin-socket run/crs.sock\n",
    );
    let relay = "# Limits of the media relay: none.\n";
    io_step("write the script", write_script(folder))?;
    io_step("write crs-relay.conf", write(&folder.join("crs-relay.conf"), relay, 0o640))?;
    io_step("write crs-local.conf", write(&folder.join("crs-local.conf"), &local, 0o640))?;
    // Last: a folder with a crs.conf is complete.
    io_step("write crs.conf", write(&folder.join("crs.conf"), &pool, 0o600))
}

fn write_script(folder: &Path) -> io::Result<()> {
    let scripts = folder.join("scripts");
    fs::create_dir_all(&scripts)?;
    write(&scripts.join("notify.sh"), NOTIFY_SCRIPT, 0o750)
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

fn io_step<T>(what: &str, result: io::Result<T>) -> Result<T, DevError> {
    result.map_err(|source| DevError::Io { what: what.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use crs_types::rng::SeededRng;

    use crate::cli::Cli;
    use crate::load::Loader;

    use super::*;

    fn cli(arguments: &[&str]) -> Cli {
        Cli::parse_from([&["crs-node", "--dev"], arguments].concat())
    }

    fn prepared(cli: &Cli) -> Result<Files, DevError> {
        prepare(&cli.run, &cli.files, &mut SeededRng::new(1))
    }

    #[test]
    fn an_empty_folder_becomes_a_pool_on_loopback_and_stays_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("dev");
        let cli = cli(&["--data", folder.to_str().unwrap()]);
        let config = Loader::new(&prepared(&cli).unwrap()).load().unwrap();
        assert!(
            config.listen.client.ip().is_loopback() && config.listen.media[0].ip().is_loopback()
        );
        assert!(config.paths.data.starts_with(folder.canonicalize().unwrap()));
        assert_eq!(config.warnings, []);

        let again = Loader::new(&prepared(&cli).unwrap()).load().unwrap();
        assert_eq!(again.listen, config.listen);
        assert_eq!(again.pool.keys[0].secret, config.pool.keys[0].secret);
    }

    #[test]
    fn development_keys_never_meet_a_public_address() {
        let dir = tempfile::tempdir().unwrap();
        let refused = cli(&["--bind", "0.0.0.0", "--data", dir.path().to_str().unwrap()]);
        assert!(matches!(prepared(&refused), Err(DevError::NotLoopback(_))));

        let made = cli(&["--data", dir.path().to_str().unwrap()]);
        let mut files = prepared(&made).unwrap();
        files.set = vec!["client-listen 0.0.0.0:5223".into()];
        let problems = Loader::new(&files).load().unwrap_err();
        assert!(problems[0].to_string().contains("loopback"), "{problems:?}");
    }

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.odt"), "x").unwrap();
        let cli = cli(&["--data", dir.path().to_str().unwrap()]);
        assert!(matches!(prepared(&cli), Err(DevError::Foreign { .. })));
    }

    #[test]
    fn ports_follow_the_base() {
        let ports = Ports::from_base(15000).unwrap();
        assert_eq!((ports.client, ports.media, ports.iw), (15000, 15001, 15005));
        assert!(Ports::from_base(65533).is_err());
    }
}
