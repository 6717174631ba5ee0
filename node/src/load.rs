//! Reads the configuration files: the only part of configuration that touches the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crs_types::shell;

use crate::cli::{DEFAULT_CONFIG, Files};
use crate::config::{self, Config, Problem, Source, SourceKind, Sources, Strictness};

/// Files and settings a configuration is made from; kept, so that SIGHUP reads the same again.
#[derive(Debug, Clone)]
pub struct Loader {
    pool: PathBuf,
    local: Optional,
    relay: Optional,
    overrides: Vec<String>,
    strictness: Strictness,
}

/// A file that may be absent unless it was named.
#[derive(Debug, Clone)]
struct Optional {
    path: PathBuf,
    named: bool,
}

impl Loader {
    /// From the command line.
    pub fn new(files: &Files) -> Self {
        let beside = |name: &str| files.config.with_file_name(name);
        let optional = |named: &Option<PathBuf>, name: &str| Optional {
            path: named.clone().unwrap_or_else(|| beside(name)),
            named: named.is_some(),
        };
        let mut overrides = files.set.clone();
        if let Some(data) = &files.data {
            overrides.push(format!("data-dir {}", quoted(data)));
        }
        Self {
            pool: files.config.clone(),
            local: optional(&files.local_config, "crs-local.conf"),
            relay: optional(&files.relay_config, "crs-relay.conf"),
            overrides,
            strictness: if files.lenient { Strictness::Lenient } else { Strictness::Strict },
        }
    }

    /// Reads and parses. A file that cannot be read is one of the problems.
    pub fn load(&self) -> Result<Config, Vec<Problem>> {
        let mut sources = Vec::new();
        let mut problems = Vec::new();
        let mut take = |kind, path: &Path, needed: bool| match read(path) {
            Ok(bytes) => sources.push(Source { kind, name: path.display().to_string(), bytes }),
            Err(error) if !needed && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => problems.push(Problem::unreadable(path, &error)),
        };
        take(SourceKind::Pool, &self.pool, true);
        take(SourceKind::Local, &self.local.path, self.local.named);
        take(SourceKind::Relay, &self.relay.path, self.relay.named);
        if !self.overrides.is_empty() {
            let bytes = self.overrides.join("\n").into_bytes();
            sources.push(Source {
                kind: SourceKind::CommandLine,
                name: config::COMMAND_LINE.into(),
                bytes,
            });
        }
        if problems.is_empty() {
            let mut config = config::parse(&Sources::new(sources), self.strictness)?;
            config.files_mut().for_each(make_absolute);
            return Ok(config);
        }
        // What the readable files say is told as well, but for what only the others could say.
        if let Err(more) = config::parse(&Sources::new(sources), self.strictness) {
            problems.extend(more.into_iter().filter(|problem| problem.line.is_some()));
        }
        Err(problems)
    }

    /// As [`Self::load`], but a machine without any configuration gets the defaults; the second
    /// value tells that.
    pub fn load_or_defaults(&self) -> Result<(Config, bool), Vec<Problem>> {
        if self.pool != Path::new(DEFAULT_CONFIG) || self.pool.exists() {
            return self.load().map(|config| (config, false));
        }
        let source = Source {
            kind: SourceKind::Pool,
            name: "defaults".into(),
            // A place holder that protects nothing: no node is started from this.
            bytes: b"key 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\nip crs1 192.0.2.1".to_vec(),
        };
        config::parse(&Sources::new(vec![source]), self.strictness).map(|config| (config, true))
    }

    /// The command that explains these files, from whatever folder it is called.
    pub fn check_command(&self) -> String {
        let word = |path: &Path| {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            shell::word(&path.display().to_string()).into_owned()
        };
        let mut command = "crs-node check".to_owned();
        if self.pool != Path::new(DEFAULT_CONFIG) {
            command = format!("{command} --config {}", word(&self.pool));
        }
        for (option, file) in [("--local-config", &self.local), ("--relay-config", &self.relay)] {
            if file.named {
                command = format!("{command} {option} {}", word(&file.path));
            }
        }
        for directive in &self.overrides {
            command = format!("{command} --set {}", shell::word(directive));
        }
        if self.strictness == Strictness::Lenient { command + " --lenient" } else { command }
    }

    /// The file that most directives stand in, for messages.
    pub fn main_file(&self) -> &Path {
        &self.pool
    }
}

/// What is printed about a file must hold in every folder. A socket's path may be too long for
/// the kernel then: it stays as it is.
fn make_absolute(path: &mut PathBuf) {
    if let Ok(absolute) = std::path::absolute(&*path) {
        *path = absolute;
    }
}

/// Reads at most a little more than the parser takes, so that a wrong path to something huge is
/// refused instead of read.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(config::FILE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
