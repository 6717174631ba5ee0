//! Whether the configuration on disk is the one that runs (Q-43; the comparison with other nodes
//! comes with the pool).

use std::fmt;

use crate::config::Problem;

/// How the files differ from what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// They would be refused.
    Wrong {
        /// The first reason.
        why: String,
        /// All reasons.
        problems: usize,
    },
    /// These directives are others than those that run.
    Differs(Vec<&'static str>),
}

/// Tells of a drift once, and when it is over. A file that was changed a moment ago may still be
/// in an operator's editor, or about to be reloaded: it counts when it is found twice.
#[derive(Debug, Default)]
pub struct DriftWatch {
    told: Option<Drift>,
    suspected: Option<Drift>,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriftNews {
    /// The files differ from what runs.
    Drifts(Drift),
    /// They no longer do.
    Over,
}

impl Drift {
    /// Files that are correct; `None` when none of their directives differs.
    pub fn differs(directives: Vec<&'static str>) -> Option<Self> {
        (!directives.is_empty()).then_some(Self::Differs(directives))
    }

    /// Files that are not.
    pub fn wrong(problems: &[Problem]) -> Self {
        let why = problems.first().map(ToString::to_string).unwrap_or_default();
        Self::Wrong { why, problems: problems.len() }
    }
}

impl DriftWatch {
    /// The files were looked at.
    pub fn looked(&mut self, found: Option<Drift>) -> Option<DriftNews> {
        let twice = self.suspected == found;
        self.suspected.clone_from(&found);
        if found.is_none() || twice { self.settle(found) } else { None }
    }

    /// The files were reloaded: what still differs now will go on doing so.
    pub fn reloaded(&mut self, found: Option<Drift>) -> Option<DriftNews> {
        self.suspected.clone_from(&found);
        self.settle(found)
    }

    fn settle(&mut self, found: Option<Drift>) -> Option<DriftNews> {
        if self.told == found {
            return None;
        }
        self.told.clone_from(&found);
        Some(found.map_or(DriftNews::Over, DriftNews::Drifts))
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong { why, problems: 1 } => {
                write!(f, "the files on disk would be refused: {why}")
            }
            Self::Wrong { why, problems } => {
                let more = problems.saturating_sub(1);
                write!(f, "the files on disk would be refused: {why} (and {more} more)")
            }
            Self::Differs(names) => {
                write!(f, "the files on disk differ from what runs: {}", names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(name: &'static str) -> Option<Drift> {
        Drift::differs(vec![name])
    }

    #[test]
    fn a_change_counts_when_it_is_found_twice_and_is_told_once() {
        let mut watch = DriftWatch::default();
        assert_eq!(watch.looked(None), None);
        assert_eq!(watch.looked(differs("key")), None);
        assert_eq!(
            watch.looked(differs("key")),
            Some(DriftNews::Drifts(Drift::Differs(vec!["key"])))
        );
        assert_eq!(watch.looked(differs("key")), None);
        assert_eq!(watch.looked(None), Some(DriftNews::Over));
        assert_eq!(watch.looked(None), None);
    }

    #[test]
    fn a_change_that_is_reloaded_in_time_is_none() {
        let mut watch = DriftWatch::default();
        assert_eq!(watch.looked(differs("log-level")), None);
        assert_eq!(watch.reloaded(None), None);
        assert_eq!(watch.looked(None), None);
    }

    #[test]
    fn what_a_reload_refuses_or_leaves_is_told_at_once() {
        let mut watch = DriftWatch::default();
        let problem = Problem::of_start("no key");
        let wrong = Drift::wrong(&[problem]);
        assert_eq!(watch.reloaded(Some(wrong.clone())), Some(DriftNews::Drifts(wrong.clone())));
        assert_eq!(watch.looked(Some(wrong)), None);
        assert_eq!(watch.reloaded(Drift::differs(Vec::new())), Some(DriftNews::Over));
    }

    #[test]
    fn it_reads_as_a_sentence() {
        let text = differs("key").unwrap().to_string();
        assert_eq!(text, "the files on disk differ from what runs: key");
        let two = Drift::Wrong { why: "no key".into(), problems: 2 }.to_string();
        assert_eq!(two, "the files on disk would be refused: no key (and 1 more)");
    }
}
