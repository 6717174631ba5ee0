//! The node's program: configuration, commands, and the composition root. A library, so that
//! tests and fuzzers reach its parts; the binary is one small function.

pub mod announce;
pub mod check;
pub mod cli;
pub mod compose;
pub mod config;
pub mod dev;
pub mod folder;
pub mod handles;
pub mod identity;
pub mod load;
pub mod machine;
pub mod paste;
pub mod ports;
pub mod probe;
pub mod process;
pub mod reload;
pub mod run;
pub mod serve;
pub mod signals;
pub mod systemd;
pub mod watch;
