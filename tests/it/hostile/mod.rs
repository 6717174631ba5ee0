//! A real node on loopback, attacked: it neither grows, spins nor falls silent, honest clients
//! attach meanwhile, and afterwards everything is as before.

mod floods;
mod hello;
mod limits;
mod network;
mod node;
mod silence;
