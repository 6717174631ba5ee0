//! Counters of one name that a closed list of words tells apart.

use std::sync::Arc;

use metrics::Counter;

/// One counter for each word. The list is closed, so that nobody outside decides how many series
/// there are; [`Default`] counts into nothing.
#[derive(Debug, Clone, Default)]
pub struct Labelled(Arc<[(&'static str, Counter)]>);

impl Labelled {
    /// A counter for each of `words`; all of them are there from the start, at zero.
    pub fn new(words: &[&'static str], counter: impl Fn(&'static str) -> Counter) -> Self {
        Self(words.iter().map(|word| (*word, counter(word))).collect())
    }

    /// Counts one of `word`; a word that is not of the list is not counted.
    pub fn count(&self, word: &str) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == word) {
            counter.increment(1);
        }
    }
}
