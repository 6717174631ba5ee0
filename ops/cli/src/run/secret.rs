//! Shared secrets: made here, or checked before they are sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crs_admin_api::view::Render;
use crs_admin_api::{AdminError, Code, Exit, SecretText};
use crs_types::limits::{ACCOUNT_SECRET_MAX, ACCOUNT_SECRET_MIN};
use crs_types::{OsRng, Secret};

use crate::args::{Global, SharedSecret};
use crate::output;

/// Length of a secret when nothing else was asked for (C-273, C-275).
const DEFAULT_BYTES: u16 = 16;

crs_admin_api::record! {
    /// What `create sharedSecret` prints.
    struct Made {
        /// Base64.
        shared_secret: SecretText => "shared secret",
    }
}

/// `create sharedSecret`: the bare text for people and pipes, an object for JSON.
pub(crate) fn run(global: &Global, args: &SharedSecret) -> Result<Exit, AdminError> {
    let length = args.bytes().unwrap_or(DEFAULT_BYTES);
    let secret = Secret::generate(&mut OsRng, usize::from(length));
    let text = secret.to_base64();
    if global.output.is_none() {
        output::print(&format!("{}\n", text.as_str()))?;
    } else {
        let made = Made { shared_secret: SecretText::new(text.as_str()) };
        output::print_view(&made.view(), global)?;
    }
    Ok(Exit::Ok)
}

/// A secret given with `-s`: base64 of 16 to 64 bytes; spaces inside do not count.
pub(crate) fn checked(text: &str) -> Result<String, AdminError> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let refuse = |why: String| Err(AdminError::new(Code::BadSecret, why));
    match STANDARD.decode(&compact) {
        Err(_) => refuse("the shared secret is not base64".to_owned()),
        Ok(bytes) if !(ACCOUNT_SECRET_MIN..=ACCOUNT_SECRET_MAX).contains(&bytes.len()) => {
            refuse(format!(
                "the shared secret has {} bytes, expected {ACCOUNT_SECRET_MIN} to {ACCOUNT_SECRET_MAX}",
                bytes.len()
            ))
        }
        Ok(_) => Ok(compact),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_checked_before_they_leave() {
        assert_eq!(checked("AAECAwQF BgcICQoLDA0ODw==").unwrap(), "AAECAwQFBgcICQoLDA0ODw==");
        assert!(checked("AAEC").unwrap_err().message.contains("3 bytes"));
        assert!(checked("not base64!").unwrap_err().is(Code::BadSecret));
    }
}
