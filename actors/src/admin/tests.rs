//! The commands against a store in memory, over a duplex stream and over the real socket.

mod accounts;
mod apply;
mod bed;
mod conversation;
mod reading;
mod socket;
mod store;
