//! Rules that docs/ARCHITECTURE.md states as absences, each held by a test here.

mod arrows;
mod names;
mod planted;
mod shape;
