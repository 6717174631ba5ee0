//! Certificates as a stranger may present them in the TLS handshake.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rustls_pki_types::CertificateDer;

fuzz_target!(|der: &[u8]| {
    let certificate = CertificateDer::from(der);
    let _ = crs_keys::identity::claimed(&certificate);
    let _ = crs_keys::identity::unverified(&certificate);
    let _ = crs_keys::identity::verify_ca(&certificate);
});
