//! What the node knows about accounts: CAs, users of each period, connected domains, blacklists.
//!
//! Derived from the control group's state and the blobs of its update files, swapped as a whole
//! when either changes, read without locks. Certificates and packages stay in the blobs: the
//! index of 50 000 users of one period takes 2 MB.

mod follow;
mod index;
mod loader;
mod registry;
#[cfg(test)]
mod tests;
mod view;
mod worth;

pub use follow::{follow, refresh};
pub use index::{IndexError, PeriodContent, PeriodIndex, Span, User, UserRow};
pub use loader::{LoadError, UpdateBlobs, index, load};
pub use registry::{AccountRegistry, BlobReader};
pub use view::{Account, AccountsView, Revoked};
pub use worth::{ShownKeys, Worthless};
