//! The listener over real TCP and TLS on loopback: who is refused, how, and in what time.

mod certificates;
mod limits;
