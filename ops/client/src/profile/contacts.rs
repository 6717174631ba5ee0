//! The contacts of a profile that no client has open.

use std::path::Path;

use crs_types::{AccountId, Uri};

use super::Profile;
use crate::core::contacts::Contacts;
use crate::error::ClientError;

/// Who is known, and the account of each. Blocks on the disk.
pub fn list(path: &Path) -> Result<Vec<(Uri, AccountId)>, ClientError> {
    let profile = Profile::open(path)?;
    let opened = profile.contacts()?;
    Ok(Contacts::restore(opened.records, own(&profile)).all())
}

/// From now on this contact is of this account; synced when this returns. Blocks on the disk.
pub fn accept(path: &Path, uri: &Uri, account: &AccountId) -> Result<(), ClientError> {
    let profile = Profile::open(path)?;
    let (own_uri, own_account) = own(&profile);
    if *uri == own_uri {
        return Err(ClientError::own_number(&own_account));
    }
    let mut opened = profile.contacts()?;
    let mut contacts = Contacts::restore(opened.records, (own_uri, own_account));
    let record = contacts.accept(uri.clone(), account.clone());
    Ok(opened.journal.append(&[record])?)
}

fn own(profile: &Profile) -> (Uri, AccountId) {
    let identity = profile.identity();
    (identity.uri.clone(), identity.account.clone())
}
