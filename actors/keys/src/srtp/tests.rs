//! Tests of srtp.
