//! Media packets at the receiver: headers of any shape; nothing unauthenticated opens.
#![no_main]

use crs_keys::srtp::rtp::Header;
use crs_keys::srtp::{MasterKey, Profile, SrtpContext};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Header::parse(bytes);
    let key = MasterKey::new(Profile::Aes128Gcm, &[1; 16], &[2; 12]);
    let mut receiver = SrtpContext::new(&key).expect("a key of the right length");
    assert!(receiver.unprotect(&mut bytes.to_vec()).is_err());
});
