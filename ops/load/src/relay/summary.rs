//! From runs to the result: medians of the valid runs of both sides, and their ratio.

use serde::Serialize;

use super::measure::Run;

/// One load and what both sides made of it. Medians of the valid runs.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    /// `50%`, `80%` or `flood`.
    pub(super) load: &'static str,
    /// Packets per second offered to the relay.
    pub(super) offered: f64,
    pub(super) relay_pps: f64,
    pub(super) floor_pps: f64,
    pub(super) relay_loss: f64,
    pub(super) floor_loss: f64,
    pub(super) relay_cpu_s_per_mpkt: f64,
    pub(super) floor_cpu_s_per_mpkt: f64,
    /// Runs of each side that counted.
    pub(super) valid_runs: [usize; 2],
    /// Runs of each side that were thrown away, because the pinned thread did not have its core.
    pub(super) discarded_runs: [usize; 2],
}

/// The last line of standard output.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    /// CPU per packet over the floor's, the worst of the rows.
    pub(super) ratio: f64,
    /// Forwarded packets per second in the flood over the floor's.
    pub(super) flood_ratio: f64,
    /// Every row has at least three valid runs of each side.
    pub(super) valid: bool,
    /// Bytes of UDP payload of each packet.
    pub(super) packet_bytes: usize,
    pub(super) calls: usize,
    /// CPU of the forwarders, CPU of the sender.
    pub(super) cpus: [usize; 2],
}

/// Valid runs that a row needs of each side.
const RUNS_MIN: usize = 3;

/// Runs of one side at one load.
#[derive(Debug, Clone, Default)]
pub(super) struct Side {
    pub(super) valid: Vec<Run>,
    pub(super) discarded: usize,
}

impl Side {
    fn median(&self, of: impl Fn(&Run) -> f64) -> f64 {
        let mut values: Vec<f64> = self.valid.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

impl Row {
    pub(super) fn new(load: &'static str, relay: &Side, floor: &Side) -> Self {
        Self {
            load,
            offered: relay.median(|run| run.offered).round(),
            relay_pps: relay.median(|run| run.pps).round(),
            floor_pps: floor.median(|run| run.pps).round(),
            relay_loss: relay.median(|run| run.loss),
            floor_loss: floor.median(|run| run.loss),
            relay_cpu_s_per_mpkt: relay.median(|run| run.cpu_s_per_mpkt),
            floor_cpu_s_per_mpkt: floor.median(|run| run.cpu_s_per_mpkt),
            valid_runs: [relay.valid.len(), floor.valid.len()],
            discarded_runs: [relay.discarded, floor.discarded],
        }
    }
}

impl Report {
    pub(super) fn new(rows: Vec<Row>, calls: usize, cpus: [usize; 2]) -> Self {
        let ratios = rows.iter().map(|row| row.relay_cpu_s_per_mpkt / row.floor_cpu_s_per_mpkt);
        let ratio = ratios.fold(0.0, f64::max);
        let flood = rows.iter().find(|row| row.load == "flood");
        let flood_ratio = flood.map_or(f64::NAN, |row| row.relay_pps / row.floor_pps);
        let valid = rows.iter().all(|row| row.valid_runs.iter().all(|runs| *runs >= RUNS_MIN));
        Self { rows, ratio, flood_ratio, valid, packet_bytes: super::clients::PACKET, calls, cpus }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(cpus: &[f64]) -> Side {
        let run = |cpu_s_per_mpkt: &f64| Run {
            offered: 100.0,
            pps: 100.0 / cpu_s_per_mpkt,
            loss: 0.0,
            cpu_s_per_mpkt: *cpu_s_per_mpkt,
            busy: 1.0,
            robbed: 0.0,
        };
        Side { valid: cpus.iter().map(run).collect(), discarded: 0 }
    }

    #[test]
    fn the_worst_row_is_the_ratio_and_too_few_runs_are_not_valid() {
        let rows = vec![
            Row::new("50%", &side(&[1.1, 9.0, 1.0]), &side(&[1.0, 1.0, 1.0])),
            Row::new("flood", &side(&[1.25, 1.25, 1.25]), &side(&[1.0, 1.0, 1.0])),
        ];
        let report = Report::new(rows.clone(), 1, [1, 0]);
        assert!((report.ratio - 1.25).abs() < 1e-9, "{}", report.ratio);
        assert!((report.flood_ratio - 0.8).abs() < 1e-9);
        assert!(report.valid);
        let few = vec![Row::new("flood", &side(&[1.0]), &side(&[1.0, 1.0, 1.0]))];
        assert!(!Report::new(few, 1, [1, 0]).valid);
    }
}
