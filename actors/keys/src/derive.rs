//! HKDF-SHA256 (RFC 5869) with one label per purpose.

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Protects update files; key material is the account secret.
pub const UPDATE_FILE: &str = "crs-upd-v1";
/// Seals secrets at rest; key material is the pool key.
pub const AT_REST: &str = "crs-at-rest-v1";
/// Names the pool key a sealed record was made with.
pub const AT_REST_KEY_ID: &str = "crs-at-rest-v1 key id";
/// The health check's CA; key material is the pool key.
pub const HEALTH_CHECK: &str = "crs-health-check-v1";

/// `N` bytes of HKDF-SHA256 with an empty salt and `label` as info.
pub fn derive<const N: usize>(secret: &[u8], label: &str) -> Zeroizing<[u8; N]> {
    derive_with(secret, &[label.as_bytes()])
}

/// `N` bytes of HKDF-SHA256 with an empty salt and the concatenation of `info`.
pub fn derive_with<const N: usize>(secret: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32, "the most that HKDF-SHA256 can give") };
    let mut out = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(None, secret)
        .expand_multi_info(info, out.as_mut_slice())
        .expect("the length was checked at compile time");
    out
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A fingerprint as people compare it: SHA-256 in upper-case hex, groups of four.
pub fn fingerprint(bytes: &[u8]) -> String {
    let hash = sha256(bytes);
    let groups: Vec<String> =
        hash.chunks(2).map(|pair| pair.iter().map(|b| format!("{b:02X}")).collect()).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_sixteen_groups_of_four() {
        let text = fingerprint(b"abc");
        assert!(text.starts_with("BA78 16BF 8F01 CFEA"));
        assert_eq!(text.split(' ').count(), 16);
    }

    #[test]
    fn labels_separate_purposes() {
        let secret = [7; 32];
        assert_ne!(derive::<32>(&secret, AT_REST), derive::<32>(&secret, HEALTH_CHECK));
    }
}
