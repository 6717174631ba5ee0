//! Runs the real program against a node that is a thread of this test.

mod errors;
mod fake;
mod help;
mod output;
mod streaming;
mod upload;
