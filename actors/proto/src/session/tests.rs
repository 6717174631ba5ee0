//! Sessions: exact effects of the main paths, every input in every state, random histories.

mod paths;
mod random;
mod rig;
mod table;
