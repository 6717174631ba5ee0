//! Contacts: remembers the account of whoever was verified, and withholds what comes from another
//! account under the same number until a person accepts it.

use std::collections::BTreeSet;

use crs_types::{AccountId, Uri};

use super::Driver;
use crate::client::command::Reply;
use crate::core::contacts::{Record, Standing};
use crate::core::inbox;
use crate::error::ClientError;
use crate::event::Event;
use crate::journal::JournalError;

/// Messages withheld at once; further ones are handed out as unreadable.
const WITHHELD_MAX: usize = 256;
/// Changes that were told: each is told once in a run, up to this number.
const TOLD_MAX: usize = 1024;

/// What waits for a person to accept a contact's new account.
#[derive(Debug, Default)]
pub(super) struct Withheld {
    /// Numbers of inbox entries.
    entries: BTreeSet<u64>,
    told: BTreeSet<(Uri, AccountId)>,
}

impl Withheld {
    /// False when there is no room.
    fn keep(&mut self, seq: u64) -> bool {
        self.entries.len() < WITHHELD_MAX && self.entries.insert(seq)
    }

    /// True the first time.
    fn is_news(&mut self, uri: &Uri, account: &AccountId) -> bool {
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.insert((uri.clone(), account.clone()))
    }
}

impl Driver {
    /// A user whose keys were verified by this account's authorities: an error when the user is
    /// known to be of another account.
    pub(super) fn recognise(&mut self, uri: &Uri, account: &AccountId) -> Result<(), ClientError> {
        match self.contacts.meet(uri, account) {
            Standing::Known => Ok(()),
            Standing::New(record) => {
                self.contacts_writer.push(None, vec![record]);
                Ok(())
            }
            Standing::Unremembered => {
                tracing::warn!(%uri, "too many contacts: this one's account is not remembered");
                Ok(())
            }
            Standing::Changed(known) => {
                let (uri, named) = (uri.clone(), account.clone());
                if self.withheld.is_news(&uri, &named) {
                    let (uri, known, named) = (uri.clone(), known.clone(), named.clone());
                    self.tell(Event::ContactChanged { uri, known, named });
                }
                Err(ClientError::ContactChanged { uri, known, named })
            }
        }
    }

    /// The entry to hand out, unless its sender has another account than was known.
    pub(super) fn unless_withheld(
        &mut self,
        seq: u64,
        mut entry: inbox::Entry,
    ) -> Option<inbox::Entry> {
        // A receipt is the server's word, and what could not be opened proves nobody.
        if entry.key.receipt || entry.content.is_err() {
            return Some(entry);
        }
        let Err(error) = self.recognise(&entry.key.from, &entry.key.account) else {
            return Some(entry);
        };
        if self.withheld.keep(seq) {
            return None;
        }
        entry.content = Err(format!("{error}; {WITHHELD_MAX} such messages are kept already"));
        Some(entry)
    }

    /// A person accepts a contact's account: what was withheld of it is handed out.
    pub(super) fn accept_contact(&mut self, uri: Uri, account: AccountId, reply: Reply<()>) {
        let own = self.profile.identity();
        if uri == own.uri {
            let _ = reply.send(Err(ClientError::own_number(&own.account)));
            return;
        }
        let record: Record = self.contacts.accept(uri.clone(), account);
        self.contacts_writer.push(Some(reply), vec![record]);
        self.withheld.told.retain(|(told, _)| *told != uri);
        let waiting = std::mem::take(&mut self.withheld.entries);
        let again = self.inbox.pending().filter(|(seq, _)| waiting.contains(seq));
        self.to_hand.extend(again.map(|(seq, entry)| (seq, entry.clone())));
    }

    pub(super) fn contacts_written(
        &mut self,
        replies: Vec<Option<Reply<()>>>,
        result: Result<(), JournalError>,
    ) {
        // What could not be written is known until the client ends, and met anew then.
        let failure = result.err().map(|error| self.journal_failed(&error));
        for reply in replies.into_iter().flatten() {
            let result = failure
                .clone()
                .map_or(Ok(()), |why| Err(ClientError::Journal(JournalError::NotTaken(why))));
            let _ = reply.send(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_beyond_what_is_withheld_are_not_kept() {
        let mut withheld = Withheld::default();
        assert!((0..WITHHELD_MAX as u64).all(|seq| withheld.keep(seq)));
        assert!(!withheld.keep(WITHHELD_MAX as u64));
    }

    #[test]
    fn a_change_is_told_once_as_far_as_is_remembered() {
        let mut withheld = Withheld::default();
        let user = |n: usize| Uri::parse(&format!("+4670000{n:04}")).unwrap();
        let account = AccountId::parse("rival").unwrap();
        assert!((0..TOLD_MAX).all(|n| withheld.is_news(&user(n), &account)));
        assert!(withheld.is_news(&user(TOLD_MAX), &account));
        assert!(!withheld.is_news(&user(TOLD_MAX), &account));
        assert!(withheld.is_news(&user(0), &account), "the memory was full");
    }
}
