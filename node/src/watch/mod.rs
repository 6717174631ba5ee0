//! What the node watches over by itself: its clock, the accounts' updates, the certificates, its
//! configuration. Decisions only: time and what was seen go in, what is to be told comes out, each
//! thing once and not at every look.

mod clock;
mod drift;
mod expiry;
mod updates;

pub use clock::{ClockWatch, JUMP, Jump, Reading};
pub use drift::{Drift, DriftNews, DriftWatch};
pub use expiry::{Expiring, ExpiryWatch, TIERS};
pub use updates::{MissingUpdate, UpdateWatch};
