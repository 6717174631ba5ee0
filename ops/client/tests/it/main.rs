//! The client against a small server of its own protocol, over real TLS, with connections that
//! are cut at every place.

mod messages;
mod server;
