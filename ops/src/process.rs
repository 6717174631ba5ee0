//! Figures of the own process from `/proc`: memory, processor time, open files.

use std::fs;

use metrics::{Counter, Gauge};

use crate::Metrics;

/// A reading of the own process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessFigures {
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Processor time used so far, user and system, in seconds.
    pub cpu_seconds: f64,
    /// Open file descriptors.
    pub open_files: u64,
    /// Soft limit of open file descriptors.
    pub max_files: u64,
    /// Threads.
    pub threads: u64,
}

/// Reads the figures; what cannot be read is 0.
pub fn read() -> ProcessFigures {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    ProcessFigures {
        resident_bytes: status_field(&status, "VmRSS:") * 1024,
        cpu_seconds: cpu_seconds(&stat),
        open_files: fs::read_dir("/proc/self/fd").map_or(0, |dir| dir.count() as u64),
        max_files: max_files(&limits),
        threads: status_field(&status, "Threads:"),
    }
}

/// Publishes the figures, read at every scrape.
pub fn publish(metrics: &Metrics) {
    let handles = Handles {
        resident: metrics.gauge(
            "crs_process_resident_memory_bytes",
            "Resident memory of the node.",
            &[],
        ),
        cpu: metrics.counter(
            "crs_process_cpu_seconds_total",
            "Processor time used by the node, in whole seconds.",
            &[],
        ),
        files: metrics.gauge("crs_process_open_fds", "Open file descriptors.", &[]),
        max_files: metrics.gauge("crs_process_max_fds", "Limit of open file descriptors.", &[]),
        threads: metrics.gauge("crs_process_threads", "Threads of the node.", &[]),
    };
    metrics.on_scrape(move || handles.set(&read()));
}

struct Handles {
    resident: Gauge,
    cpu: Counter,
    files: Gauge,
    max_files: Gauge,
    threads: Gauge,
}

impl Handles {
    fn set(&self, figures: &ProcessFigures) {
        self.resident.set(figures.resident_bytes as f64);
        self.cpu.absolute(figures.cpu_seconds as u64);
        self.files.set(figures.open_files as f64);
        self.max_files.set(figures.max_files as f64);
        self.threads.set(figures.threads as f64);
    }
}

fn status_field(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

fn max_files(limits: &str) -> u64 {
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// Fields 14 and 15 of proc(5) stat, counted after the command name, in ticks of 10 ms.
fn cpu_seconds(stat: &str) -> f64 {
    let Some((_, after_name)) = stat.rsplit_once(')') else { return 0.0 };
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_has_figures() {
        let figures = read();
        assert!(figures.resident_bytes > 100_000);
        assert!(figures.open_files > 0 && figures.max_files >= figures.open_files);
        assert!(figures.threads >= 1);
    }

    #[test]
    fn a_command_name_with_blanks_and_brackets_does_not_confuse() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20";
        assert_eq!(cpu_seconds(stat), 2.0);
    }
}
