//! What the targets share: an account with two users, and structures that are signed or sealed with
//! known keys round a content of the fuzzer's choice. Without that nothing behind a signature
//! would ever be reached.
#![allow(dead_code, reason = "no target uses all of it")]

use std::sync::OnceLock;

use crs_keys::account_ca::{AccountCa, Validity};
use crs_keys::derive::sha256;
use crs_keys::identity::UserIdentity;
use crs_keys::p256::SigningKey;
use crs_keys::package::UserKeys;
use crs_keys::trust::Trust;
use crs_types::rng::SeededRng;
use crs_types::{AccountId, Generation, Period, SessionId, Timestamp, Uri};

/// The middle of November 2026: seeds hold this time.
pub const NOW: Timestamp = Timestamp::from_secs(1_794_700_800);

/// An account and two of its users.
pub struct World {
    pub ca: AccountCa,
    pub trust: Trust,
    pub alice: UserKeys,
    pub bob: UserKeys,
}

/// The same for every input.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let mut rng = SeededRng::new(7);
        let account = AccountId::parse("acme").expect("an account");
        let ca = AccountCa::generate(account.clone(), &mut rng, NOW).expect("an authority");
        let trust = Trust::initial(account.clone(), vec![ca.certificate().clone()]);
        let period = Period::at(NOW);
        let mut user = |number: &str| {
            let uri = Uri::parse(number).expect("a number");
            let (account, generation) = (account.clone(), Generation(1));
            let identity = UserIdentity { account, uri, period, generation };
            UserKeys::issue(&ca, identity, Validity::of_period(period), &mut rng).expect("keys")
        };
        let (alice, bob) = (user("+46701111111"), user("+46702222222"));
        World { ca, trust, alice, bob }
    })
}

/// The session of every call here.
pub fn session() -> SessionId {
    SessionId::from_parts(NOW, [7; 10])
}

/// Head of a CBOR item (RFC 8949 §3).
fn head(major: u8, length: usize) -> Vec<u8> {
    let major = major << 5;
    match length {
        0..24 => vec![major | length as u8],
        24..256 => vec![major | 24, length as u8],
        256..65_536 => [vec![major | 25], (length as u16).to_be_bytes().to_vec()].concat(),
        _ => [vec![major | 26], (length as u32).to_be_bytes().to_vec()].concat(),
    }
}

/// A number.
pub fn uint(value: usize) -> Vec<u8> {
    head(0, value)
}

/// A byte string.
pub fn bstr(bytes: &[u8]) -> Vec<u8> {
    [head(2, bytes.len()), bytes.to_vec()].concat()
}

/// A text.
pub fn tstr(text: &str) -> Vec<u8> {
    [head(3, text.len()), text.as_bytes().to_vec()].concat()
}

/// An array of encoded items.
pub fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len()), items.concat()].concat()
}

/// A map of encoded values, in the order given.
pub fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let content = entries.iter().flat_map(|(key, value)| [tstr(key), value.clone()].concat());
    [head(5, entries.len()), content.collect()].concat()
}

/// An offer or answer of this body, rightly signed (docs/protocol-e2e.md §7).
pub fn signed_call(purpose: &str, body: &[u8], keys: &UserKeys) -> Vec<u8> {
    let cert = keys.sign_cert.as_ref();
    let input = array(&[tstr(purpose), bstr(&sha256(cert)), bstr(body)]);
    let sig = keys.sign_key.sign(&input).expect("a signature");
    map(&[("v", uint(1)), ("sig", bstr(&sig)), ("body", bstr(body)), ("cert", bstr(cert))])
}

/// COSE_Sign1, untagged, ES256 (RFC 9052 §4.2), of this payload.
pub fn cose_sign1(key: &SigningKey, purpose: &str, payload: &[u8]) -> Vec<u8> {
    let protected = bstr(&[0xa1, 1, 0x26]);
    let input =
        array(&[tstr("Signature1"), protected.clone(), bstr(purpose.as_bytes()), bstr(payload)]);
    let sig = key.sign(&input).expect("a signature");
    array(&[protected, vec![0xa0], bstr(payload), bstr(&sig)])
}
