//! Tests of update files.
