//! The CMS key (Ed25519): signs update files, and its own successor.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use coset::{CborSerializable, CoseSign1, CoseSign1Builder, HeaderBuilder, iana};
use crs_types::{AccountId, Rng, Secret};
use serde::{Deserialize, Serialize};

use crate::cbor::{self, Bytes};
use crate::derive;

const SUCCESSION_PURPOSE: &str = "crs-cms-succession-v1";
const SUCCESSION_VERSION: u64 = 1;

/// The CMS's private key.
#[derive(Clone)]
pub struct CmsKey {
    seed: Secret,
    public: CmsPublicKey,
}

/// The CMS's public key, pinned by the server. Written as base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CmsPublicKey(pub [u8; 32]);

/// A text is not a CMS key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a CMS key: 32 bytes in base64, as crs-cms prints it")]
pub struct CmsKeyError;

/// Signed statements, oldest first, each naming the next CMS key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Succession(pub Vec<Bytes>);

#[derive(Serialize, Deserialize)]
struct Link {
    v: u64,
    new: Bytes,
    old: Bytes,
    account: AccountId,
}

impl CmsKey {
    /// A fresh key.
    pub fn generate(rng: &mut dyn Rng) -> Self {
        let seed = Secret::generate(rng, 32);
        Self::from_seed(seed.expose()).expect("32 bytes are a seed")
    }

    /// From the seed as stored.
    pub fn from_seed(seed: &[u8]) -> Result<Self, CmsKeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| CmsKeyError)?;
        let public = CmsPublicKey::from_bytes(pair.public_key().as_ref())?;
        Ok(Self { seed: Secret::new(seed.to_vec()), public })
    }

    /// The seed, for the owner's key file.
    pub fn seed(&self) -> &Secret {
        &self.seed
    }

    /// The public key.
    pub fn public_key(&self) -> CmsPublicKey {
        self.public
    }

    /// Signs (RFC 8032).
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        Ed25519KeyPair::from_seed_unchecked(self.seed.expose())
            .expect("the seed was checked when the key was made")
            .sign(message)
            .as_ref()
            .to_vec()
    }
}

impl CmsPublicKey {
    /// From 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CmsKeyError> {
        bytes.try_into().map(Self).map_err(|_| CmsKeyError)
    }

    /// What people compare: SHA-256 of the key in hex, groups of four.
    pub fn fingerprint(&self) -> String {
        derive::fingerprint(&self.0)
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

impl Succession {
    /// Adds the statement that `new` follows `old`.
    pub fn push(&mut self, account: &AccountId, old: &CmsKey, new: &CmsPublicKey) {
        let link = Link {
            v: SUCCESSION_VERSION,
            new: new.0.to_vec().into(),
            old: old.public.0.to_vec().into(),
            account: account.clone(),
        };
        let protected = HeaderBuilder::new().algorithm(iana::Algorithm::EdDSA).build();
        let statement = CoseSign1Builder::new()
            .protected(protected)
            .payload(cbor::encode(&link))
            .create_signature(SUCCESSION_PURPOSE.as_bytes(), |input| old.sign(input))
            .build()
            .to_vec()
            .expect("headers made here can be encoded");
        self.0.push(statement.into());
    }

    /// True when statements lead from `pinned` to `found`.
    pub(super) fn leads(
        &self,
        account: &AccountId,
        pinned: &CmsPublicKey,
        found: &CmsPublicKey,
    ) -> bool {
        let mut current = *pinned;
        for statement in &self.0 {
            if let Some(next) = step(statement.as_slice(), account, &current) {
                current = next;
            }
        }
        current == *found
    }
}

/// The key that `current` names as its successor by this statement, if it does.
fn step(statement: &[u8], account: &AccountId, current: &CmsPublicKey) -> Option<CmsPublicKey> {
    let object = CoseSign1::from_slice(statement).ok()?;
    let algorithm = coset::Algorithm::Assigned(iana::Algorithm::EdDSA);
    if object.protected.header.alg != Some(algorithm) {
        return None;
    }
    let input = object.tbs_data(SUCCESSION_PURPOSE.as_bytes());
    if !current.verifies(&input, &object.signature) {
        return None;
    }
    let payload = object.payload?;
    let link: Link =
        cbor::decode_versioned("a CMS key succession", SUCCESSION_VERSION, &payload).ok()?;
    let matches = link.account == *account && link.old.as_slice() == current.0;
    matches.then(|| CmsPublicKey::from_bytes(link.new.as_slice()).ok()).flatten()
}

impl fmt::Debug for CmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CmsKey({})", self.public)
    }
}

impl fmt::Debug for CmsPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CmsPublicKey({self})")
    }
}

impl fmt::Display for CmsPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl FromStr for CmsPublicKey {
    type Err = CmsKeyError;
    fn from_str(text: &str) -> Result<Self, CmsKeyError> {
        Self::from_bytes(&STANDARD.decode(text.trim()).map_err(|_| CmsKeyError)?)
    }
}

impl TryFrom<String> for CmsPublicKey {
    type Error = CmsKeyError;
    fn try_from(text: String) -> Result<Self, CmsKeyError> {
        text.parse()
    }
}

impl From<CmsPublicKey> for String {
    fn from(key: CmsPublicKey) -> Self {
        key.to_string()
    }
}
