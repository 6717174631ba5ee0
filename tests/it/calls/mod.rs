//! Calls between clients of a real node: outcomes, forking, and signalling that is lost.

mod bed;
mod forwarder;
mod lost;
mod outcomes;
