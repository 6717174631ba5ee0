//! What a process costs, seen from outside: /proc (proc(5)).

use std::fs;

use anyhow::Context;

/// Proportional set size in bytes: memory shared with other processes is split among them.
pub fn pss_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = text.lines().find(|line| line.starts_with("Pss:")).context("no Pss line")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no Pss value")?.parse()?;
    Ok(kib * 1024)
}

/// CPU seconds, user and system, of all threads so far.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    // The command in parentheses may hold spaces; fields 14 and 15 are counted behind it.
    let (_, rest) = text.rsplit_once(") ").context("malformed stat")?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next().context("no utime")?.parse()?;
    let system: f64 = fields.next().context("no stime")?.parse()?;
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.context("no CLK_TCK")?;
    Ok((user + system) / ticks as f64)
}

/// The tester's own share of the machine since a point in time.
#[derive(Debug)]
pub struct Tester {
    clock: crs_types::SystemClock,
    start: crs_types::Mono,
    cpu: f64,
}

impl Tester {
    /// Starts to count.
    pub fn start() -> anyhow::Result<Self> {
        let clock = crs_types::SystemClock::new();
        let start = crs_types::Clock::mono(&clock);
        Ok(Self { clock, start, cpu: cpu_seconds(std::process::id())? })
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        crs_types::Clock::mono(&self.clock).since(self.start).as_secs_f64()
    }

    /// CPU time of this process as a share of one core for each core of the machine, 0 to 1.
    pub fn share(&self) -> anyhow::Result<f64> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let used = cpu_seconds(std::process::id())? - self.cpu;
        Ok(used / (self.seconds() * cores).max(0.001))
    }
}

/// Files that a node keeps free beside one for each client, and those it opens for itself.
const NODE_FILES: u64 = 700;

/// Raises this process's limit of open files as far as it may go; says so when that is too little
/// for `own` files here or, when a node is started, for `clients` connections there: it inherits
/// the limit.
pub fn raise_file_limit_for(own: usize, clients: usize, spawn: bool) -> anyhow::Result<()> {
    let node = if spawn { clients as u64 + NODE_FILES } else { 0 };
    raise_file_limit((own as u64 + 200).max(node))
}

/// Raises this process's limit of open files as far as it may go; says so when that is too little.
pub fn raise_file_limit(needed: u64) -> anyhow::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    if hard < needed {
        anyhow::bail!(
            "this load needs {needed} open files and the limit is {hard}: raise it \
             (`ulimit -n {needed}` as root, or LimitNOFILE) or take fewer clients"
        );
    }
    Ok(())
}
