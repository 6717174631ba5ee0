//! Update files: what a CMS hands to the pool each month (Q-34, C-148…C-150, design.md §8).
//!
//! COSE_Encrypt0 under a key from the account secret, around COSE_Sign1 by the CMS key, around
//! deterministic CBOR. Order of use at the server: [`open`] (secret, account, signature, pin,
//! content), then [`admissible`] (period and serial), then storage; [`UpdateFile::delivery`] is
//! what `upd.get` returns to a user.

mod admissible;
mod claimed;
mod cms_key;
mod content;
mod file;

pub use admissible::{Admission, Inadmissible, admissible};
pub use claimed::claimed_account;
pub use cms_key::{CmsKey, CmsPublicKey, Succession};
pub use content::{TeamCode, UpdateFile, UpdateUser};
pub use crs_types::limits::{ACCOUNT_SECRET_MIN as SECRET_MIN, UPDATE_FILE_MAX as FILE_MAX};
pub use file::{Opened, Pin, PinOutcome, UpdateError, open, open_inner, seal};

/// Most users in one file.
pub const USERS_MAX: usize = 100_000;
/// Most team codes in one file.
pub const TEAM_CODES_MAX: usize = 10_000;
/// Most members of one team code.
pub const TEAM_MEMBERS_MAX: usize = 1_000;
/// Largest certificate, sealed package or token of one user in bytes.
pub const ITEM_MAX: usize = 8 * 1024;
/// Largest domain token and KMS parameters in bytes.
pub const DOMAIN_TOKEN_MAX: usize = 4 * 1024;
/// Most CMS keys in a succession.
pub const SUCCESSION_MAX: usize = 16;

#[cfg(test)]
mod tests;
