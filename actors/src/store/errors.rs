//! What a client is told when the store refuses.

use crs_proto::wire::{ErrorBody, ErrorCode};
use crs_storage::store::{ReadError, WriteError};

/// The error of a command that was not confirmed.
pub(super) fn of_write(error: &WriteError) -> ErrorBody {
    let code = match error {
        WriteError::DiskFull(_) => ErrorCode::DiskFull,
        WriteError::TooLarge { .. } => ErrorCode::TooLarge,
        WriteError::NoGroup(_) => ErrorCode::Internal,
        WriteError::Busy
        | WriteError::Disk(_)
        | WriteError::NoQuorum(_)
        | WriteError::Unknown
        | WriteError::Stopped => ErrorCode::Unavailable,
    };
    let text = match error {
        WriteError::DiskFull(_) => "the server's disk is full".to_owned(),
        WriteError::Disk(_) => "the server's disk refuses".to_owned(),
        WriteError::Busy
        | WriteError::NoQuorum(_)
        | WriteError::Unknown
        | WriteError::TooLarge { .. }
        | WriteError::NoGroup(_)
        | WriteError::Stopped => error.to_string(),
    };
    let retry_ms = error.retry_after().and_then(|wait| u64::try_from(wait.as_millis()).ok());
    ErrorBody { retry_ms: retry_ms.or(code.retry_ms()), ..ErrorBody::new(code, text) }
}

/// The error of a read.
pub(super) fn of_read(error: &ReadError) -> ErrorBody {
    tracing::warn!(%error, "reading for a client");
    ErrorBody::retry(ErrorCode::Unavailable, "the mailbox cannot be read now", 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_may_take_later_says_when() {
        for (error, retry_ms) in [
            (WriteError::Busy, Some(200)),
            (WriteError::Unknown, Some(1_000)),
            (WriteError::Stopped, Some(2_000)),
            (WriteError::NoQuorum(crs_types::GroupId(1)), Some(1_000)),
            (WriteError::DiskFull("x".into()), Some(5_000)),
            (WriteError::Disk("x".into()), Some(5_000)),
            (WriteError::NoGroup(crs_types::GroupId(1)), Some(5_000)),
            (WriteError::TooLarge { limit: 1, found: 9 }, None),
        ] {
            assert_eq!(of_write(&error).retry_ms, retry_ms, "{error}");
        }
    }
}
