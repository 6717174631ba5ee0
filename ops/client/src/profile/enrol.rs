//! Enrolment: a bundle and its PIN become a profile.

use std::path::Path;

use crs_keys::bundle::{self, Bundle, BundleError};
use crs_types::{Clock, DeviceId, Rng};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::Profile;
use crate::error::ClientError;
use crate::identity::Identity;

/// Where systems keep the roots of the public PKI.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Names another file of roots, as OpenSSL has it: for a certificate of the organisation's own CA.
const ROOTS_VARIABLE: &str = "SSL_CERT_FILE";

/// Opens a bundle (the file, or the text of its QR code) and creates the profile. Blocks: turning
/// the PIN into a key takes a moment by intent.
pub fn enrol(
    profile: &Path,
    content: &[u8],
    pin: &str,
    device: Option<DeviceId>,
    clock: &dyn Clock,
    rng: &mut dyn Rng,
) -> Result<Identity, ClientError> {
    let refuse = crate::crypto::crypto::<BundleError>("enrolment bundle");
    let bytes = match std::str::from_utf8(content) {
        Ok(text) if text.trim_start().starts_with(bundle::TEXT_PREFIX) => {
            bundle::from_text(text).map_err(&refuse)?
        }
        Ok(_) | Err(_) => content.to_vec(),
    };
    let bundle = Bundle::open(&bytes, pin, clock.now()).map_err(|error| {
        if let BundleError::PinTooShort = error { refuse_short_pin() } else { refuse(error) }
    })?;
    let roots = match &bundle.server {
        bundle::ServerTrust::PoolCa(_) => Vec::new(),
        bundle::ServerTrust::PublicName(_) => system_roots()?,
    };
    let device = device.unwrap_or_else(|| random_device(rng));
    let identity = Identity::from_bundle(&bundle, device, roots)?;
    Profile::create(profile, identity).map(|profile| profile.identity().clone())
}

/// What `crs-keys` says of it is for whoever makes a bundle.
fn refuse_short_pin() -> ClientError {
    let why = format!("this PIN is too short: one has at least {} characters", bundle::PIN_MIN);
    ClientError::Crypto { what: "enrolment bundle", why }
}

fn random_device(rng: &mut dyn Rng) -> DeviceId {
    let mut bytes = [0u8; 4];
    rng.fill(&mut bytes);
    let name = format!("cli-{:08x}", u32::from_be_bytes(bytes));
    DeviceId::parse(&name).expect("hexadecimal digits make a device id")
}

/// The roots that this system trusts, or those that the user named.
fn system_roots() -> Result<Vec<Vec<u8>>, ClientError> {
    if let Some(named) = std::env::var_os(ROOTS_VARIABLE) {
        return roots_in(Path::new(&named));
    }
    let file = SYSTEM_ROOTS.into_iter().map(Path::new).find(|file| file.exists());
    let file = file.ok_or_else(|| ClientError::Crypto {
        what: "the public PKI",
        why: format!("no root certificates found in any of {}", SYSTEM_ROOTS.join(", ")),
    })?;
    roots_in(file)
}

fn roots_in(file: &Path) -> Result<Vec<Vec<u8>>, ClientError> {
    let refuse = |why: String| ClientError::Crypto {
        what: "the public PKI",
        why: format!("{}: {why}", file.display()),
    };
    let found = CertificateDer::pem_file_iter(file).map_err(|error| refuse(error.to_string()))?;
    let roots: Vec<_> = found.filter_map(Result::ok).map(|root| root.as_ref().to_vec()).collect();
    if roots.is_empty() { Err(refuse("it holds no certificate".to_owned())) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn roots_are_read_from_a_file_that_holds_some() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roots.pem");
        let why = |file: &Path| roots_in(file).unwrap_err().to_string();
        assert!(why(&file).contains("roots.pem"), "a file that is not there is named");
        std::fs::write(&file, "nothing\n").unwrap();
        assert!(why(&file).contains("it holds no certificate"));
        let pem = |der: &[u8]| {
            let text = STANDARD.encode(der);
            format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
        };
        std::fs::write(&file, pem(b"one") + &pem(b"two")).unwrap();
        assert_eq!(roots_in(&file).unwrap(), [b"one".to_vec(), b"two".to_vec()]);
    }
}
