//! Fixed limits that several crates share. docs/limits.md says what happens at each.

use std::time::Duration;

/// Largest client frame in bytes (design.md §5).
pub const FRAME_MAX: usize = 96 * 1024;
/// Largest message body in bytes, after base64 decoding.
pub const BODY_MAX: usize = 64 * 1024;
/// Largest call offer or answer in bytes, after base64 decoding.
pub const OFFER_MAX: usize = 16 * 1024;
/// Requests of one connection that may be under way at once.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 32;
/// Items of one acknowledgement.
pub const ACK_MAX: usize = 256;
/// Largest update file in bytes, protected or not.
pub const UPDATE_FILE_MAX: usize = 256 * 1024 * 1024;
/// Shortest account secret in bytes; from 32 bytes on AES-256-GCM is used.
pub const ACCOUNT_SECRET_MIN: usize = 16;
/// Longest account secret in bytes.
pub const ACCOUNT_SECRET_MAX: usize = 64;
/// Secondary registrations of one (account, URI).
pub const SECONDARIES_MAX: usize = 5;
/// Messages in one user's mailbox.
pub const MAILBOX_MESSAGES_MAX: u64 = 10_000;
/// Bytes in one user's mailbox.
pub const MAILBOX_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long messages, and the ids that make posts idempotent, are kept.
pub const MESSAGE_RETENTION: Duration = Duration::from_secs(35 * 86_400);
/// How far in the future a client-made id may claim to be.
pub const ID_FUTURE_MAX: Duration = Duration::from_secs(86_400);
/// Default number of mailbox groups.
pub const MAILBOX_GROUPS: u16 = 4;
/// Integers on the client wire stay at or below this (exact in an IEEE 754 double).
pub const WIRE_INTEGER_MAX: u64 = 1 << 53;
