//! Tests of the certificate profile.
