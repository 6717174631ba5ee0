//! Sans-IO cores: input, time and randomness come in as arguments, effects come out.

pub mod backoff;
pub mod contacts;
pub mod inbox;
pub mod outbox;
