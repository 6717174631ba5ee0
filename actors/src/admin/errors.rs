//! From the errors of the other parts to what an operator reads.

use crs_admin_api::{AdminError, Code};
use crs_keys::update::{Inadmissible, UpdateError};
use crs_storage::command::control::ControlRefusal;
use crs_storage::store::{ReadError, WriteError};
use crs_types::{AccountId, Period};

/// No account of that id.
pub(super) fn no_account(account: &AccountId) -> AdminError {
    AdminError::new(Code::NoSuchAccount, format!("there is no account {account}"))
}

/// A command that was not confirmed.
pub(super) fn write(error: &WriteError) -> AdminError {
    let code = match error {
        WriteError::Busy => Code::Busy,
        WriteError::DiskFull(_) | WriteError::Disk(_) => Code::Disk,
        WriteError::NoQuorum(_) => Code::NoQuorum,
        WriteError::Unknown => Code::Timeout,
        WriteError::TooLarge { .. } => Code::TooLarge,
        WriteError::NoGroup(_) => Code::Internal,
        WriteError::Stopped => Code::ShuttingDown,
    };
    AdminError::new(code, error.to_string())
}

/// Something that could not be read.
pub(super) fn read(error: &ReadError) -> AdminError {
    let code = match error {
        ReadError::Unavailable(_) | ReadError::NoBlob(_) | ReadError::Damaged { .. } => {
            Code::Unavailable
        }
        ReadError::Stopped => Code::ShuttingDown,
    };
    AdminError::new(code, error.to_string())
}

/// A command that the control group refused.
pub(super) fn refusal(error: &ControlRefusal) -> AdminError {
    if let ControlRefusal::AccountPurging(_) = error {
        let hint = "wait a minute until its mailboxes are gone, or choose another id";
        return AdminError::with_hint(Code::Busy, error.to_string(), hint);
    }
    let code = match error {
        ControlRefusal::AccountExists(_) | ControlRefusal::AccountPurging(_) => Code::AccountExists,
        ControlRefusal::NoAccount(_) => Code::NoSuchAccount,
        ControlRefusal::OlderSerial { .. } | ControlRefusal::SerialConflict { .. } => {
            Code::OldSerial
        }
        ControlRefusal::CmsKey(_) => Code::WrongCmsKey,
        ControlRefusal::IdentityExists => Code::Internal,
        ControlRefusal::Limit { .. } => Code::TooLarge,
    };
    AdminError::new(code, error.to_string())
}

/// An update file that does not open.
pub(super) fn update(error: &UpdateError) -> AdminError {
    let code = match error {
        UpdateError::TooLarge(_) => Code::TooLarge,
        UpdateError::WrongAccount { .. }
        | UpdateError::WrongSecret
        | UpdateError::SecretTooShort(_)
        | UpdateError::Algorithm(_) => Code::WrongAccount,
        UpdateError::CmsKeyChanged { .. } => Code::WrongCmsKey,
        UpdateError::Container(_)
        | UpdateError::BadSignature
        | UpdateError::Cbor(_)
        | UpdateError::Content(_) => Code::BadUpdate,
    };
    AdminError::new(code, error.to_string())
}

/// An update file that may not be applied now. `remake` is its month when that has no newer file
/// yet: then it may be the newest of its month, and the month needs one all the same.
pub(super) fn inadmissible(error: &Inadmissible, remake: Option<Period>) -> AdminError {
    match (error, remake) {
        (Inadmissible::OlderSerial { newest, found }, Some(period)) => {
            let message = format!(
                "the file for {period} (serial {found}) was made before the file in force (serial \
                 {newest}), and may say what has been revoked since"
            );
            let hint = format!(
                "have {period} made anew, `crs-cms update create --period {period}`, and apply that"
            );
            AdminError::with_hint(Code::OldSerial, message, hint)
        }
        (Inadmissible::OlderSerial { .. }, None) => {
            AdminError::new(Code::OldSerial, error.to_string())
        }
        (Inadmissible::Period { .. }, _) => AdminError::new(Code::WrongPeriod, error.to_string()),
    }
}

/// A file in the accounts directory that could not be written.
pub(super) fn file(path: &std::path::Path, error: &std::io::Error) -> AdminError {
    let message = format!("{} cannot be written: {error}", path.display());
    let hint = "check the owner of the directory (crsuser) and free space; the change itself is \
                stored, `crs-cli reload account` writes the files anew";
    AdminError::with_hint(Code::Disk, message, hint)
}
