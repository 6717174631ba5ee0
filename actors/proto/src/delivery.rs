//! Delivery of a mailbox to one attached connection: when to say `msg.new`, how a fetch is
//! bounded, which acknowledgements are acceptable.
//!
//! Order of calls: [`Delivery::attached`] once, [`Delivery::arrived`] for each new item,
//! [`Delivery::fetched`] after each page was read. The connection's shell sends what they return.

use crs_types::limits::BODY_MAX;

use crate::wire::life::Role;
use crate::wire::message::{Ack, Fetch, New};
use crate::wire::{ErrorBody, ErrorCode};

/// Most body bytes in one page.
pub const PAGE_BYTES_MAX: u64 = BODY_MAX as u64;
/// Most items in one page: with a full page of bodies in base64 the reply stays below the frame
/// limit, which clients may apply to what they receive.
pub const PAGE_ITEMS_MAX: usize = 32;

/// What the store is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Only items with a larger number.
    pub after: u64,
    /// Stop before more body bytes than this; at least one item is given.
    pub max_bytes: u64,
    /// Most items.
    pub max_items: usize,
    /// Newest item known when the page was asked for; handed back to [`Delivery::fetched`].
    pub newest: u64,
}

/// What one connection has been told about its mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    newest: u64,
    /// The client knows that there is something to fetch.
    announced: bool,
}

impl Delivery {
    /// The mailbox at attach: `newest` is the number of its newest item (0 when empty). The
    /// attach reply tells how many are waiting, so no event is due.
    pub fn attached(newest: u64, waiting: u64) -> Self {
        Self { newest, announced: waiting > 0 }
    }

    /// An item was committed. Returns the event when the mailbox was fetched until now.
    pub fn arrived(&mut self, n: u64) -> Option<New> {
        self.newest = self.newest.max(n);
        if self.announced {
            return None;
        }
        self.announced = true;
        Some(New { newest: self.newest })
    }

    /// The page a fetch asks for, within our bounds. Read it from the store after this call.
    pub fn page(&self, fetch: &Fetch) -> Page {
        Page {
            after: fetch.after,
            max_bytes: fetch.max_bytes.unwrap_or(PAGE_BYTES_MAX).min(PAGE_BYTES_MAX),
            max_items: PAGE_ITEMS_MAX,
            newest: self.newest,
        }
    }

    /// The page was read; `more` items are behind it. An item that came since the page was asked
    /// for may have missed it, so it is announced anew.
    pub fn fetched(&mut self, page: &Page, more: bool) -> Option<New> {
        let missed = self.newest > page.newest;
        self.announced = more || missed;
        (missed && !more).then_some(New { newest: self.newest })
    }
}

/// The numbers of an acknowledgement, sorted and without repetition. Only a primary deletes.
pub fn acknowledged(role: Role, ack: &Ack) -> Result<Vec<u64>, ErrorBody> {
    match role {
        Role::Primary => {
            let mut numbers = ack.n.clone();
            numbers.sort_unstable();
            numbers.dedup();
            Ok(numbers)
        }
        Role::Secondary => Err(ErrorBody::new(
            ErrorCode::NotAllowed,
            "only the primary registration acknowledges; a secondary reads copies",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(core: &Delivery, after: u64) -> Page {
        core.page(&Fetch { after, max_bytes: None })
    }

    #[test]
    fn one_event_until_the_mailbox_is_fetched() {
        let mut core = Delivery::attached(0, 0);
        assert_eq!(core.arrived(4), Some(New { newest: 4 }));
        assert_eq!(core.arrived(5), None);
        let page = fetch(&core, 0);
        assert_eq!(core.fetched(&page, true), None);
        assert_eq!(core.arrived(6), None);
        let page = fetch(&core, 4);
        assert_eq!(core.fetched(&page, false), None);
        assert_eq!(core.arrived(7), Some(New { newest: 7 }));
    }

    #[test]
    fn what_waits_at_attach_is_told_by_the_reply() {
        let mut core = Delivery::attached(9, 3);
        assert_eq!(core.arrived(10), None);
        let page = fetch(&core, 0);
        assert_eq!(core.fetched(&page, false), None);
        assert_eq!(core.arrived(11), Some(New { newest: 11 }));
    }

    #[test]
    fn an_arrival_during_a_fetch_is_announced_after_it() {
        let mut core = Delivery::attached(0, 0);
        assert_eq!(core.arrived(1), Some(New { newest: 1 }));
        let page = fetch(&core, 0);
        assert_eq!(core.arrived(2), None);
        assert_eq!(core.fetched(&page, false), Some(New { newest: 2 }));
        let page = fetch(&core, 1);
        assert_eq!(core.fetched(&page, false), None);
    }

    #[test]
    fn an_emptied_mailbox_is_not_announced_again_and_again() {
        let mut core = Delivery::attached(8, 0);
        let page = fetch(&core, 0);
        assert_eq!(core.fetched(&page, false), None);
    }

    #[test]
    fn arrivals_out_of_order_do_not_lower_the_newest() {
        let mut core = Delivery::attached(8, 0);
        assert_eq!(core.arrived(3), Some(New { newest: 8 }));
    }

    #[test]
    fn pages_are_bounded() {
        let core = Delivery::attached(8, 0);
        let huge = core.page(&Fetch { after: 7, max_bytes: Some(u64::MAX) });
        let expected =
            Page { after: 7, max_bytes: PAGE_BYTES_MAX, max_items: PAGE_ITEMS_MAX, newest: 8 };
        assert_eq!(huge, expected);
        assert_eq!(core.page(&Fetch { after: 0, max_bytes: Some(10) }).max_bytes, 10);
        assert_eq!(core.page(&Fetch::default()).max_bytes, PAGE_BYTES_MAX);
    }

    #[test]
    fn only_the_primary_acknowledges() {
        let ack = Ack { n: vec![5, 1, 5, 3] };
        assert_eq!(acknowledged(Role::Primary, &ack), Ok(vec![1, 3, 5]));
        let refused = acknowledged(Role::Secondary, &ack).unwrap_err();
        assert_eq!(refused.code, ErrorCode::NotAllowed);
    }
}
