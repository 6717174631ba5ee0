//! Which account an update file says it is for, before anything about it is checked.

use coset::{CoseEncrypt0, TaggedCborSerializable};
use crs_types::AccountId;

use super::{FILE_MAX, UpdateError};

/// The account in the outer header: only good for choosing the secret to [`super::open`] with.
pub fn claimed_account(bytes: &[u8]) -> Result<AccountId, UpdateError> {
    if bytes.len() > FILE_MAX {
        return Err(UpdateError::TooLarge(bytes.len()));
    }
    let object = CoseEncrypt0::from_tagged_slice(bytes)
        .map_err(|_| UpdateError::Container("COSE_Encrypt0 (tag 16)"))?;
    let claimed = String::from_utf8_lossy(&object.protected.header.key_id);
    AccountId::parse(&claimed).map_err(|_| UpdateError::Container("an account id as kid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_else_is_no_update_file() {
        for bytes in [&b""[..], b"\xd0", b"hello", &[0xd0, 0x83, 0x40, 0xa0, 0x40]] {
            assert!(matches!(claimed_account(bytes), Err(UpdateError::Container(_))));
        }
    }
}
