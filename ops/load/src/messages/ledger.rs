//! The ledger: what was posted, confirmed and delivered, and the checker over it
//! (docs/performance.md; the words are those of the test catalogue).

use std::collections::BTreeMap;

use serde::Serialize;

/// A message's place: who sent it, and the how manieth of that sender it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index of the sender.
    pub sender: usize,
    /// Counts this sender's messages from 0. Each sender writes to one receiver.
    pub number: u64,
}

#[derive(Debug, Default)]
struct Fate {
    confirmed: bool,
    refused: bool,
    deliveries: u32,
}

/// What happened to every message.
#[derive(Debug, Default)]
pub struct Ledger {
    messages: BTreeMap<Place, Fate>,
    /// Numbers in the order in which each sender's messages were delivered.
    delivered: BTreeMap<usize, Vec<u64>>,
    phantoms: u64,
}

/// What the checker found.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Given to an outbox.
    pub posted: u64,
    /// Confirmed by the server.
    pub confirmed: u64,
    /// Refused for good.
    pub refused: u64,
    /// Confirmed and never delivered.
    pub lost: u64,
    /// Delivered again after the application had it.
    pub duplicates: u64,
    /// Delivered after a later one of the same sender.
    pub reordered: u64,
    /// Delivered and never posted.
    pub phantoms: u64,
}

impl Ledger {
    /// It is given to the sender's outbox: from now on it may be delivered.
    pub fn posted(&mut self, place: Place) {
        self.messages.entry(place).or_default();
    }

    /// The outbox did not take it after all.
    pub fn withdrawn(&mut self, place: Place) {
        self.messages.remove(&place);
    }

    /// The server confirmed it.
    pub fn confirmed(&mut self, place: Place) {
        self.messages.entry(place).or_default().confirmed = true;
    }

    /// The server refused it for good.
    pub fn refused(&mut self, place: Place) {
        self.messages.entry(place).or_default().refused = true;
    }

    /// The receiver's application got it.
    pub fn delivered(&mut self, place: Place) {
        match self.messages.get_mut(&place) {
            None => self.phantoms += 1,
            Some(fate) => {
                fate.deliveries += 1;
                self.delivered.entry(place.sender).or_default().push(place.number);
            }
        }
    }

    /// Something that is no message of this run arrived.
    pub fn phantom(&mut self) {
        self.phantoms += 1;
    }

    /// Messages that are neither delivered nor refused yet.
    pub fn open(&self) -> usize {
        self.messages.values().filter(|fate| fate.deliveries == 0 && !fate.refused).count()
    }

    /// Messages taken so far.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// True when nothing was taken.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Judges.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = Verdict { phantoms: self.phantoms, ..Verdict::default() };
        for fate in self.messages.values() {
            verdict.posted += 1;
            verdict.confirmed += u64::from(fate.confirmed);
            verdict.refused += u64::from(fate.refused);
            verdict.lost += u64::from(fate.confirmed && fate.deliveries == 0);
            verdict.duplicates += u64::from(fate.deliveries.saturating_sub(1));
        }
        for numbers in self.delivered.values() {
            let mut highest = None;
            for number in numbers {
                verdict.reordered += u64::from(highest.is_some_and(|h| *number < h));
                highest = highest.max(Some(*number));
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(sender: usize, number: u64) -> Place {
        Place { sender, number }
    }

    fn clean() -> Ledger {
        let mut ledger = Ledger::default();
        for number in 0..3 {
            ledger.posted(place(1, number));
            ledger.confirmed(place(1, number));
            ledger.delivered(place(1, number));
        }
        ledger
    }

    #[test]
    fn a_clean_run_is_clean() {
        let expected = Verdict { posted: 3, confirmed: 3, ..Verdict::default() };
        assert_eq!(clean().verdict(), expected);
        assert_eq!(clean().open(), 0);
    }

    #[test]
    fn every_kind_of_fault_turns_the_checker_red() {
        let mut lost = clean();
        lost.posted(place(2, 0));
        lost.confirmed(place(2, 0));
        assert_eq!((lost.verdict().lost, lost.open()), (1, 1));

        let mut twice = clean();
        twice.delivered(place(1, 2));
        assert_eq!(twice.verdict().duplicates, 1);

        let mut swapped = Ledger::default();
        for number in 0..3 {
            swapped.posted(place(1, number));
        }
        for number in [0, 2, 1] {
            swapped.delivered(place(1, number));
        }
        assert_eq!(swapped.verdict().reordered, 1);

        let mut phantom = clean();
        phantom.delivered(place(7, 7));
        assert_eq!(phantom.verdict().phantoms, 1);
    }

    #[test]
    fn an_unknown_outcome_may_go_either_way() {
        let mut ledger = clean();
        ledger.posted(place(3, 0));
        assert_eq!(ledger.verdict().lost, 0);
        ledger.delivered(place(3, 0));
        assert_eq!((ledger.verdict().lost, ledger.verdict().phantoms), (0, 0));
    }
}
