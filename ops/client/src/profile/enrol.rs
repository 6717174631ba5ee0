//! Enrolment: a bundle and its PIN become a profile.

use std::path::Path;

use crs_keys::bundle::{self, Bundle};
use crs_types::{Clock, DeviceId, Rng};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::Profile;
use crate::error::ClientError;
use crate::identity::Identity;

/// Where systems keep the roots of the public PKI.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

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
    let refuse = crate::crypto::crypto("enrolment bundle");
    let bytes = match std::str::from_utf8(content) {
        Ok(text) if text.trim_start().starts_with(bundle::TEXT_PREFIX) => {
            bundle::from_text(text).map_err(&refuse)?
        }
        Ok(_) | Err(_) => content.to_vec(),
    };
    let bundle = Bundle::open(&bytes, pin, clock.now()).map_err(&refuse)?;
    let roots = match &bundle.server {
        bundle::ServerTrust::PoolCa(_) => Vec::new(),
        bundle::ServerTrust::PublicName(_) => system_roots()?,
    };
    let device = device.unwrap_or_else(|| random_device(rng));
    let identity = Identity::from_bundle(&bundle, device, roots)?;
    Profile::create(profile, identity).map(|profile| profile.identity().clone())
}

fn random_device(rng: &mut dyn Rng) -> DeviceId {
    let mut bytes = [0u8; 4];
    rng.fill(&mut bytes);
    let name = format!("cli-{:08x}", u32::from_be_bytes(bytes));
    DeviceId::parse(&name).expect("hexadecimal digits make a device id")
}

fn system_roots() -> Result<Vec<Vec<u8>>, ClientError> {
    let file = SYSTEM_ROOTS.into_iter().find(|file| Path::new(file).exists());
    let file = file.ok_or_else(|| ClientError::Crypto {
        what: "the public PKI",
        why: format!("no root certificates found in any of {}", SYSTEM_ROOTS.join(", ")),
    })?;
    let roots = CertificateDer::pem_file_iter(file).map_err(crate::crypto::crypto("root file"))?;
    Ok(roots.filter_map(Result::ok).map(|root| root.as_ref().to_vec()).collect())
}
