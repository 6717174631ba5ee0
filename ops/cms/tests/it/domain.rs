//! The library: what it makes, read by the other sides' code.

use crs_cms::{Domain, DomainError, Server, Settings, enrol, share, update};
use crs_keys::bundle::ServerTrust;
use crs_keys::identity::{self, IdentityError};
use crs_keys::package;
use crs_keys::update::{Pin, PinOutcome, UpdateFile, open};
use crs_types::rng::OsRng;
use crs_types::{AccountId, Generation, Period, Secret, Timestamp, Uri};

use crate::cli::{NOW, SECRET, USER};

fn secret() -> Secret {
    Secret::from_base64(SECRET).unwrap()
}

pub(crate) fn user() -> Uri {
    Uri::parse(USER).unwrap()
}

pub(crate) fn domain(dir: &std::path::Path, account: &str) -> Domain {
    let server = Server {
        addresses: vec!["127.0.0.1:5223".into()],
        trust: Some(ServerTrust::PublicName("localhost".into())),
    };
    let account = AccountId::parse(account).unwrap();
    let settings = Settings { account, secret: secret(), server };
    let mut domain = Domain::create(dir, settings, &mut OsRng, NOW).unwrap();
    domain.add_user(user(), true).unwrap();
    domain.save().unwrap();
    domain
}

pub(crate) fn made(domain: &mut Domain, period: &str, now: Timestamp) -> UpdateFile {
    let created = update::create(domain, period.parse().unwrap(), now, &|_| {}).unwrap();
    open(&created.file, &secret(), domain.account(), Pin::FirstUse).unwrap().update
}

#[test]
fn a_bundle_and_the_next_months_package_belong_together() {
    let temp = tempfile::tempdir().unwrap();
    let mut acme = domain(temp.path(), "acme");
    let bundle = enrol::bundle(&acme, &user(), NOW).unwrap();
    let this = made(&mut acme, "2026-11", NOW);
    let next = made(&mut acme, "2026-12", NOW);
    let mut trust = bundle.trust.clone();
    for update in [this, next] {
        let delivery = update.delivery(update.user(&user()).unwrap());
        let opened = package::open(&delivery, &bundle.enrolment_key, &trust, &user(), NOW).unwrap();
        trust = opened.trust;
        assert_eq!(opened.keys.identity.period, update.period);
        if update.period == Period::at(NOW) {
            assert_eq!(opened.keys.sign_key, bundle.sign_key, "one key per month");
        } else {
            assert_ne!(opened.keys.sign_key, bundle.sign_key, "a new key each month");
        }
    }
}

#[test]
fn making_a_month_again_changes_nobodys_keys() {
    let temp = tempfile::tempdir().unwrap();
    let mut acme = domain(temp.path(), "acme");
    let first = made(&mut acme, "2026-11", NOW);
    acme.add_user(Uri::parse("+46700000009").unwrap(), true).unwrap();
    let second = made(&mut acme, "2026-11", NOW);
    let key = |update: &UpdateFile| {
        crs_keys::kem_cert::claimed(&update.user(&user()).unwrap().kem_cert.0).unwrap().key_id
    };
    assert_eq!(key(&first), key(&second));
    assert_eq!(second.serial, first.serial + 1);
    assert_eq!(second.users.len(), 2);
}

#[test]
fn a_revoked_device_gets_nothing_from_later_files() {
    let temp = tempfile::tempdir().unwrap();
    let mut acme = domain(temp.path(), "acme");
    let lost = enrol::bundle(&acme, &user(), NOW).unwrap();
    assert_eq!(acme.revoke_user(&user()).unwrap(), Generation(2));
    let update = made(&mut acme, "2026-11", NOW);
    let delivery = update.delivery(update.user(&user()).unwrap());
    assert!(package::open(&delivery, &lost.enrolment_key, &lost.trust, &user(), NOW).is_err());
    // The server sees the generation; the new bundle works.
    assert_eq!(update.user(&user()).unwrap().generation, 2);
    let fresh = enrol::bundle(&acme, &user(), NOW).unwrap();
    assert_eq!(fresh.identity().unwrap().generation, Generation(2));
    assert!(package::open(&delivery, &fresh.enrolment_key, &fresh.trust, &user(), NOW).is_ok());
}

#[test]
fn pools_and_clients_follow_new_keys_of_the_cms() {
    let temp = tempfile::tempdir().unwrap();
    let mut acme = domain(temp.path(), "acme");
    let bundle = enrol::bundle(&acme, &user(), NOW).unwrap();
    let pinned = acme.cms_key();
    acme.rotate_cms_key(&mut OsRng).unwrap();
    acme.rotate_ca(&mut OsRng, NOW).unwrap();
    drop(acme);
    let mut acme = Domain::open(temp.path()).unwrap();
    let created = update::create(&mut acme, "2026-11".parse().unwrap(), NOW, &|_| {}).unwrap();
    let opened = open(&created.file, &secret(), acme.account(), Pin::Key(&pinned)).unwrap();
    assert_eq!(opened.pin, PinOutcome::Succeeded);
    // A client that knows the old CA only learns the new one from the package.
    let update = opened.update;
    let delivery = update.delivery(update.user(&user()).unwrap());
    let keys = package::open(&delivery, &bundle.enrolment_key, &bundle.trust, &user(), NOW);
    let keys = keys.unwrap();
    assert_eq!(keys.trust.cas.len(), 2);
    assert!(matches!(
        identity::verify_client(&keys.keys.sign_cert, &bundle.trust.cas, NOW),
        Err(IdentityError::NotIssuedByAccount { .. })
    ));
}

#[test]
fn connected_domains_reach_the_users_trust_list() {
    let temp = tempfile::tempdir().unwrap();
    let mut acme = domain(&temp.path().join("acme"), "acme");
    let rival = domain(&temp.path().join("rival"), "rival");
    let public = share::PublicDomain::of(&rival);
    let again = share::PublicDomain::parse(public.to_json().as_bytes()).unwrap();
    assert_eq!(again, public);
    acme.connect(again.account.clone(), &again.cas).unwrap();
    let bundle = enrol::bundle(&acme, &user(), NOW).unwrap();
    let update = made(&mut acme, "2026-11", NOW);
    let delivery = update.delivery(update.user(&user()).unwrap());
    let opened = package::open(&delivery, &bundle.enrolment_key, &bundle.trust, &user(), NOW);
    assert_eq!(opened.unwrap().trust.cas_of(&public.account), public.cas);
}

#[test]
fn two_programs_never_work_on_one_domain() {
    let temp = tempfile::tempdir().unwrap();
    let held = domain(temp.path(), "acme");
    assert!(matches!(Domain::open(temp.path()), Err(DomainError::Busy(_))));
    drop(held);
    assert!(Domain::open(temp.path()).is_ok());
}

#[test]
fn limits_are_reached_and_named() {
    let temp = tempfile::tempdir().unwrap();
    let mut acme = domain(temp.path(), "acme");
    for n in 1..100_000 {
        acme.add_user(Uri::parse(&format!("+4672{n:07}")).unwrap(), true).unwrap();
    }
    let one_more = acme.add_user(Uri::parse("+46799999999").unwrap(), true);
    assert!(matches!(one_more, Err(DomainError::Limit { most: 100_000, .. })));
    let code = "ops".parse().unwrap();
    let members: Vec<Uri> = acme.users().keys().take(1001).cloned().collect();
    acme.add_team_members(&code, &members[..1000]).unwrap();
    let one_more = acme.add_team_members(&code, &members[1000..]);
    assert!(matches!(one_more, Err(DomainError::Limit { most: 1000, .. })));
    let ca = acme.cas();
    for n in 0..1000 {
        acme.connect(AccountId::parse(&format!("other{n}")).unwrap(), &ca).unwrap();
    }
    let one_more = acme.connect(AccountId::parse("one-more").unwrap(), &ca);
    assert!(matches!(one_more, Err(DomainError::Limit { most: 1000, .. })));
    let huge = vec![b' '; share::PUBLIC_FILE_MAX + 1];
    assert!(matches!(share::PublicDomain::parse(&huge), Err(DomainError::Public(_))));
    for _ in 1..16 {
        acme.rotate_ca(&mut OsRng, NOW).unwrap();
        acme.rotate_cms_key(&mut OsRng).unwrap();
    }
    let one_more = acme.rotate_ca(&mut OsRng, NOW);
    assert!(matches!(one_more, Err(DomainError::Limit { most: 16, .. })));
    acme.rotate_cms_key(&mut OsRng).unwrap();
    let one_more = acme.rotate_cms_key(&mut OsRng);
    assert!(matches!(one_more, Err(DomainError::Limit { most: 16, .. })));
}
