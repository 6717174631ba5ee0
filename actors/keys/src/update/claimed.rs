//! Which account an update file says it is for, before anything about it is checked.

use coset::{CborSerializable, Header};
use crs_types::AccountId;

use super::{FILE_MAX, UpdateError};

/// Tag 16 and an array of three: how COSE_Encrypt0 begins (RFC 9052 §5.2) when it is made
/// deterministically, as docs/protocol-e2e.md demands.
const START: [u8; 2] = [0xd0, 0x83];
/// Longest protected header that is looked at; one of ours has some 40 bytes.
const HEADER_MAX: usize = 1024;

/// The account in the outer header: only good for choosing the secret to [`super::open`] with.
/// Looks at the header alone, however long the file is.
pub fn claimed_account(bytes: &[u8]) -> Result<AccountId, UpdateError> {
    if bytes.len() > FILE_MAX {
        return Err(UpdateError::TooLarge(bytes.len()));
    }
    let container = || UpdateError::Container("COSE_Encrypt0 (tag 16)");
    let protected = bytes.strip_prefix(&START).and_then(byte_string).ok_or_else(container)?;
    let header = Header::from_slice(protected).map_err(|_| container())?;
    let claimed = String::from_utf8_lossy(&header.key_id);
    AccountId::parse(&claimed).map_err(|_| UpdateError::Container("an account id as kid"))
}

/// The content of the byte string that `bytes` begin with, of at most [`HEADER_MAX`] bytes
/// (RFC 8949 §3, major type 2).
fn byte_string(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = match bytes {
        [short @ 0x40..=0x57, rest @ ..] => (usize::from(*short - 0x40), rest),
        [0x58, length, rest @ ..] => (usize::from(*length), rest),
        [0x59, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    rest.get(..length).filter(|content| content.len() <= HEADER_MAX)
}

#[cfg(test)]
mod tests {
    use coset::{CoseEncrypt0Builder, HeaderBuilder, TaggedCborSerializable};

    use super::*;

    /// A container whose header has about as many bytes as a filling.
    fn file(account: &str, filling: usize) -> Vec<u8> {
        let protected = HeaderBuilder::new()
            .key_id(account.as_bytes().to_vec())
            .text_value("filling".to_owned(), vec![0; filling].into())
            .build();
        let file = CoseEncrypt0Builder::new().protected(protected).ciphertext(vec![7; 99]).build();
        file.to_tagged_vec().unwrap()
    }

    #[test]
    fn anything_else_is_no_update_file() {
        for bytes in [&b""[..], b"\xd0", b"hello", &[0xd0, 0x83, 0x40, 0xa0, 0x40]] {
            assert!(matches!(claimed_account(bytes), Err(UpdateError::Container(_))));
        }
    }

    #[test]
    fn the_account_is_read_from_the_header_alone() {
        let acme = AccountId::parse("acme").unwrap();
        for filling in [0, 10, 200, HEADER_MAX - 100] {
            let whole = file("acme", filling);
            assert_eq!(claimed_account(&whole), Ok(acme.clone()), "{filling}");
            // What follows may be anything, of any length.
            let header = whole.len() - 99 - 3;
            assert_eq!(claimed_account(&whole[..header]), Ok(acme.clone()), "{filling}");
            assert!(claimed_account(&whole[..12]).is_err(), "{filling}");
        }
        for bytes in [file("acme", HEADER_MAX), file("no account", 0)] {
            assert!(matches!(claimed_account(&bytes), Err(UpdateError::Container(_))));
        }
    }
}
