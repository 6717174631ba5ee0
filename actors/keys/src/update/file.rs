//! The two COSE layers of an update file (RFC 9052).
//!
//! Outside: COSE_Encrypt0 (tag 16), protected `alg` (A128GCM or A256GCM by the length of the
//! secret) and `kid` (the account id), unprotected `IV`; key = HKDF-SHA256(secret,
//! `crs-upd-v1`). Inside: COSE_Sign1 (tag 18) by the CMS key, protected `alg` EdDSA, `kid`,
//! `cms-key` and `cms-succession`.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use coset::cbor::Value;
use coset::{
    CoseEncrypt0, CoseEncrypt0Builder, CoseSign1, CoseSign1Builder, Header, HeaderBuilder, Label,
    TaggedCborSerializable, iana,
};
use crs_types::{AccountId, Rng, Secret};

use super::cms_key::{CmsKey, CmsPublicKey, Succession};
use super::content::{UpdateFile, VERSION};
use super::{FILE_MAX, SECRET_MIN, SUCCESSION_MAX};
use crate::cbor::{self, CborError};
use crate::derive;

const CMS_KEY: &str = "cms-key";
const CMS_SUCCESSION: &str = "cms-succession";

/// Which CMS key is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin<'a> {
    /// None yet: take the file's key, whose fingerprint a person then confirms.
    FirstUse,
    /// This one, or one that follows it by signed statements.
    Key(&'a CmsPublicKey),
}

/// How the file's CMS key was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinOutcome {
    /// No key was pinned: confirm the fingerprint of [`Opened::cms_key`], then pin it.
    FirstUse,
    /// It is the pinned key.
    Same,
    /// It follows the pinned key by signed statements: pin the new one.
    Succeeded,
}

/// An update file whose secret, account, signature and content have been checked.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The content.
    pub update: UpdateFile,
    /// The content's bytes: the "unprotected copy" that all nodes store.
    pub inner_bytes: Vec<u8>,
    /// The key that signed it.
    pub cms_key: CmsPublicKey,
    /// How that key was accepted.
    pub pin: PinOutcome,
}

/// Why an update file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// Beyond [`FILE_MAX`].
    #[error("the file has {0} bytes, at most {FILE_MAX} are accepted")]
    TooLarge(usize),
    /// An account secret that is too short to protect anything.
    #[error("the account secret has {0} bytes, at least {SECRET_MIN} are needed")]
    SecretTooShort(usize),
    /// Not a COSE structure of the expected kind.
    #[error("not an update file: expected {0}")]
    Container(&'static str),
    /// Encrypted with another algorithm than the secret's length demands.
    #[error("the file is not encrypted with {0}, as the length of the account secret demands")]
    Algorithm(&'static str),
    /// A file of another account.
    #[error("the file is of account {found}, expected {expected}")]
    WrongAccount {
        /// The account it was applied to.
        expected: AccountId,
        /// The account it names.
        found: String,
    },
    /// Decryption failed.
    #[error("the account secret does not open the file, or the file was changed")]
    WrongSecret,
    /// The signature does not verify.
    #[error("the CMS signature does not verify: the file was changed or is incomplete")]
    BadSignature,
    /// Signed by a key that is neither the pinned one nor its successor.
    #[error(
        "the file is signed by CMS key {found}, but {pinned} is pinned and has not named it as \
         its successor"
    )]
    CmsKeyChanged {
        /// The pinned key.
        pinned: CmsPublicKey,
        /// The file's key.
        found: CmsPublicKey,
    },
    /// The content is no CBOR of the expected form, or of an unknown version.
    #[error("update file: {0}")]
    Cbor(#[from] CborError),
    /// The content contradicts itself.
    #[error("update file: {0}")]
    Content(String),
}

/// Makes an update file. The content must pass the checks that [`open`] makes.
pub fn seal(
    update: &UpdateFile,
    account_secret: &Secret,
    cms_key: &CmsKey,
    succession: &Succession,
    rng: &mut dyn Rng,
) -> Result<Vec<u8>, UpdateError> {
    update.check().map_err(UpdateError::Content)?;
    let cipher = Cipher::from_secret(account_secret)?;
    let signed = sign(update, cms_key, succession);
    let mut iv = [0; 12];
    rng.fill(&mut iv);
    let kid = update.account.as_str().as_bytes().to_vec();
    let protected = HeaderBuilder::new().algorithm(cipher.algorithm).key_id(kid).build();
    let file = CoseEncrypt0Builder::new()
        .protected(protected)
        .unprotected(HeaderBuilder::new().iv(iv.to_vec()).build())
        .try_create_ciphertext(&signed, b"", |plain, aad| cipher.seal(&iv, plain, aad))?
        .build()
        .to_tagged_vec()
        .map_err(|_| UpdateError::Container("encodable headers"))?;
    if file.len() > FILE_MAX { Err(UpdateError::TooLarge(file.len())) } else { Ok(file) }
}

/// Opens an update file: checks account, secret, signature, pin, version and content. Whether it
/// may be applied now is [`super::admissible`]'s question.
pub fn open(
    bytes: &[u8],
    account_secret: &Secret,
    expected_account: &AccountId,
    pin: Pin<'_>,
) -> Result<Opened, UpdateError> {
    if bytes.len() > FILE_MAX {
        return Err(UpdateError::TooLarge(bytes.len()));
    }
    let signed = decrypt(bytes, account_secret, expected_account)?;
    let mut object = CoseSign1::from_tagged_slice(&signed)
        .map_err(|_| UpdateError::Container("COSE_Sign1 (tag 18) inside"))?;
    drop(signed);
    let header = &object.protected.header;
    expect_account(header, expected_account)?;
    if header.alg != Some(coset::Algorithm::Assigned(iana::Algorithm::EdDSA)) {
        return Err(UpdateError::Container("algorithm EdDSA in COSE_Sign1"));
    }
    let (cms_key, succession) = cms_headers(header)?;
    if object.payload.is_none() {
        return Err(UpdateError::Container("a payload in COSE_Sign1"));
    }
    if !cms_key.verifies(&object.tbs_data(b""), &object.signature) {
        return Err(UpdateError::BadSignature);
    }
    let pin = check_pin(pin, &cms_key, &succession, expected_account)?;
    let inner_bytes =
        object.payload.take().ok_or(UpdateError::Container("a payload in COSE_Sign1"))?;
    let update = open_inner(&inner_bytes)?;
    if update.account != *expected_account {
        let (expected, found) = (expected_account.clone(), update.account.to_string());
        return Err(UpdateError::WrongAccount { expected, found });
    }
    Ok(Opened { update, inner_bytes, cms_key, pin })
}

/// Decodes and checks a content ([`Opened::inner_bytes`]) that was opened before and stored.
pub fn open_inner(inner: &[u8]) -> Result<UpdateFile, UpdateError> {
    if inner.len() > FILE_MAX {
        return Err(UpdateError::TooLarge(inner.len()));
    }
    let update: UpdateFile = cbor::decode_versioned("an update file", VERSION, inner)?;
    update.check().map_err(UpdateError::Content)?;
    Ok(update)
}

fn sign(update: &UpdateFile, cms_key: &CmsKey, succession: &Succession) -> Vec<u8> {
    let links = succession.0.iter().map(|link| Value::Bytes(link.0.clone())).collect();
    let protected = HeaderBuilder::new()
        .algorithm(iana::Algorithm::EdDSA)
        .key_id(update.account.as_str().as_bytes().to_vec())
        .text_value(CMS_KEY.into(), Value::Bytes(cms_key.public_key().0.to_vec()))
        .text_value(CMS_SUCCESSION.into(), Value::Array(links))
        .build();
    CoseSign1Builder::new()
        .protected(protected)
        .payload(cbor::encode(update))
        .create_signature(b"", |input| cms_key.sign(input))
        .build()
        .to_tagged_vec()
        .expect("headers made here can be encoded")
}

fn decrypt(
    bytes: &[u8],
    account_secret: &Secret,
    expected_account: &AccountId,
) -> Result<Vec<u8>, UpdateError> {
    let cipher = Cipher::from_secret(account_secret)?;
    let mut object = CoseEncrypt0::from_tagged_slice(bytes)
        .map_err(|_| UpdateError::Container("COSE_Encrypt0 (tag 16)"))?;
    expect_account(&object.protected.header, expected_account)?;
    if object.protected.header.alg != Some(coset::Algorithm::Assigned(cipher.algorithm)) {
        return Err(UpdateError::Algorithm(cipher.name));
    }
    let iv: [u8; 12] = object
        .unprotected
        .iv
        .as_slice()
        .try_into()
        .map_err(|_| UpdateError::Container("an IV of 12 bytes"))?;
    let aad = coset::enc_structure_data(
        coset::EncryptionContext::CoseEncrypt0,
        object.protected.clone(),
        b"",
    );
    let sealed = object.ciphertext.take().ok_or(UpdateError::Container("a ciphertext"))?;
    cipher.open(&iv, sealed, &aad)
}

/// The file with its inner object changed, by whoever has the account secret.
#[cfg(test)]
pub(super) fn tampered(
    file: &[u8],
    secret: &Secret,
    account: &AccountId,
    change: impl FnOnce(&mut CoseSign1),
) -> Vec<u8> {
    let inner = decrypt(file, secret, account).expect("our own file");
    let mut object = CoseSign1::from_tagged_slice(&inner).expect("our own object");
    change(&mut object);
    let changed = object.to_tagged_vec().expect("an object");
    let (cipher, iv) = (Cipher::from_secret(secret).expect("a secret"), [9; 12]);
    let protected = HeaderBuilder::new()
        .algorithm(cipher.algorithm)
        .key_id(account.as_str().as_bytes().to_vec())
        .build();
    CoseEncrypt0Builder::new()
        .protected(protected)
        .unprotected(HeaderBuilder::new().iv(iv.to_vec()).build())
        .try_create_ciphertext(&changed, b"", |plain, aad| cipher.seal(&iv, plain, aad))
        .expect("sealed")
        .build()
        .to_tagged_vec()
        .expect("a file")
}

fn expect_account(header: &Header, expected: &AccountId) -> Result<(), UpdateError> {
    let found = String::from_utf8_lossy(&header.key_id);
    if AccountId::parse(&found).is_ok_and(|found| found == *expected) {
        return Ok(());
    }
    let found = found.chars().take(40).collect();
    Err(UpdateError::WrongAccount { expected: expected.clone(), found })
}

fn cms_headers(header: &Header) -> Result<(CmsPublicKey, Succession), UpdateError> {
    let text = |name: &str| {
        let label = Label::Text(name.into());
        header.rest.iter().find(|(found, _)| *found == label).map(|(_, value)| value)
    };
    let key = text(CMS_KEY).and_then(Value::as_bytes);
    let key = key.and_then(|bytes| CmsPublicKey::from_bytes(bytes).ok());
    let key = key.ok_or(UpdateError::Container("a cms-key of 32 bytes"))?;
    let links = text(CMS_SUCCESSION).and_then(Value::as_array);
    let links = links.ok_or(UpdateError::Container("a cms-succession"))?;
    if links.len() > SUCCESSION_MAX {
        return Err(UpdateError::Container("at most 16 entries in cms-succession"));
    }
    let link = |value: &Value| value.as_bytes().map(|bytes| bytes.clone().into());
    let links = links.iter().map(link).collect::<Option<Vec<_>>>();
    let links = links.ok_or(UpdateError::Container("byte strings in cms-succession"))?;
    Ok((key, Succession(links)))
}

fn check_pin(
    pin: Pin<'_>,
    found: &CmsPublicKey,
    succession: &Succession,
    account: &AccountId,
) -> Result<PinOutcome, UpdateError> {
    match pin {
        Pin::FirstUse => Ok(PinOutcome::FirstUse),
        Pin::Key(pinned) if pinned == found => Ok(PinOutcome::Same),
        Pin::Key(pinned) if succession.leads(account, pinned, found) => Ok(PinOutcome::Succeeded),
        Pin::Key(pinned) => Err(UpdateError::CmsKeyChanged { pinned: *pinned, found: *found }),
    }
}

/// AES-GCM keyed by the account secret.
struct Cipher {
    key: LessSafeKey,
    algorithm: iana::Algorithm,
    name: &'static str,
}

impl Cipher {
    fn from_secret(secret: &Secret) -> Result<Self, UpdateError> {
        let (unbound, algorithm, name) = match secret.len() {
            short @ 0..SECRET_MIN => return Err(UpdateError::SecretTooShort(short)),
            SECRET_MIN..32 => {
                let key = derive::derive::<16>(secret.expose(), derive::UPDATE_FILE);
                let key = UnboundKey::new(&AES_128_GCM, key.as_slice());
                (key, iana::Algorithm::A128GCM, "AES-128-GCM")
            }
            32.. => {
                let key = derive::derive::<32>(secret.expose(), derive::UPDATE_FILE);
                let key = UnboundKey::new(&AES_256_GCM, key.as_slice());
                (key, iana::Algorithm::A256GCM, "AES-256-GCM")
            }
        };
        let unbound = unbound.map_err(|_| UpdateError::Algorithm(name))?;
        Ok(Self { key: LessSafeKey::new(unbound), algorithm, name })
    }

    fn seal(&self, iv: &[u8; 12], plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, UpdateError> {
        let mut buffer = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len());
        buffer.extend_from_slice(plain);
        self.key
            .seal_in_place_append_tag(Nonce::from(iv), Aad::from(aad), &mut buffer)
            .map_err(|_| UpdateError::TooLarge(plain.len()))?;
        Ok(buffer)
    }

    fn open(&self, iv: &[u8; 12], mut sealed: Vec<u8>, aad: &[u8]) -> Result<Vec<u8>, UpdateError> {
        let length = self
            .key
            .open_in_place(Nonce::from(iv), Aad::from(aad), &mut sealed)
            .map_err(|_| UpdateError::WrongSecret)?
            .len();
        sealed.truncate(length);
        Ok(sealed)
    }
}
