//! `crs-client`: the terminal client.

fn main() {}
