//! What a node must know of certificates that it did not issue: when they end, and whom they name.

use crs_types::Timestamp;
use rustls_pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

use crate::identity::{IdentityError, parse};

/// When a certificate ends; the epoch for one that ended before it. Nothing else is looked at.
pub fn not_after(certificate: &CertificateDer<'_>) -> Result<Timestamp, IdentityError> {
    let end = parse(certificate)?.validity().not_after.timestamp();
    Ok(Timestamp::from_secs(u64::try_from(end).unwrap_or(0)))
}

/// When a certificate begins; the epoch for one that began before it. Nothing else is looked at.
pub fn not_before(certificate: &CertificateDer<'_>) -> Result<Timestamp, IdentityError> {
    let begin = parse(certificate)?.validity().not_before.timestamp();
    Ok(Timestamp::from_secs(u64::try_from(begin).unwrap_or(0)))
}

/// True when a server with this certificate may call itself `name`, a DNS name or an address.
pub fn is_for(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let (Ok(certificate), Ok(name)) =
        (EndEntityCert::try_from(certificate), ServerName::try_from(name))
    else {
        return false;
    };
    certificate.verify_is_valid_for_subject_name(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use crs_types::rng::SeededRng;
    use crs_types::{AccountId, NodeName};

    use super::*;
    use crate::account_ca::AccountCa;
    use crate::pool_ca::{NodeSubject, PoolCa};

    #[test]
    fn a_certificate_tells_its_end_and_its_names() {
        let now = Timestamp::from_secs(1_800_000_000);
        let mut rng = SeededRng::new(5);
        let ca = PoolCa::generate(&mut rng, now).unwrap();
        let subject = NodeSubject {
            name: NodeName::parse("crs1").unwrap(),
            dns: vec!["crs.example.org".into()],
            ips: vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))],
        };
        let issued = ca.issue_node(&subject, &mut rng, now).unwrap();
        let leaf = &issued.chain[0];
        assert_eq!(not_after(leaf).unwrap().as_secs(), issued.not_after.as_secs());
        let acme = AccountId::parse("acme").unwrap();
        let own = AccountCa::generate(acme, &mut rng, now).unwrap();
        assert_eq!(not_before(own.certificate()).unwrap().as_secs(), now.as_secs());
        for (name, theirs) in [
            ("crs.example.org", true),
            ("192.0.2.1", true),
            ("example.org", false),
            ("192.0.2.2", false),
            ("not a name", false),
        ] {
            assert_eq!(is_for(leaf, name), theirs, "{name}");
        }
        assert!(not_after(&CertificateDer::from(vec![0x30, 0])).is_err());
        assert!(!is_for(&CertificateDer::from(vec![0x30, 0]), "crs.example.org"));
    }
}
