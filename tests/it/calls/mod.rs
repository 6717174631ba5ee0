//! Calls between clients of a real node: outcomes, forking, and signalling that is lost.

mod barred;
mod bed;
mod crowding;
mod formats;
mod forwarder;
mod lost;
mod no_answer;
mod outcomes;
mod reload;
