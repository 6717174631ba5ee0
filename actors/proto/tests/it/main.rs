//! docs/protocol.md against the code: its examples parse, its lists are complete.

mod document;
