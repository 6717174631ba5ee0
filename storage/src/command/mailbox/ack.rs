//! Acknowledging items: content is deleted and a receipt is put into the outbox, in one entry.

use crs_types::limits::ACK_MAX;
use crs_types::{MessageId, Timestamp, Uri};
use serde::{Deserialize, Serialize};

use super::rows::{self, ItemKind, ItemRow};
use super::{MailboxReply, OutboxRow, UserKey};
use crate::table::{TableError, Txn};

/// These items are safe with the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Whose mailbox.
    pub user: UserKey,
    /// Arrival numbers, at most [`ACK_MAX`]. Unknown ones are ignored.
    pub n: Vec<u64>,
    /// Now, by the proposer's clock; shown to the senders.
    pub time: Timestamp,
}

/// A message that an acknowledgement has removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckedContent {
    /// The message.
    pub mid: MessageId,
    /// Who sent it.
    pub from: Uri,
}

impl Ack {
    pub(super) fn apply(&self, txn: &mut Txn<'_>) -> Result<MailboxReply, TableError> {
        if self.n.len() > ACK_MAX {
            return Ok(MailboxReply::OverLimit { limit: ACK_MAX as u64 });
        }
        let (mut removed, mut contents) = (0, Vec::new());
        for n in &self.n {
            let key = rows::item_key(&self.user, *n);
            let Some(item) = txn.row::<ItemRow>(&key)? else { continue };
            txn.remove_item(&self.user, &key, &item)?;
            removed += 1;
            if let ItemKind::Content { mid, from, .. } = item.kind {
                contents.push(AckedContent { mid, from: from.uri.clone() });
                txn.update_user(&from, |sender| sender.delivered += 1)?;
                let receipt =
                    OutboxRow { seq: 0, to: from, mid, by: self.user.clone(), time: self.time };
                txn.push_outbox(receipt)?;
            }
        }
        Ok(MailboxReply::Acked { removed, contents })
    }
}
