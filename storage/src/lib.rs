//! Everything durable: the write-ahead log, Raft, the state machines, mailbox segments and blobs.
//!
//! Entry point is [`Store`]: a cheap handle that proposes commands, reads state and tells who has
//! mail. The log plus the newest snapshot is the truth; tables are a cache of it.
//! This crate is the only one that names the storage engines and the Raft library's types.

mod body;
pub mod command;
mod kv;
pub mod raft;
pub mod store;
pub mod table;
pub mod testing;
pub mod wal;

pub use command::{Body, Sealed, UserKey};
pub use store::{
    ArrivalHook, Confirmed, OpenError, ReadError, Store, StoreConfig, Tables, WriteError,
};
