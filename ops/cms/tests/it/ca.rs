//! A CA is replaced and retired: in good time over the ends of months, or at once.

use std::time::Duration;

use crs_cms::{Domain, DomainError, enrol};
use crs_keys::identity::{self, IdentityError};
use crs_keys::package;
use crs_keys::trust::Trust;
use crs_keys::update::UpdateFile;
use crs_types::rng::OsRng;
use crs_types::{Period, Timestamp};
use rustls_pki_types::CertificateDer;

use crate::cli::{NOW, fails, ok};
use crate::domain::{domain, made, user};

fn month(text: &str) -> Period {
    text.parse().unwrap()
}

fn cas(update: &UpdateFile) -> Vec<CertificateDer<'_>> {
    update.cas.iter().map(|ca| CertificateDer::from(ca.as_slice())).collect()
}

/// The keys of a file, as a client with this enrolment key and trust takes them.
fn take(
    update: &UpdateFile,
    key: &crs_keys::kem::PrivateKey,
    trust: &Trust,
    now: Timestamp,
) -> Result<package::OpenedPackage, package::PackageError> {
    package::open(&update.delivery(update.user(&user()).unwrap()), key, trust, &user(), now)
}

/// A client that takes each month's keys notices nothing, and what it signed with the old CA's
/// certificate is believed as long as it may lie in a mailbox.
#[test]
fn a_ca_goes_when_nobody_can_need_it_and_clients_go_on() {
    let temp = tempfile::tempdir().unwrap();
    let mut acme = domain(temp.path(), "acme");
    let bundle = enrol::bundle(&acme, &user(), NOW).unwrap();
    acme.rotate_ca(&mut OsRng, NOW).unwrap();
    let old = acme.ca_list()[1].clone();
    let needed = month("2026-12").end().plus(Duration::from_secs(60 * 86_400));
    assert_eq!(old.needed_until, Some(needed));
    assert_eq!(acme.ca_list()[0].needed_until, None);
    let mut trust = bundle.trust.clone();
    let mut keys = None;
    for period in ["2026-12", "2027-01", "2027-02"].map(month) {
        let now = period.start();
        let file = made(&mut acme, &period.to_string(), now);
        assert_eq!(file.cas.len(), 2, "{period}");
        let opened = take(&file, &bundle.enrolment_key, &trust, now).unwrap();
        trust = opened.trust;
        keys = Some(opened.keys);
        // What was signed last November.
        identity::verify_client(&bundle.sign_cert, trust.cas_of(acme.account()), NOW).unwrap();
    }
    let just_before = needed.minus(Duration::from_millis(1));
    let early = acme.remove_ca(&old.fingerprint, false, just_before);
    assert!(matches!(early, Err(DomainError::CaNeeded(until)) if until == month("2027-03")));
    assert_eq!(acme.remove_ca(&old.fingerprint, false, needed).unwrap(), old);
    drop(acme);
    let mut acme = Domain::open(temp.path()).unwrap();
    let file = made(&mut acme, "2027-03", needed);
    let cas = cas(&file);
    assert_eq!(cas, acme.cas());
    let february = keys.unwrap();
    identity::verify_client(&february.sign_cert, &cas, needed).unwrap();
    let opened = take(&file, &bundle.enrolment_key, &trust, needed).unwrap();
    assert_eq!(opened.trust.cas_of(acme.account()), cas);
    let worthless = identity::verify_client(&bundle.sign_cert, &cas, NOW);
    assert!(matches!(worthless, Err(IdentityError::NotIssuedByAccount { .. })));
}

#[test]
fn a_compromised_ca_goes_at_once_and_who_knows_no_other_enrols_again() {
    let temp = tempfile::tempdir().unwrap();
    let mut acme = domain(temp.path(), "acme");
    let before = enrol::bundle(&acme, &user(), NOW).unwrap();
    let only = acme.ca_list()[0].fingerprint.clone();
    let refused = acme.remove_ca(&only, true, NOW);
    assert!(matches!(refused, Err(DomainError::CaIssues)), "somebody has to issue");
    acme.rotate_ca(&mut OsRng, NOW).unwrap();
    for wrong in ["", "0", "1234 5678", &only[..8]] {
        let refused = acme.remove_ca(wrong, true, NOW);
        assert!(matches!(refused, Err(DomainError::NoCa(_))), "{wrong}");
    }
    // As somebody types it.
    let typed = only[..9].to_lowercase().replace(' ', ":");
    acme.remove_ca(&typed, true, NOW).unwrap();
    let file = made(&mut acme, "2026-11", NOW);
    assert!(identity::verify_client(&before.sign_cert, &cas(&file), NOW).is_err());
    assert!(take(&file, &before.enrolment_key, &before.trust, NOW).is_err());
    let again = enrol::bundle(&acme, &user(), NOW).unwrap();
    identity::verify_client(&again.sign_cert, &cas(&file), NOW).unwrap();
    take(&file, &again.enrolment_key, &again.trust, NOW).unwrap();
}

#[test]
fn cas_are_listed_and_removed_by_the_command() {
    let (_temp, dir) = crate::cli::domain();
    let first = &ok(&dir, &["ca", "list"])[0];
    let old = first["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!(
        (&first["issues"], &first["made"]),
        (&true.into(), &"2026-11-15T00:00:00.000Z".into())
    );
    assert_eq!(fails(&dir, 1, &["ca", "remove", &old])["code"], "ca-issues");
    ok(&dir, &["rotate", "ca"]);
    let list = ok(&dir, &["ca", "list"]);
    assert_eq!(list[1]["needed_until"], "2027-03-02T00:00:00.000Z");
    let named: Vec<&str> = old.split(' ').take(2).collect();
    let remove = [&["ca", "remove"], &named[..]].concat();
    let needed = fails(&dir, 1, &remove);
    assert_eq!(needed["code"], "ca-needed");
    assert!(needed["message"].as_str().unwrap().contains("2027-03"));
    assert_eq!(fails(&dir, 1, &["ca", "remove", "00000000"])["code"], "no-ca");
    let removed = ok(&dir, &[&remove[..], &["--compromised"]].concat());
    assert_eq!(removed["removed"], old);
    assert_eq!(ok(&dir, &["ca", "list"]).as_array().unwrap().len(), 1);
}
