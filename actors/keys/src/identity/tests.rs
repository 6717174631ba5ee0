//! Tests of the certificate profile: what is accepted, and each way of being refused.

use std::time::Duration;

use crs_types::rng::SeededRng;
use crs_types::{AccountId, Generation};
use proptest::prelude::*;
use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, SanType};

use super::*;
use crate::account_ca::{self, AccountCa, Validity};
use crate::fixture::{Domain, NOW, domain, period};
use crate::p256::SigningKey;

const USER: &str = "+46701234567";
const MONTH: &str = "2026-11";

/// A certificate by the account's CA with one thing changed.
fn unusual(
    domain: &mut Domain,
    change: impl FnOnce(&mut CertificateParams),
) -> CertificateDer<'static> {
    let identity = domain.identity(USER, MONTH);
    let mut params = CertificateParams::default();
    account_ca::set_validity(&mut params, Validity::of_period(identity.period));
    params.serial_number = Some(account_ca::serial(&mut domain.rng));
    let san = profile::san_of(&identity.account, &identity.uri);
    params.subject_alt_names = vec![SanType::URI(san.try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let content = profile::encode_key_period(identity.period, identity.generation);
    params.custom_extensions =
        vec![CustomExtension::from_oid_content(&profile::KEY_PERIOD_OID, content)];
    change(&mut params);
    let issuer = rcgen::Issuer::from_ca_cert_der(domain.ca.certificate(), domain.ca.key()).unwrap();
    let key = SigningKey::generate(&mut domain.rng);
    params.signed_by(&key, &issuer).unwrap().der().clone()
}

fn verdict(domain: &Domain, certificate: &CertificateDer<'_>) -> Result<(), IdentityError> {
    verify_client(certificate, &domain.trust.cas, NOW).map(|_| ())
}

#[test]
fn a_user_of_the_account_is_recognised() {
    let mut acme = domain("Acme", 1);
    let keys = acme.keys(USER, MONTH);
    let identity = verify_client(&keys.sign_cert, &acme.trust.cas, NOW).unwrap();
    assert_eq!(identity, acme.identity(USER, MONTH));
    assert_eq!(claimed_account(&keys.sign_cert), Ok(AccountId::parse("aCME").unwrap()));
    let plain = unusual(&mut acme, |_| {});
    assert_eq!(verdict(&acme, &plain), Ok(()), "the changes below start from a good certificate");
}

#[test]
fn another_accounts_ca_does_not_speak_for_this_account() {
    let mut acme = domain("acme", 1);
    let mut rival = domain("rival", 2);
    // The rival issues a certificate that claims a user of acme.
    let mut identity = acme.identity(USER, MONTH);
    identity.account = AccountId::parse("acme").unwrap();
    let key = SigningKey::generate(&mut rival.rng);
    let validity = Validity::of_period(identity.period);
    let forged = rival.ca.issue_user(&identity, &key, validity, &mut rival.rng).unwrap();
    assert_eq!(claimed_account(&forged), Ok(identity.account.clone()));
    let refused = IdentityError::NotIssuedByAccount { account: identity.account };
    assert_eq!(verdict(&acme, &forged), Err(refused));
    // A namesake CA with another key does not help either.
    let mut namesake = domain("acme", 3);
    let keys = namesake.keys(USER, MONTH);
    assert!(matches!(
        verdict(&acme, &keys.sign_cert),
        Err(IdentityError::NotIssuedByAccount { .. })
    ));
    let none = verify_client(&acme.keys(USER, MONTH).sign_cert, &[], NOW);
    assert!(matches!(none, Err(IdentityError::NoCa { .. })));
}

#[test]
fn validity_begins_and_ends_with_the_month_and_sixty_days() {
    let mut acme = domain("acme", 1);
    let keys = acme.keys(USER, MONTH);
    let at = |now| verify_client(&keys.sign_cert, &acme.trust.cas, now).map(|_| ());
    let month = period(MONTH);
    let end = month.end().plus(crs_types::period::UPDATE_ONLY);
    assert_eq!(at(month.start()), Ok(()));
    assert_eq!(at(month.start().minus(Duration::from_secs(1))), Err(IdentityError::NotYetValid));
    assert_eq!(at(end), Ok(()));
    assert_eq!(at(end.plus(Duration::from_secs(1))), Err(IdentityError::Expired));
}

#[test]
fn wrong_usage_is_refused() {
    let mut acme = domain("acme", 1);
    let server = unusual(&mut acme, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert_eq!(verdict(&acme, &server), Err(IdentityError::WrongUsage));
    let none = unusual(&mut acme, |params| params.extended_key_usages.clear());
    assert_eq!(verdict(&acme, &none), Err(IdentityError::WrongUsage));
}

#[test]
fn exactly_one_uri_name_is_demanded() {
    let mut acme = domain("acme", 1);
    let none = unusual(&mut acme, |params| params.subject_alt_names.clear());
    assert_eq!(verdict(&acme, &none), Err(IdentityError::NoSan));
    let two = unusual(&mut acme, |params| {
        let other = "urn:crs:user:acme:tel%3A%2B46709999999".try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(other));
    });
    assert_eq!(verdict(&acme, &two), Err(IdentityError::ManySans(2)));
    let dns = unusual(&mut acme, |params| {
        params.subject_alt_names = vec![SanType::DnsName("a.example".try_into().unwrap())];
    });
    assert!(matches!(verdict(&acme, &dns), Err(IdentityError::San(_))));
    let garbage = unusual(&mut acme, |params| {
        params.subject_alt_names = vec![SanType::URI("urn:crs:user:x".try_into().unwrap())];
    });
    assert!(matches!(verdict(&acme, &garbage), Err(IdentityError::San(_))));
}

#[test]
fn the_key_period_extension_is_demanded_and_must_agree_with_the_validity() {
    let mut acme = domain("acme", 1);
    let without = unusual(&mut acme, |params| params.custom_extensions.clear());
    assert_eq!(verdict(&acme, &without), Err(IdentityError::KeyPeriod));
    let twice = unusual(&mut acme, |params| {
        params.custom_extensions.push(params.custom_extensions[0].clone());
    });
    assert!(verdict(&acme, &twice).is_err());
    let long = unusual(&mut acme, |params| {
        let month = period(MONTH);
        let validity = Validity {
            from: month.start(),
            to: month.end().plus(Duration::from_secs(61 * 86_400)),
        };
        account_ca::set_validity(params, validity);
    });
    assert_eq!(verdict(&acme, &long), Err(IdentityError::Period(period(MONTH))));
    let early = unusual(&mut acme, |params| {
        let month = period(MONTH);
        let validity = Validity { from: month.previous().start(), to: month.end() };
        account_ca::set_validity(params, validity);
    });
    assert_eq!(verdict(&acme, &early), Err(IdentityError::Period(period(MONTH))));
}

#[test]
fn a_user_certificate_cannot_issue() {
    let mut acme = domain("acme", 1);
    let user = acme.keys(USER, MONTH);
    let pretender = AccountCa::from_parts(
        acme.ca.account().clone(),
        user.sign_key.clone(),
        user.sign_cert.clone(),
    );
    let identity = acme.identity("+46700000000", MONTH);
    let key = SigningKey::generate(&mut acme.rng);
    let validity = Validity::of_period(identity.period);
    let forged = pretender.issue_user(&identity, &key, validity, &mut acme.rng).unwrap();
    assert!(verify_client(&forged, &acme.trust.cas, NOW).is_err());
    assert!(verify_ca(&user.sign_cert).is_err());
}

#[test]
fn every_flipped_bit_of_the_signed_part_is_noticed() {
    let mut acme = domain("acme", 1);
    let der = acme.keys(USER, MONTH).sign_cert;
    for index in (0..der.len()).step_by(7) {
        let mut changed = der.as_ref().to_vec();
        changed[index] ^= 0x10;
        assert!(verdict(&acme, &CertificateDer::from(changed)).is_err(), "byte {index}");
    }
}

#[test]
fn generations_are_carried() {
    let mut acme = domain("acme", 1);
    let mut identity = acme.identity(USER, MONTH);
    identity.generation = Generation(u32::MAX);
    let key = SigningKey::generate(&mut acme.rng);
    let validity = Validity::of_period(identity.period);
    let der = acme.ca.issue_user(&identity, &key, validity, &mut acme.rng).unwrap();
    let found = verify_client(&der, &acme.trust.cas, NOW).unwrap();
    assert_eq!(found.generation, Generation(u32::MAX));
}

/// Whatever a certificate says of its issuer: it is the key that may be stolen.
#[test]
fn the_issuer_is_whose_key_signed() {
    let (mut one, other) = (domain("acme", 1), domain("acme", 2));
    let cas = [&other, &one].map(|domain| domain.ca.certificate().clone());
    let first = IssuerId::of(&cas[1]).unwrap();
    let honest = one.keys(USER, MONTH).sign_cert;
    assert_eq!(issuer(&honest, &cas), Some(first));
    let (account, key) = (one.ca.account().clone(), one.ca.key().clone());
    // The name and the key identifier of the other CA.
    one.ca = AccountCa::from_parts(account.clone(), key.clone(), cas[0].clone());
    let lying = one.keys(USER, MONTH).sign_cert;
    assert_eq!((issuer(&lying, &cas), issuer(&lying, &cas[..1])), (Some(first), None));
    let renewed = AccountCa::with_key(account, key, &mut one.rng, NOW).unwrap();
    assert_ne!(*renewed.certificate(), cas[1]);
    assert_eq!(IssuerId::of(renewed.certificate()), Ok(first));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let der = CertificateDer::from(bytes);
        prop_assert!(claimed(&der).is_err());
        prop_assert!(verify_client(&der, std::slice::from_ref(&der), NOW).is_err());
        prop_assert!(verify_ca(&der).is_err());
    }

    #[test]
    fn damaged_certificates_never_panic(seed in 0u64..4, at in 0usize..2000, bits in 1u8..) {
        let der = domain("acme", seed).keys(USER, MONTH).sign_cert;
        let mut changed = der.as_ref().to_vec();
        let index = at % changed.len();
        changed[index] ^= bits;
        let _ = unverified(&CertificateDer::from(changed));
    }
}

#[test]
fn seeds_make_reproducible_keys() {
    let a = SigningKey::generate(&mut SeededRng::new(5));
    assert_eq!(a, SigningKey::generate(&mut SeededRng::new(5)));
}
