//! Rows of a mailbox group's table, and their keys. Keys sort as the commands need to scan them.
//!
//! | prefix | key | row |
//! |---|---|---|
//! | `u` | user | [`UserRow`] |
//! | `i` | user, n | [`ItemRow`] |
//! | `r` | user | a number: no receipt has a lower one (once some had to give way) |
//! | `d` | sender, message id | [`DedupRow`] |
//! | `c` | sender | how many ids are remembered |
//! | `x` | time, row key | nothing: what falls due when |
//! | `o` | sequence number | [`super::OutboxRow`] |
//! | `w` | origin group | sequence number of its last receipt taken |
//! | `a` | account | [`AccountRow`] |
//! | `k` | user, device | [`ClientInfoRow`] |
//! | `s` | – | next outbox sequence number |

use crs_types::{AccountId, BlobHash, DeviceId, GroupId, MessageId, Period, Timestamp, Uri};
use serde::{Deserialize, Serialize};

use super::UserKey;
use crate::command::Body;

/// Bodies up to this many bytes lie in the table row, larger ones in segment files; with the
/// rest of the row a value stays within 4 KiB.
pub const INLINE_BODY_MAX: usize = 3_584;

/// Bytes of a message id, at the end of the keys that name one.
const MID_LEN: usize = 16;

/// A user's counters and the state of the mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// The user, as first spelled.
    pub user: UserKey,
    /// Number of the newest item ever; never falls.
    pub newest: u64,
    /// Messages that wait.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Receipts that wait.
    pub receipts: u64,
    /// Messages posted by this user to users of this group.
    pub posted: u64,
    /// Those of them that were acknowledged.
    pub delivered: u64,
    /// When the user last looked for messages.
    pub read: Option<Timestamp>,
    /// Key updates offered and confirmed, oldest period first.
    pub updates: Vec<UpdateFlag>,
}

/// Where one user stands with one month's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateFlag {
    /// The month.
    pub period: Period,
    /// Serial last offered and when.
    pub offered: Option<(u64, Timestamp)>,
    /// Serial last confirmed and when.
    pub confirmed: Option<(u64, Timestamp)>,
}

/// Something in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemRow {
    /// When it is removed unfetched.
    pub expires: Timestamp,
    /// What it is.
    pub kind: ItemKind,
}

/// A message or a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemKind {
    /// A message.
    Content {
        /// The sender's id.
        mid: MessageId,
        /// The sender.
        from: UserKey,
        /// When it was proposed.
        time: Timestamp,
        /// The body.
        body: BodyRef,
    },
    /// A receipt.
    Receipt {
        /// The message that was acknowledged.
        mid: MessageId,
        /// Who acknowledged it.
        by: UserKey,
        /// When.
        time: Timestamp,
    },
}

/// Where a body is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodyRef {
    /// In the row.
    Inline(Body),
    /// In the group's segment files, under this name (unique to the message).
    Segment {
        /// Its name.
        hash: BlobHash,
        /// Its length in bytes.
        len: u64,
    },
}

impl BodyRef {
    /// Length of the body in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(body) => body.len() as u64,
            Self::Segment { len, .. } => *len,
        }
    }

    /// True when the body has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What an id was used for, so that a repeated post is recognised: in the group of the receiver
/// who got the message and, as a claim, in that of the sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupRow {
    /// SHA-256 over receiver and body.
    pub fingerprint: [u8; 32],
    /// Arrival number it got here, or [`DedupRow::CLAIMED`].
    pub n: u64,
}

impl DedupRow {
    /// The id is taken, no message of this group has it. Arrival numbers start at 1.
    pub const CLAIMED: u64 = 0;
}

/// What an account's mailboxes in this group hold together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRow {
    /// Messages that wait.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// What one device says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInfoRow {
    /// The user.
    pub user: UserKey,
    /// The device.
    pub device: DeviceId,
    /// Opaque to the store.
    pub info: Body,
    /// When it came.
    pub time: Timestamp,
}

impl UserRow {
    /// A user of whom nothing is known yet.
    pub fn new(user: &UserKey) -> Self {
        Self {
            user: user.clone(),
            newest: 0,
            messages: 0,
            bytes: 0,
            receipts: 0,
            posted: 0,
            delivered: 0,
            read: None,
            updates: Vec::new(),
        }
    }
}

/// Key of a user's row.
pub fn user_key(user: &UserKey) -> Vec<u8> {
    with_user(b'u', user)
}

/// Key of an item.
pub fn item_key(user: &UserKey, n: u64) -> Vec<u8> {
    let mut key = with_user(b'i', user);
    key.extend_from_slice(&n.to_be_bytes());
    key
}

/// The arrival number at the end of an item's key.
pub fn item_number(key: &[u8]) -> u64 {
    key.last_chunk::<8>().map_or(0, |n| u64::from_be_bytes(*n))
}

/// Key of the number below which a user has no receipt.
pub fn oldest_receipt_key(user: &UserKey) -> Vec<u8> {
    with_user(b'r', user)
}

/// Key of a post's idempotency record.
pub fn dedup_key(from: &UserKey, mid: &MessageId) -> Vec<u8> {
    let mut key = with_user(b'd', from);
    key.extend_from_slice(mid.as_bytes());
    key
}

/// Key of the number of ids that are remembered of a sender.
pub fn ids_key(from: &UserKey) -> Vec<u8> {
    with_user(b'c', from)
}

/// The same, by the key of one of the ids.
pub fn ids_key_of(dedup_key: &[u8]) -> Vec<u8> {
    let end = dedup_key.len().saturating_sub(MID_LEN);
    let mut key = dedup_key.get(..end).unwrap_or_default().to_vec();
    if let Some(kind) = key.first_mut() {
        *kind = b'c';
    }
    key
}

/// Key that says when the row `target` falls due.
pub fn due_key(when: Timestamp, target: &[u8]) -> Vec<u8> {
    let mut key = vec![b'x'];
    key.extend_from_slice(&when.as_millis().to_be_bytes());
    key.extend_from_slice(target);
    key
}

/// The row that a due key names.
pub fn due_target(key: &[u8]) -> &[u8] {
    key.get(9..).unwrap_or_default()
}

/// Key of an outbox row.
pub fn outbox_key(seq: u64) -> Vec<u8> {
    let mut key = vec![b'o'];
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// Key of the next outbox sequence number.
pub fn outbox_next_key() -> Vec<u8> {
    vec![b's']
}

/// Key of the number of the last receipt taken from `origin`.
pub fn watermark_key(origin: GroupId) -> Vec<u8> {
    let mut key = vec![b'w'];
    key.extend_from_slice(&origin.0.to_be_bytes());
    key
}

/// Key of an account's totals.
pub fn account_key(account: &AccountId) -> Vec<u8> {
    account_prefix(b'a', account)
}

/// Key of a device's client info.
pub fn client_info_key(user: &UserKey, device: &DeviceId) -> Vec<u8> {
    let mut key = with_user(b'k', user);
    key.extend_from_slice(device.as_str().as_bytes());
    key
}

/// Start of all keys of one kind that belong to an account.
pub fn account_prefix(kind: u8, account: &AccountId) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(account.folded().as_bytes());
    key.push(0);
    key
}

/// Start of all keys of one kind that belong to a user.
pub fn with_user(kind: u8, user: &UserKey) -> Vec<u8> {
    let mut key = account_prefix(kind, &user.account);
    key.extend_from_slice(user.uri.as_str().as_bytes());
    key.push(0);
    key
}

/// The smallest key that does not start with `prefix`, for a prefix that ends in a zero byte or
/// a letter.
pub fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    end
}

impl UserKey {
    /// A user by account and URI.
    pub fn new(account: AccountId, uri: Uri) -> Self {
        Self { account, uri }
    }
}
