//! Secret text on its way to or from an operator: never in debug output, wiped when dropped.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What stands in place of a secret that was not asked for with `--reveal`.
pub const MASK: &str = "********";

/// A secret as text (base64), or [`MASK`]. `Debug` never prints it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// Takes a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The placeholder of a secret that is not shown.
    pub fn masked() -> Self {
        Self(MASK.to_owned())
    }

    /// The text itself. Callers must not log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}
