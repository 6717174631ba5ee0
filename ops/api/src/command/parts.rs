//! Long replies travel in parts, so that no line grows without bound.

use super::{Reply, show_attach, show_blacklist, show_message, show_relays, show_session};

/// Rows in one part of a reply: keeps each line well below the protocol's limit.
pub const ROWS_PER_PART: usize = 1000;

/// A part of another reply, or of one that never comes in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this part belongs to another reply")]
pub struct UnfittingPart;

macro_rules! in_parts {
    ($reply:expr, $part:expr; $($variant:ident: $row:ty),*) => {
        match ($reply, $part) {
            $((Reply::$variant(rows), Reply::$variant(more)) => {
                let more: Vec<$row> = more;
                rows.extend(more);
                Ok(())
            })*
            (..) => Err(UnfittingPart),
        }
    };
}

impl Reply {
    /// Cuts a long reply into parts that [`Reply::absorb`] joins again. Never empty.
    pub fn into_parts(self) -> Vec<Self> {
        match self {
            Self::ShowAttach(rows) => cut(rows, Self::ShowAttach),
            Self::ShowBlacklist(rows) => cut(rows, Self::ShowBlacklist),
            Self::ShowMessage(rows) => cut(rows, Self::ShowMessage),
            Self::ShowRelays(rows) => cut(rows, Self::ShowRelays),
            Self::ShowSession(rows) => cut(rows, Self::ShowSession),
            other @ (Self::Apply(_)
            | Self::BlacklistAdd(_)
            | Self::BlacklistRemove(_)
            | Self::CheckSlot(_)
            | Self::Complete(_)
            | Self::CreateAccount(_)
            | Self::DeleteAccount(_)
            | Self::Doctor(_)
            | Self::HealthCheck(_)
            | Self::ListAccount(_)
            | Self::LookupClient(_)
            | Self::PurgeClient(_)
            | Self::PurgeClients(_)
            | Self::ReloadAccount(_)
            | Self::ShowAccount(_)
            | Self::ShowNode(_)
            | Self::ShowRelay(_)
            | Self::ShowServices(_)
            | Self::ShowSystem(_)
            | Self::ShowUpdates(_)
            | Self::ShowVersion(_)
            | Self::Trace(_)) => vec![other],
        }
    }

    /// Appends a later part of the same reply.
    pub fn absorb(&mut self, part: Self) -> Result<(), UnfittingPart> {
        in_parts!(self, part;
            ShowAttach: show_attach::AttachRow,
            ShowBlacklist: show_blacklist::BlacklistRow,
            ShowMessage: show_message::MessageRow,
            ShowRelays: show_relays::RelaysRow,
            ShowSession: show_session::SessionRow)
    }
}

fn cut<R>(rows: Vec<R>, wrap: fn(Vec<R>) -> Reply) -> Vec<Reply> {
    if rows.len() <= ROWS_PER_PART {
        return vec![wrap(rows)];
    }
    let mut rows = rows.into_iter();
    let mut parts = Vec::new();
    loop {
        let part: Vec<R> = rows.by_ref().take(ROWS_PER_PART).collect();
        if part.is_empty() {
            return parts;
        }
        parts.push(wrap(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_join_to_what_was_cut() {
        let rows: Vec<_> = (0..2500)
            .map(|n| show_blacklist::BlacklistRow { uri: format!("+4670{n:07}") })
            .collect();
        let whole = Reply::ShowBlacklist(rows);
        let mut parts = whole.clone().into_parts().into_iter();
        assert_eq!(parts.len(), 3);
        let mut joined = parts.next().unwrap();
        parts.for_each(|part| joined.absorb(part).unwrap());
        assert_eq!(joined, whole);
        assert_eq!(Reply::ShowSession(Vec::new()).into_parts().len(), 1);
    }

    #[test]
    fn a_part_of_another_reply_does_not_fit() {
        let mut reply = Reply::ShowSession(Vec::new());
        assert_eq!(reply.absorb(Reply::ShowAttach(Vec::new())), Err(UnfittingPart));
    }
}
