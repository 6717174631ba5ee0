//! Contacts: which account each user that this client has dealt with belongs to.
//!
//! A number says nothing about its account, and the server is the one to name it; any connected
//! account could have a user of that number. So the account is remembered the first time it was
//! verified, and another one later is an error until a person accepts it (docs/protocol-e2e.md
//! §6).

use std::collections::BTreeMap;

use crs_types::{AccountId, Uri};
use serde::{Deserialize, Serialize};

/// Contacts remembered. Beyond, a new one is used without being remembered: forgetting an old one
/// would let a stranger make room for a lie.
pub const CONTACTS_MAX: usize = 65_536;

/// A record of the contacts journal. The order of variants is part of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// From now on this user is of this account.
    Known(Uri, AccountId),
}

/// What is known of a user that was just verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The same account as ever.
    Known,
    /// Seen for the first time: write this.
    New(Record),
    /// Seen for the first time, and there is no room to remember it.
    Unremembered,
    /// It was of this account until now.
    Changed(AccountId),
}

/// The contacts.
#[derive(Debug)]
pub struct Contacts {
    own: (Uri, AccountId),
    known: BTreeMap<Uri, AccountId>,
}

impl Contacts {
    /// From the records of the journal. The own account is known from the start.
    pub fn restore(records: Vec<Record>, own: (Uri, AccountId)) -> Self {
        let mut known = BTreeMap::new();
        for Record::Known(uri, account) in records {
            known.insert(uri, account);
        }
        Self { own, known }
    }

    /// Judges a user whose keys have just been verified by the authorities of this account.
    pub fn meet(&mut self, uri: &Uri, account: &AccountId) -> Standing {
        match self.account_of(uri) {
            Some(known) if known == account => Standing::Known,
            Some(known) => Standing::Changed(known.clone()),
            None if self.known.len() >= CONTACTS_MAX => Standing::Unremembered,
            None => Standing::New(self.accept(uri.clone(), account.clone())),
        }
    }

    /// A person says so: this user is of this account from now on.
    pub fn accept(&mut self, uri: Uri, account: AccountId) -> Record {
        self.known.insert(uri.clone(), account.clone());
        Record::Known(uri, account)
    }

    /// The account that a user is known by.
    pub fn account_of(&self, uri: &Uri) -> Option<&AccountId> {
        if *uri == self.own.0 { Some(&self.own.1) } else { self.known.get(uri) }
    }

    /// All contacts, in order of number.
    pub fn all(&self) -> Vec<(Uri, AccountId)> {
        self.known.iter().map(|(uri, account)| (uri.clone(), account.clone())).collect()
    }

    /// The content of a compacted journal, in batches.
    pub fn compacted(&self) -> Vec<Vec<Record>> {
        let known = |(uri, account): &(Uri, AccountId)| Record::Known(uri.clone(), account.clone());
        self.all().chunks(4096).map(|some| some.iter().map(known).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: usize) -> Uri {
        Uri::parse(&format!("+467{n:08}")).unwrap()
    }

    fn account(text: &str) -> AccountId {
        AccountId::parse(text).unwrap()
    }

    fn fresh() -> Contacts {
        Contacts::restore(Vec::new(), (user(0), account("acme")))
    }

    #[test]
    fn the_account_of_the_first_meeting_counts_until_another_one_is_accepted() {
        let mut contacts = fresh();
        let record = Record::Known(user(1), account("acme"));
        assert_eq!(contacts.meet(&user(1), &account("acme")), Standing::New(record.clone()));
        assert_eq!(contacts.meet(&user(1), &account("ACME")), Standing::Known);
        let changed = Standing::Changed(account("acme"));
        assert_eq!(contacts.meet(&user(1), &account("rival")), changed);
        assert_eq!(contacts.meet(&user(1), &account("rival")), changed, "asking is not accepting");
        let accepted = contacts.accept(user(1), account("rival"));
        assert_eq!(contacts.meet(&user(1), &account("rival")), Standing::Known);
        let mut again = Contacts::restore(vec![record, accepted], (user(0), account("acme")));
        assert_eq!(again.meet(&user(1), &account("acme")), Standing::Changed(account("rival")));
        let compacted = again.compacted().concat();
        assert_eq!(compacted, [Record::Known(user(1), account("rival"))]);
    }

    #[test]
    fn nobody_else_is_this_user() {
        let mut contacts = fresh();
        assert_eq!(contacts.meet(&user(0), &account("acme")), Standing::Known);
        assert_eq!(contacts.meet(&user(0), &account("rival")), Standing::Changed(account("acme")));
    }

    #[test]
    fn a_contact_too_many_is_not_remembered_and_none_is_forgotten() {
        let mut contacts = fresh();
        for n in 1..=CONTACTS_MAX {
            assert!(matches!(contacts.meet(&user(n), &account("acme")), Standing::New(_)));
        }
        let further = user(CONTACTS_MAX + 1);
        assert_eq!(contacts.meet(&further, &account("rival")), Standing::Unremembered);
        assert_eq!(contacts.account_of(&further), None);
        assert_eq!(contacts.meet(&user(1), &account("rival")), Standing::Changed(account("acme")));
        assert_eq!(contacts.compacted().concat().len(), CONTACTS_MAX);
    }
}
