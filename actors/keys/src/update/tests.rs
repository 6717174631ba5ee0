//! Tests of update files: round trip, every layer changed, pins, admission.

use coset::{CborSerializable, TaggedCborSerializable};
use crs_types::rng::SeededRng;
use crs_types::{AccountId, Secret, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::cbor::{self, tests::assert_deterministic};
use crate::fixture::{NOW, domain, period, secret, uri};
use crate::package;

const MONTH: &str = "2026-11";
const USERS: [&str; 2] = ["+46701234567", "+46701234568"];

fn account() -> AccountId {
    AccountId::parse("acme").unwrap()
}

fn key(seed: u64) -> CmsKey {
    CmsKey::generate(&mut SeededRng::new(seed))
}

fn sealed(secret: &Secret, key: &CmsKey, succession: &Succession) -> Vec<u8> {
    let (update, _) = domain("acme", 1).update(&USERS, MONTH);
    seal(&update, secret, key, succession, &mut SeededRng::new(3)).unwrap()
}

fn reopened(file: &[u8], pin: Pin<'_>) -> Result<PinOutcome, UpdateError> {
    open(file, &secret(32), &account(), pin).map(|opened| opened.pin)
}

#[test]
fn a_file_opens_to_what_was_sealed_with_both_key_lengths() {
    let (update, enrolment) = domain("acme", 1).update(&USERS, MONTH);
    for length in [16, 32] {
        let secret = secret(length);
        let file = seal(&update, &secret, &key(9), &Succession::default(), &mut SeededRng::new(3));
        let opened = open(&file.unwrap(), &secret, &account(), Pin::FirstUse).unwrap();
        assert_eq!(opened.update, update);
        assert_eq!(opened.cms_key, key(9).public_key());
        assert_eq!(open_inner(&opened.inner_bytes).unwrap(), update);
        assert_deterministic(&opened.inner_bytes);
    }
    // And each user gets keys out of it.
    let trust = domain("acme", 1).trust;
    for (user, enrolment) in update.users.iter().zip(&enrolment) {
        let delivery = update.delivery(user);
        let opened = package::open(&delivery, enrolment, &trust, &user.uri, NOW).unwrap();
        assert_eq!(opened.keys.identity.uri, user.uri);
        assert_eq!(opened.trust.serial, update.serial);
    }
    assert_eq!(update.user(&uri(USERS[1])).unwrap().uri, uri(USERS[1]));
    assert!(update.user(&uri("+1234567")).is_none());
}

#[test]
fn wrong_secrets_and_accounts_are_told_apart() {
    let file = sealed(&secret(32), &key(9), &Succession::default());
    let other = Secret::generate(&mut SeededRng::new(1), 32);
    let wrong = open(&file, &other, &account(), Pin::FirstUse);
    assert_eq!(wrong.unwrap_err(), UpdateError::WrongSecret);
    let short = open(&file, &secret(16), &account(), Pin::FirstUse);
    assert_eq!(short.unwrap_err(), UpdateError::Algorithm("AES-128-GCM"));
    let tiny = open(&file, &secret(15), &account(), Pin::FirstUse);
    assert_eq!(tiny.unwrap_err(), UpdateError::SecretTooShort(15));
    let other = AccountId::parse("other").unwrap();
    let wrong = open(&file, &secret(32), &other, Pin::FirstUse).unwrap_err();
    assert_eq!(wrong, UpdateError::WrongAccount { expected: other, found: "acme".into() });
    let upper = AccountId::parse("ACME").unwrap();
    assert!(open(&file, &secret(32), &upper, Pin::FirstUse).is_ok(), "case does not matter");
}

#[test]
fn pins_hold_and_follow_signed_successions_only() {
    let (first, second, third) = (key(1), key(2), key(3));
    let plain = sealed(&secret(32), &second, &Succession::default());
    assert_eq!(reopened(&plain, Pin::FirstUse), Ok(PinOutcome::FirstUse));
    assert_eq!(reopened(&plain, Pin::Key(&second.public_key())), Ok(PinOutcome::Same));
    let pinned = first.public_key();
    let changed = UpdateError::CmsKeyChanged { pinned, found: second.public_key() };
    assert_eq!(reopened(&plain, Pin::Key(&pinned)), Err(changed));

    let mut succession = Succession::default();
    succession.push(&account(), &first, &second.public_key());
    succession.push(&account(), &second, &third.public_key());
    let followed = sealed(&secret(32), &third, &succession);
    for key in [&first, &second] {
        let outcome = reopened(&followed, Pin::Key(&key.public_key()));
        assert_eq!(outcome, Ok(PinOutcome::Succeeded));
    }
    // A statement for another account, or by a stranger, leads nowhere.
    let mut foreign = Succession::default();
    foreign.push(&AccountId::parse("other").unwrap(), &first, &third.public_key());
    foreign.push(&account(), &second, &third.public_key());
    let file = sealed(&secret(32), &third, &foreign);
    assert!(matches!(reopened(&file, Pin::Key(&pinned)), Err(UpdateError::CmsKeyChanged { .. })));
}

#[test]
fn every_changed_byte_of_a_file_is_noticed() {
    let file = sealed(&secret(32), &key(9), &Succession::default());
    let pin = key(9).public_key();
    for index in (0..file.len()).step_by(61).chain(0..64) {
        let mut changed = file.clone();
        changed[index] ^= 1;
        assert!(reopened(&changed, Pin::Key(&pin)).is_err(), "byte {index}");
    }
    assert!(reopened(&file[..file.len() - 1], Pin::Key(&pin)).is_err());
}

/// Somebody who holds the account secret, but not the CMS key, changes the content.
#[test]
fn the_account_secret_alone_does_not_make_a_file() {
    let file = sealed(&secret(32), &key(9), &Succession::default());
    let opened = open(&file, &secret(32), &account(), Pin::FirstUse).unwrap();
    let mut forged = opened.update.clone();
    forged.serial += 1;
    let mallory =
        seal(&forged, &secret(32), &key(66), &Succession::default(), &mut SeededRng::new(4));
    let pin = key(9).public_key();
    assert!(matches!(
        reopened(&mallory.unwrap(), Pin::Key(&pin)),
        Err(UpdateError::CmsKeyChanged { .. })
    ));
}

/// With the pinned key in the header, but without that key.
#[test]
fn what_the_cms_has_not_signed_is_refused() {
    let file = sealed(&secret(32), &key(9), &Succession::default());
    let pin = key(9).public_key();
    let outcome = |change: &dyn Fn(&mut coset::CoseSign1)| {
        let changed = file::tampered(&file, &secret(32), &account(), |object| change(object));
        reopened(&changed, Pin::Key(&pin))
    };
    assert_eq!(outcome(&|_| {}), Ok(PinOutcome::Same), "the secret alone makes the outer layer");
    let refused = Err(UpdateError::BadSignature);
    let newer = |payload: &[u8]| {
        let mut update = open_inner(payload).unwrap();
        update.serial += 1;
        cbor::encode(&update)
    };
    assert_eq!(outcome(&|object| object.payload = object.payload.as_deref().map(newer)), refused);
    assert_eq!(outcome(&|object| object.signature[0] ^= 1), refused);
    assert_eq!(outcome(&|object| object.signature.clear()), refused);
    let mallory = |input: &[u8]| key(66).sign(input);
    assert_eq!(outcome(&|object| object.signature = mallory(&object.tbs_data(b""))), refused);
}

#[test]
fn unknown_versions_are_refused_by_name() {
    let (update, _) = domain("acme", 1).update(&USERS, MONTH);
    let mut newer = update;
    newer.v = 2;
    let error = open_inner(&cbor::encode(&newer)).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
}

#[test]
fn contradictory_contents_are_neither_made_nor_accepted() {
    let (good, _) = domain("acme", 1).update(&USERS, MONTH);
    let refused = |change: &dyn Fn(&mut UpdateFile)| {
        let mut update = good.clone();
        change(&mut update);
        let sealed =
            seal(&update, &secret(32), &key(1), &Succession::default(), &mut SeededRng::new(3));
        assert!(matches!(sealed, Err(UpdateError::Content(_))));
        assert!(matches!(open_inner(&cbor::encode(&update)), Err(UpdateError::Content(_))));
    };
    refused(&|update| update.users.reverse());
    refused(&|update| update.users[1] = update.users[0].clone());
    refused(&|update| update.users[0].generation = 9);
    refused(&|update| update.period = period("2026-12"));
    refused(&|update| update.account = AccountId::parse("other").unwrap());
    refused(&|update| update.cas.clear());
    refused(&|update| update.cas[0].0.truncate(9));
    refused(&|update| update.domain_token.0 = vec![0; DOMAIN_TOKEN_MAX + 1]);
    refused(&|update| update.users[0].sealed.0 = vec![0; ITEM_MAX + 1]);
    refused(&|update| {
        update.team_codes.insert("x".parse().unwrap(), vec![uri(USERS[0]), uri(USERS[0])]);
    });
    refused(&|update| {
        let many = (0..=TEAM_MEMBERS_MAX).map(|n| uri(&format!("+4670{n:07}"))).collect();
        update.team_codes.insert("x".parse().unwrap(), many);
    });
}

#[test]
fn admission_is_by_period_and_serial() {
    let (update, _) = domain("acme", 1).update(&USERS, MONTH);
    let at = |month: &str| period(month).start();
    for month in ["2026-10", "2026-11", "2026-12"] {
        assert_eq!(admissible(&update, at(month), None, false), Ok(Admission::New), "{month}");
    }
    let just_before = |t: Timestamp| t.minus(std::time::Duration::from_millis(1));
    for now in [just_before(at("2026-10")), at("2027-01")] {
        let refused = admissible(&update, now, None, false);
        assert!(matches!(refused, Err(Inadmissible::Period { .. })));
        assert_eq!(admissible(&update, now, None, true), Ok(Admission::New), "--force");
    }
    assert_eq!(admissible(&update, NOW, Some(6), false), Ok(Admission::New));
    assert_eq!(admissible(&update, NOW, Some(7), false), Ok(Admission::Again));
    let older = Inadmissible::OlderSerial { newest: 8, found: 7 };
    assert_eq!(admissible(&update, NOW, Some(8), false), Err(older.clone()));
    assert_eq!(admissible(&update, NOW, Some(8), true), Err(older), "not even by force");
}

#[test]
fn too_large_files_are_refused_before_anything_is_read() {
    let huge = vec![0; FILE_MAX + 1];
    assert_eq!(reopened(&huge, Pin::FirstUse), Err(UpdateError::TooLarge(FILE_MAX + 1)));
}

#[test]
fn a_package_is_only_good_for_its_user_and_trust() {
    let mut acme = domain("acme", 1);
    let (update, enrolment) = acme.update(&USERS, MONTH);
    let delivery = update.delivery(&update.users[0]);
    let open = |key, trust, user: &str| package::open(&delivery, key, trust, &uri(user), NOW);
    assert!(open(&enrolment[0], &acme.trust, USERS[0]).is_ok());
    assert!(matches!(
        open(&enrolment[1], &acme.trust, USERS[0]),
        Err(package::PackageError::Kem(_))
    ));
    assert!(matches!(
        open(&enrolment[0], &acme.trust, USERS[1]),
        Err(package::PackageError::WrongUser { .. })
    ));
    let stranger = domain("acme", 5).trust;
    assert!(matches!(
        open(&enrolment[0], &stranger, USERS[0]),
        Err(package::PackageError::Trust(_))
    ));
    let mut newer = acme.trust.clone();
    newer.serial = 8;
    let opened = open(&enrolment[0], &newer, USERS[0]).unwrap();
    assert_eq!(opened.trust, newer, "an older list does not replace the one in use");
    // Another user's certificates with the first user's sealed keys.
    let mut mixed = update.users[1].clone();
    mixed.sealed = update.users[0].sealed.clone();
    let mixed = update.delivery(&mixed);
    assert!(package::open(&mixed, &enrolment[0], &acme.trust, &uri(USERS[1]), NOW).is_err());
    // The same user's newer encapsulation certificate with older private keys.
    let again = acme.keys(USERS[0], MONTH);
    let mut swapped = update.users[0].clone();
    swapped.kem_cert = again.kem_cert.into();
    let swapped = update.delivery(&swapped);
    assert!(matches!(
        package::open(&swapped, &enrolment[0], &acme.trust, &uri(USERS[0]), NOW),
        Err(package::PackageError::KeyMismatch)
    ));
}

#[test]
fn next_months_package_opens_ahead_of_time() {
    let mut acme = domain("acme", 1);
    let (update, enrolment) = acme.update(&USERS, "2026-12");
    let delivery = update.delivery(&update.users[0]);
    let opened = package::open(&delivery, &enrolment[0], &acme.trust, &uri(USERS[0]), NOW).unwrap();
    assert_eq!(opened.keys.identity.period, period("2026-12"));
    assert_deterministic(&delivery);
    let late = period("2026-12").end().plus(crs_types::period::UPDATE_ONLY);
    let late = late.plus(std::time::Duration::from_secs(1));
    assert!(package::open(&delivery, &enrolment[0], &acme.trust, &uri(USERS[0]), late).is_err());
}

#[test]
fn limits_of_a_file_are_reached_and_named() {
    let (good, _) = domain("acme", 1).update(&USERS, MONTH);
    let refusal = |change: &dyn Fn(&mut UpdateFile)| {
        let mut update = good.clone();
        change(&mut update);
        open_inner(&cbor::encode(&update)).unwrap_err().to_string()
    };
    let users = refusal(&|update| {
        let user = UpdateUser {
            kem_cert: cbor::Bytes::default(),
            sealed: cbor::Bytes::default(),
            sign_cert: cbor::Bytes::default(),
            ..update.users[0].clone()
        };
        update.users = vec![user; USERS_MAX + 1];
    });
    assert!(users.contains("100001 users, at most 100000"), "{users}");
    let codes = refusal(&|update| {
        let code = |n| (format!("c{n}").parse().unwrap(), Vec::new());
        update.team_codes = (0..=TEAM_CODES_MAX).map(code).collect();
    });
    assert!(codes.contains("10001 team codes, at most 10000"), "{codes}");
    let cas =
        refusal(&|update| update.cas = vec![update.cas[0].clone(); crate::trust::CAS_MAX + 1]);
    assert!(cas.contains("1 to 16 CA certificates, got 17"), "{cas}");
    let connected = refusal(&|update| {
        let other = |n| crate::trust::Connected {
            cas: update.cas.clone(),
            account: AccountId::parse(&format!("other{n}")).unwrap(),
        };
        update.connected = (0..=crate::trust::CONNECTED_MAX).map(other).collect();
    });
    assert!(connected.contains("1001 connected domains, at most 1000"), "{connected}");
    let mut long = Succession::default();
    for _ in 0..=SUCCESSION_MAX {
        long.push(&account(), &key(1), &key(2).public_key());
    }
    let file = seal(&good, &secret(32), &key(1), &long, &mut SeededRng::new(3)).unwrap();
    assert!(matches!(reopened(&file, Pin::FirstUse), Err(UpdateError::Container(_))));
    assert!(TeamCode::parse(&"x".repeat(33)).is_err());
    assert!(TeamCode::parse("").is_err() && TeamCode::parse("a b").is_err());
}

#[test]
fn foreign_containers_are_refused() {
    let untagged = coset::CoseEncrypt0::default().to_vec().unwrap();
    assert!(matches!(reopened(&untagged, Pin::FirstUse), Err(UpdateError::Container(_))));
    let sign1 = coset::CoseSign1::default().to_tagged_vec().unwrap();
    assert!(matches!(reopened(&sign1, Pin::FirstUse), Err(UpdateError::Container(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(reopened(&bytes, Pin::FirstUse).is_err());
        prop_assert!(open_inner(&bytes).is_err());
        prop_assert!(package::claimed(&bytes).is_err());
        prop_assert!(crate::kem_cert::claimed(&bytes).is_err());
    }
}
