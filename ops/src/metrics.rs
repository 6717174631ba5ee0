//! The metrics of one node: a Prometheus recorder of its own, from which every crate builds its
//! struct of handles (U33, Q-51).
//!
//! Rules: names begin with `crs_`, use base units, counters end in `_total`; labels are account,
//! node and type, never a user. [`Metrics::counter`] and its sisters refuse a name that breaks
//! them in debug builds.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

/// What `crs_build_info` says.
#[derive(Debug, Clone)]
pub struct BuildInfo {
    /// Version of the program, as in `--version`.
    pub version: String,
    /// Name of the node (C-089).
    pub node: String,
}

/// Builds metric handles and renders them. Cheap to clone; one per node.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    collectors: Arc<Mutex<Vec<Collector>>>,
}

type Collector = Box<dyn Fn() + Send + Sync>;

impl Metrics {
    /// A fresh recorder holding `crs_build_info`.
    pub fn new(build: &BuildInfo) -> Self {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        let metrics = Self {
            recorder: Arc::new(recorder),
            handle,
            collectors: Arc::new(Mutex::new(Vec::new())),
        };
        metrics
            .gauge(
                "crs_build_info",
                "Always 1; the labels tell version and node.",
                &[("version", &build.version), ("node", &build.node)],
            )
            .set(1.0);
        metrics
    }

    /// A counter. `name` ends in `_total`; `labels` are fixed for the life of the handle.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Counter {
        debug_assert!(name.ends_with("_total"), "{name}: a counter ends in _total");
        self.recorder.describe_counter(described(name), None, help.into());
        self.recorder.register_counter(&key(name, labels), &METADATA)
    }

    /// A gauge, in base units (`_bytes`, `_seconds`, or a plain count).
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Gauge {
        debug_assert!(!name.ends_with("_total"), "{name}: only counters end in _total");
        self.recorder.describe_gauge(described(name), None, help.into());
        self.recorder.register_gauge(&key(name, labels), &METADATA)
    }

    /// A histogram of seconds, bytes or sizes of batches: the buckets follow the name's suffix.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Histogram {
        debug_assert!(
            BUCKETS.iter().any(|(suffix, _)| name.ends_with(suffix)),
            "{name}: a histogram ends in its unit"
        );
        self.recorder.describe_histogram(described(name), None, help.into());
        self.recorder.register_histogram(&key(name, labels), &METADATA)
    }

    /// Registers a function that runs before every rendering, for figures that are summed at
    /// scrape (relay counters, `/proc`). It must not block.
    pub fn on_scrape(&self, collect: impl Fn() + Send + Sync + 'static) {
        self.collectors.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(collect));
    }

    /// The Prometheus text format, version 0.0.4.
    pub fn render(&self) -> String {
        for collect in self.collectors.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            collect();
        }
        self.handle.render()
    }

    /// Moves histogram samples out of their buffers. [`crate::HealthServer`] calls it every few
    /// seconds, so that a node nobody scrapes does not grow.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Metrics for tests and tools that show none.
impl Default for Metrics {
    fn default() -> Self {
        Self::new(&BuildInfo { version: "test".into(), node: "test".into() })
    }
}

static METADATA: Metadata<'static> = Metadata::new("crs", Level::INFO, None);

/// 100 µs … 60 s: a durable write up to the longest request deadline.
const SECONDS: &[f64] = &[
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0, 60.0,
];
/// 64 B … 1 MiB: a small frame up to more than the largest one.
const BYTES: &[f64] = &[64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0];
/// Sizes of batches.
const COUNTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// What a histogram's name ends with, and its buckets. `_count` is none of them: the exposition
/// puts that behind every histogram's name itself.
const BUCKETS: &[(&str, &[f64])] =
    &[("_seconds", SECONDS), ("_bytes", BYTES), ("_commands", COUNTS), ("_writes", COUNTS)];

fn builder() -> PrometheusBuilder {
    BUCKETS.iter().fold(PrometheusBuilder::new(), |builder, (suffix, buckets)| {
        builder
            .set_buckets_for_metric(Matcher::Suffix((*suffix).to_owned()), buckets)
            .expect("the bucket lists above are not empty")
    })
}

fn described(name: &'static str) -> KeyName {
    debug_assert!(name.starts_with("crs_"), "{name}: metrics begin with crs_");
    KeyName::from_const_str(name)
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> =
        labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(name, labels)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn handles_are_rendered_with_help_and_labels() {
        let metrics = Metrics::default();
        metrics.counter("crs_demo_total", "Things done.", &[("type", "rtp")]).increment(3);
        metrics.gauge("crs_demo_bytes", "Bytes held.", &[]).set(7.0);
        let text = metrics.render();
        for line in [
            "# HELP crs_demo_total Things done.",
            "# TYPE crs_demo_total counter",
            "crs_demo_total{type=\"rtp\"} 3",
            "# TYPE crs_demo_bytes gauge",
            "crs_demo_bytes 7",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} not in\n{text}");
        }
    }

    #[test]
    fn histograms_have_buckets_by_unit() {
        let metrics = Metrics::default();
        metrics.histogram("crs_demo_seconds", "How long.", &[]).record(0.003);
        let text = metrics.render();
        assert!(text.contains("crs_demo_seconds_bucket{le=\"0.0025\"} 0"), "{text}");
        assert!(text.contains("crs_demo_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("crs_demo_seconds_count 1"), "{text}");
    }

    #[test]
    fn two_nodes_in_one_process_share_nothing() {
        let (a, b) = (Metrics::default(), Metrics::default());
        a.counter("crs_demo_total", "Things done.", &[]).increment(1);
        assert!(!b.render().contains("crs_demo_total"));
    }

    #[test]
    fn collectors_run_at_every_scrape() {
        let metrics = Metrics::default();
        let runs = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&runs);
        metrics.on_scrape(move || {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        metrics.render();
        metrics.render();
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }
}
