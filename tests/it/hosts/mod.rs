//! A node and its clients on hosts of their own (network namespaces joined by a bridge): what
//! cannot be seen on loopback, such as address translation, forged sources and links that go silent.

mod host;
mod moves;
mod pool;
mod silence;
mod spoof;
mod world;
