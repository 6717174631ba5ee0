//! The account's CAs: which there are, and how one is retired.
//!
//! A new CA ([`Domain::rotate_ca`]) issues from then on; the one before stays trusted, because
//! people go on with what it has certified. It may go when nobody can hold that any more.

use crs_keys::account_ca::AccountCa;
use crs_keys::{derive, server_cert};
use crs_types::period::UPDATE_ONLY;
use crs_types::{Period, Timestamp};

use crate::{Domain, DomainError};

/// Fewest hex digits by which a CA may be named, if no other begins with them.
const PREFIX_MIN: usize = 8;

/// A CA of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ca {
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    /// When it was made.
    pub made: Timestamp,
    /// Until when somebody may need what it has certified; `None`: it is the one that certifies.
    pub needed_until: Option<Timestamp>,
}

impl Domain {
    /// The account's CAs, the issuing one first.
    pub fn ca_list(&self) -> Vec<Ca> {
        let mut newer: Option<Timestamp> = None;
        let mut list = Vec::with_capacity(self.keys.cas.len());
        for ca in &self.keys.cas {
            let made = made(ca);
            let fingerprint = derive::fingerprint(ca.certificate());
            list.push(Ca { fingerprint, made, needed_until: newer.map(needed_until) });
            newer = Some(made);
        }
        list
    }

    /// Takes a CA away, named by its fingerprint or the beginning of that. With the next update
    /// file whatever it has certified is worthless; while somebody may need that, only a CA that
    /// is `compromised` may go. Saved at once.
    pub fn remove_ca(
        &mut self,
        named: &str,
        compromised: bool,
        now: Timestamp,
    ) -> Result<Ca, DomainError> {
        let list = self.ca_list();
        let wanted = digits(named);
        let meant =
            |ca: &Ca| wanted.len() >= PREFIX_MIN && digits(&ca.fingerprint).starts_with(&wanted);
        let mut found = list.iter().enumerate().filter(|(_, ca)| meant(ca));
        let (Some((at, ca)), None) = (found.next(), found.next()) else {
            return Err(DomainError::NoCa(named.to_owned()));
        };
        match ca.needed_until {
            None => return Err(DomainError::CaIssues),
            Some(until) if now < until && !compromised => {
                return Err(DomainError::CaNeeded(Period::at(until)));
            }
            Some(_) => {}
        }
        self.keys.cas.remove(at);
        self.save_keys()?;
        Ok(ca.clone())
    }
}

/// Files are made for the next month at most ahead, so its certificates end so long after the
/// month that followed when another CA took over.
fn needed_until(replaced: Timestamp) -> Timestamp {
    Period::at(replaced).next().end().plus(UPDATE_ONLY)
}

/// The certificate is one that we have made.
fn made(ca: &AccountCa) -> Timestamp {
    server_cert::not_before(ca.certificate()).unwrap_or(Timestamp::from_secs(0))
}

/// Fingerprints as people write them: in any case, with spaces or colons.
fn digits(fingerprint: &str) -> String {
    let significant = fingerprint.chars().filter(char::is_ascii_alphanumeric);
    significant.map(|c| c.to_ascii_uppercase()).collect()
}
