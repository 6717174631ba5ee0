//! What readers get: pages of a mailbox, counters, per-user records.

use std::collections::BTreeMap;

use crs_types::{AccountId, DeviceId, MessageId, Timestamp, Uri};

use crate::command::mailbox::rows::{
    self, BodyRef, ClientInfoRow, ItemKind, ItemRow, UpdateFlag, UserRow,
};
use crate::command::{Body, UserKey};
use crate::raft::MailboxMachine;
use crate::table::{TableError, decode_row};

/// Most items of one page, however many are asked for.
pub const PAGE_ITEMS_MAX: usize = 256;
/// User rows read at a time for a listing.
const LIST_CHUNK: usize = 1_000;

/// Items of a mailbox in order of arrival.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The items.
    pub items: Vec<MailItem>,
    /// True when more follow.
    pub more: bool,
}

/// Something in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailItem {
    /// A message.
    Content {
        /// Arrival number; rises, is never reused.
        n: u64,
        /// The sender's id.
        mid: MessageId,
        /// The sender.
        from: Uri,
        /// The sender's account.
        account: AccountId,
        /// When it was posted.
        time: Timestamp,
        /// The body.
        body: Body,
    },
    /// A receipt.
    Receipt {
        /// Arrival number; rises, is never reused.
        n: u64,
        /// The message that was acknowledged.
        mid: MessageId,
        /// Who acknowledged it.
        by: Uri,
        /// Their account.
        account: AccountId,
        /// When.
        time: Timestamp,
    },
}

/// What waits for a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Messages.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Receipts.
    pub receipts: u64,
    /// Number of the newest item ever.
    pub newest: u64,
}

/// What is stored about a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserView {
    /// When the user last looked for messages.
    pub read: Option<Timestamp>,
    /// Key updates offered and confirmed, oldest period first.
    pub updates: Vec<UpdateFlag>,
    /// What the user's devices said about themselves.
    pub clients: Vec<ClientInfo>,
}

/// What one device said about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// The device.
    pub device: DeviceId,
    /// As it was put.
    pub info: Body,
    /// When.
    pub time: Timestamp,
}

/// A line of `show message` (C-181…C-186).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCounters {
    /// The user.
    pub user: UserKey,
    /// POST: messages posted by the user.
    pub posted: u64,
    /// DELIV: those of them that were acknowledged by their receivers.
    pub delivered: u64,
    /// READ: when the user last looked for messages.
    pub read: Option<Timestamp>,
    /// Messages that wait for the user.
    pub waiting: u64,
    /// Bytes of their bodies.
    pub waiting_bytes: u64,
}

/// The oldest items after a number: at most `max_items`, within `max_bytes` of bodies (at least
/// one item). One row more is read, to tell whether there is more.
pub(super) fn page(
    machine: &MailboxMachine,
    user: &UserKey,
    after: u64,
    max_items: usize,
    max_bytes: u64,
) -> Result<Page, TableError> {
    let most = max_items.clamp(1, PAGE_ITEMS_MAX);
    let start = rows::item_key(user, after.saturating_add(1));
    let end = rows::after_prefix(&rows::with_user(b'i', user));
    let found = machine.table().range(&start, &end, most + 1)?;
    let mut page = Page::default();
    let mut bytes = 0;
    for (key, value) in found {
        let item: ItemRow = decode_row(&key, &value)?;
        bytes += match &item.kind {
            ItemKind::Content { body, .. } => body.len(),
            ItemKind::Receipt { .. } => 0,
        };
        let full = page.items.len() == most || bytes > max_bytes;
        if full && !page.items.is_empty() {
            page.more = true;
            break;
        }
        // An item whose body went between the scan and now has been acknowledged meanwhile.
        if let Some(item) = mail_item(machine, &key, item)? {
            page.items.push(item);
        }
    }
    Ok(page)
}

fn mail_item(
    machine: &MailboxMachine,
    key: &[u8],
    item: ItemRow,
) -> Result<Option<MailItem>, TableError> {
    let n = rows::item_number(key);
    match item.kind {
        ItemKind::Receipt { mid, by, time } => {
            Ok(Some(MailItem::Receipt { n, mid, by: by.uri, account: by.account, time }))
        }
        ItemKind::Content { mid, from, time, body } => {
            let body = match body {
                BodyRef::Inline(body) => body,
                BodyRef::Segment { hash, .. } => match machine.body(hash)? {
                    Some(body) => Body::from(body),
                    None if machine.table().get(key)?.is_none() => return Ok(None),
                    // It may have moved to another segment between its place and itself.
                    None => match machine.body(hash)? {
                        Some(body) => Body::from(body),
                        None => return Err(TableError::Body(mid)),
                    },
                },
            };
            let (from, account) = (from.uri, from.account);
            Ok(Some(MailItem::Content { n, mid, from, account, time, body }))
        }
    }
}

/// What waits for a user.
pub(super) fn waiting(machine: &MailboxMachine, user: &UserKey) -> Result<Waiting, TableError> {
    let row = user_row(machine, user)?;
    let UserRow { messages, bytes, receipts, newest, .. } = row;
    Ok(Waiting { messages, bytes, receipts, newest })
}

/// What is stored about a user.
pub(super) fn user(machine: &MailboxMachine, user: &UserKey) -> Result<UserView, TableError> {
    let row = user_row(machine, user)?;
    let prefix = rows::with_user(b'k', user);
    let most = crate::command::mailbox::DEVICES_MAX;
    let found = machine.table().range(&prefix, &rows::after_prefix(&prefix), most)?;
    let clients = found.iter().map(|(key, value)| {
        let ClientInfoRow { device, info, time, .. } = decode_row(key, value)?;
        Ok(ClientInfo { device, info, time })
    });
    let clients = clients.collect::<Result<_, TableError>>()?;
    Ok(UserView { read: row.read, updates: row.updates, clients })
}

/// All user rows of a group, or those of one account.
pub(super) fn user_rows(
    machine: &MailboxMachine,
    account: Option<&AccountId>,
) -> Result<Vec<UserRow>, TableError> {
    let prefix = account.map_or_else(|| vec![b'u'], |id| rows::account_prefix(b'u', id));
    let end = rows::after_prefix(&prefix);
    let table = machine.table();
    let mut from = prefix;
    let mut all = Vec::new();
    loop {
        let found = table.range(&from, &end, LIST_CHUNK)?;
        let Some((last, _)) = found.last() else { return Ok(all) };
        from = [last.as_slice(), &[0]].concat();
        for (key, value) in &found {
            all.push(decode_row(key, value)?);
        }
    }
}

/// Adds a group's row to the listing. A user's posts are counted in the receivers' groups, all
/// else in the group that owns the user.
pub(super) fn add_counters(all: &mut BTreeMap<UserKey, UserCounters>, row: UserRow, home: bool) {
    let user = row.user.clone();
    let line = all.entry(user.clone()).or_insert_with(|| UserCounters {
        user,
        posted: 0,
        delivered: 0,
        read: None,
        waiting: 0,
        waiting_bytes: 0,
    });
    line.posted += row.posted;
    line.delivered += row.delivered;
    if home {
        line.read = row.read;
        line.waiting = row.messages;
        line.waiting_bytes = row.bytes;
    }
}

fn user_row(machine: &MailboxMachine, user: &UserKey) -> Result<UserRow, TableError> {
    let key = rows::user_key(user);
    let value = machine.table().get(&key)?;
    match value {
        Some(value) => decode_row(&key, &value),
        None => Ok(UserRow::new(user)),
    }
}
