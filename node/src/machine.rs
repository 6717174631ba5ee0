//! What a configuration asks of this machine: processors that are there, and files that nobody
//! else reads. The parser opens nothing, so this comes after it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crs_types::shell;

use crate::config::{Apns, Config, Problem, PushProvider, Severity};
use crate::load::Loader;

/// Permission bits of everybody who is neither the owner nor of the group.
const OTHERS: u32 = 0o007;

/// Reads the configuration and looks at what it asks of this machine. A node starts, and reloads,
/// only with what passes here.
pub fn load(loader: &Loader) -> Result<Config, Vec<Problem>> {
    let mut config = loader.load()?;
    let found = problems(&config, loader);
    config.warnings.extend(found);
    let wrong = config.warnings.iter().any(|problem| problem.severity == Severity::Error);
    if wrong { Err(config.warnings) } else { Ok(config) }
}

fn problems(config: &Config, loader: &Loader) -> Vec<Problem> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut problems = unreadable(config);
    problems.extend(allowed(&status).map(|cpus| processors(config, &cpus)).unwrap_or_default());
    problems.extend(secret_files(config, loader).iter().filter_map(Exposed::problem));
    problems
}

/// Files that hold secrets, for `doctor`, which looks at them again.
pub fn secret_paths(config: &Config, loader: &Loader) -> Vec<PathBuf> {
    let files = secret_files(config, loader).into_iter();
    files.map(|file| std::path::absolute(&file.path).unwrap_or(file.path)).collect()
}

/// Files that the configuration names and a start needs.
fn unreadable(config: &Config) -> Vec<Problem> {
    let certificate = config.certificate.iter().flat_map(|c| [&c.chain, &c.key]);
    certificate
        .filter_map(|path| {
            fs::File::open(path).err().map(|error| Problem::unreadable(path, &error))
        })
        .collect()
}

/// Processors this process may run on (proc_pid_status(5): `0-3,8`).
fn allowed(status: &str) -> Option<Vec<usize>> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cpus = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(cpus)
}

fn processors(config: &Config, allowed: &[usize]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let cpus = &config.relay.cpus;
    let list = allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let mut tell = |severity, directive: &str, expected: String, got: String| {
        problems.push(match config.places.last(directive) {
            Some(place) => Problem::at(severity, place, directive, expected, got),
            None => Problem { got: Some(got), ..Problem::general(severity, expected) },
        });
    };
    for cpu in cpus.iter().filter(|cpu| !allowed.contains(cpu)) {
        let expected = format!("expected a processor that this process may use ({list})");
        tell(Severity::Error, "relay-cpus", expected, cpu.to_string());
    }
    let threads = config.relay.threads;
    if !cpus.is_empty() && cpus.len() != threads {
        let expected = format!("expected one processor for each of the relay-threads ({threads})");
        tell(Severity::Warning, "relay-cpus", expected, cpus.len().to_string());
    }
    if threads > allowed.len() {
        let expected =
            format!("expected at most one thread for each processor ({})", allowed.len());
        tell(Severity::Warning, "relay-threads", expected, threads.to_string());
    }
    problems
}

/// A file with a secret: what it holds, and the directive that names it.
struct Exposed<'a> {
    path: PathBuf,
    holds: &'static str,
    named_by: Option<(&'static str, &'a Config)>,
}

fn secret_files<'a>(config: &'a Config, loader: &Loader) -> Vec<Exposed<'a>> {
    let pool = Exposed {
        path: loader.main_file().to_owned(),
        holds: "the keys of the pool",
        named_by: None,
    };
    let named = |path: &Path, holds, directive| Exposed {
        path: path.to_owned(),
        holds,
        named_by: Some((directive, config)),
    };
    let mut files = vec![pool];
    let certificate = config.certificate.iter();
    files.extend(certificate.map(|c| named(&c.key, "a private key", "certificate")));
    files.extend(config.push.providers.iter().filter_map(|provider| match provider {
        PushProvider::Apns(Apns::Key { file, .. }) => {
            Some(named(file, "a signing key", "push-config"))
        }
        PushProvider::Apns(Apns::Direct) | PushProvider::Other { .. } => None,
    }));
    files
}

impl Exposed<'_> {
    /// A file that is not there is told elsewhere.
    fn problem(&self) -> Option<Problem> {
        let mode = fs::metadata(&self.path).ok()?.permissions().mode() & 0o777;
        if mode & OTHERS == 0 {
            return None;
        }
        let shown = self.path.display().to_string();
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        let expected = format!(
            "expected a file that others cannot read, as it holds {}: chmod o= {}",
            self.holds,
            shell::word(&path.display().to_string())
        );
        let got = format!("mode {mode:o} of {shown}");
        let place = self.named_by.and_then(|(directive, config)| {
            config.places.last(directive).map(|place| (directive, place))
        });
        Some(match place {
            Some((directive, place)) => {
                Problem::at(Severity::Warning, place, directive, expected, got)
            }
            None => {
                let problem = Problem::general(Severity::Warning, expected);
                Problem { file: shown, got: Some(format!("mode {mode:o}")), ..problem }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_of_processors_is_read() {
        let list = |text: &str| allowed(&format!("Name:\tx\nCpus_allowed_list:\t{text}\n"));
        assert_eq!(list("0-2,8").unwrap(), [0, 1, 2, 8]);
        assert_eq!(list("5").unwrap(), [5]);
        assert_eq!(list("x"), None);
        assert_eq!(allowed(""), None, "another kernel is no reason to refuse");
    }
}
