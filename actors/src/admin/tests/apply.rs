//! `apply`: every check, and what is there afterwards.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crs_admin_api::command::apply::{Reply as Step, Request as Ask};
use crs_admin_api::command::*;
use crs_admin_api::{AdminError, Code, Reply, Request, SecretText};
use crs_keys::trust::domain_fingerprint;
use crs_keys::update::{CmsKey, Pin, Succession, open, open_inner, seal};
use crs_ops::SystemEvent;
use crs_types::rng::SeededRng;
use crs_types::{Period, Secret};

use super::bed::{Bed, NOW, account, told, uri};
use crate::admin::commands::apply::{SHOWN_MAX, Upload, step};
use crate::testing::Domain;

const NUMBER: &str = "+46701234567";

fn secret() -> Secret {
    Secret::new(vec![9; 32])
}

fn cms(seed: u64) -> CmsKey {
    CmsKey::generate(&mut SeededRng::new(seed))
}

/// An update file with this serial and month.
fn file(
    serial: u64,
    period: Period,
    generation: u32,
    cms_key: &CmsKey,
    secret: &Secret,
) -> Vec<u8> {
    let mut domain = Domain::new("police");
    domain.user_of(NUMBER, period, generation);
    let mut update = open_inner(&domain.contents()[0].1).unwrap();
    update.serial = serial;
    seal(&update, secret, cms_key, &Succession::default(), &mut SeededRng::new(3)).unwrap()
}

fn month() -> Period {
    Period::at(NOW)
}

async fn with_account(cms_key: Option<&CmsKey>) -> Bed {
    let bed = Bed::new();
    let request = create_account::Request {
        account: account("police"),
        secret: Some(SecretText::new(secret().to_base64().as_str())),
        bytes: None,
        cms_key: cms_key.map(|key| STANDARD.encode(key.public_key().0)),
    };
    bed.ask(Request::CreateAccount(request)).await.unwrap();
    bed
}

async fn upload(bed: &Bed, slot: &mut Option<Upload>, bytes: &[u8]) -> Result<Reply, AdminError> {
    step(&bed.context, slot, Ask::Begin { size: bytes.len() as u64 }).await?;
    let half = bytes.len() / 2;
    for (offset, part) in [(0, &bytes[..half]), (half, &bytes[half..])] {
        let chunk = Ask::Chunk { offset: offset as u64, data: STANDARD.encode(part) };
        step(&bed.context, slot, chunk).await?;
    }
    Ok(Reply::Apply(Step::Received { bytes: 0 }))
}

async fn apply(
    bed: &Bed,
    bytes: &[u8],
    confirm: Option<String>,
    force: bool,
) -> Result<Step, AdminError> {
    let mut slot = None;
    upload(bed, &mut slot, bytes).await?;
    let finish = Ask::Finish { force, confirm_fingerprint: confirm };
    let Reply::Apply(step) = step(&bed.context, &mut slot, finish).await? else { panic!() };
    Ok(step)
}

#[tokio::test]
async fn the_first_file_needs_its_fingerprint_confirmed_and_then_pins() {
    let bed = with_account(None).await;
    let bytes = file(1, month(), 1, &cms(1), &secret());
    let asked = apply(&bed, &bytes, None, false).await.unwrap();
    let fingerprint = cms(1).public_key().fingerprint();
    assert_eq!(
        asked,
        Step::Unconfirmed { account: account("police"), fingerprint: fingerprint.clone() }
    );
    let wrong = apply(&bed, &bytes, Some("00 11".to_owned()), false).await.unwrap_err();
    assert!(wrong.is(Code::WrongCmsKey));
    let told = format!("has the CMS fingerprint {fingerprint}; given was 00 11");
    assert!(wrong.message.ends_with(&told), "{wrong}");
    let long = "0".repeat(SHOWN_MAX + 1);
    let wrong = apply(&bed, &bytes, Some(long.clone()), false).await.unwrap_err();
    assert!(wrong.message.ends_with(&format!("given was {}", &long[1..])), "{wrong}");
    let typed = fingerprint.to_uppercase().replace(' ', ":");
    let Step::Applied(applied) = apply(&bed, &bytes, Some(typed), false).await.unwrap() else {
        panic!()
    };
    assert_eq!((applied.serial, applied.users, applied.period), (1, 1, month()));
    assert_eq!(bed.events(), [SystemEvent::UpdateApplied]);
    let path = bed.root.path().join(format!("accounts/police/{}", month()));
    assert!(open_inner(&std::fs::read(&path).unwrap()).is_ok(), "the copy is the inner content");
    let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o640);
    std::fs::remove_file(&path).unwrap();
    bed.ask(Request::ReloadAccount(reload_account::Request {})).await.unwrap();
    assert!(path.is_file(), "reload puts a lost copy back");
    // The same key goes through from now on; another does not.
    let Step::Applied(_) = apply(&bed, &bytes, None, false).await.unwrap() else { panic!() };
    let other = file(2, month(), 1, &cms(2), &secret());
    assert!(apply(&bed, &other, None, false).await.unwrap_err().is(Code::WrongCmsKey));
}

/// `crs-cms fingerprint` prints two fingerprints.
#[tokio::test]
async fn the_other_of_two_fingerprints_is_named_and_a_known_key_is_compared_too() {
    let bed = with_account(None).await;
    let bytes = file(1, month(), 1, &cms(1), &secret());
    let update = open(&bytes, &secret(), &account("police"), Pin::FirstUse).unwrap().update;
    let cas = update.cas.iter().map(|ca| ca.as_slice());
    let domains = domain_fingerprint(&account("police"), cas);
    let fingerprint = cms(1).public_key().fingerprint();
    let wrong = apply(&bed, &bytes, Some(domains.clone()), false).await.unwrap_err();
    assert!(wrong.message.starts_with("that is the domain fingerprint"), "{wrong}");
    assert!(
        wrong.message.contains(&format!("expected the CMS fingerprint, which is {fingerprint}"))
    );
    apply(&bed, &bytes, Some(fingerprint), false).await.unwrap();
    let wrong = apply(&bed, &bytes, Some(domains), false).await.unwrap_err();
    assert!(wrong.is(Code::WrongCmsKey), "also when the key is pinned");
}

#[tokio::test]
async fn serial_period_secret_and_account_are_checked() {
    let bed = with_account(Some(&cms(1))).await;
    let make = |serial, period| file(serial, period, 1, &cms(1), &secret());
    let current = make(5, month());
    apply(&bed, &current, None, false).await.unwrap();
    let older = apply(&bed, &make(4, month()), None, false).await.unwrap_err();
    assert!(older.is(Code::OldSerial));
    assert!(
        older.hint.contains("nothing needs to be done"),
        "the month has a newer one: {older:?}"
    );
    // The newest file of the next month may be older than this month's: the month needs another.
    let next = apply(&bed, &make(4, month().next()), None, false).await.unwrap_err();
    assert!(next.is(Code::OldSerial));
    let command = format!("`crs-cms update create --period {}`", month().next());
    assert!(next.hint.contains(&command), "{next:?}");
    let made =
        format!("{} (serial 4) was made before the file in force (serial 5)", month().next());
    assert!(next.message.contains(&made), "{next:?}");
    apply(&bed, &make(6, month().next()), None, false).await.unwrap();
    // Serials rise over all months: an older file of another month is no way back.
    let before = make(4, month().previous());
    let over = apply(&bed, &before, None, true).await.unwrap_err();
    assert!(over.is(Code::OldSerial));
    assert!(
        over.hint.contains("nothing needs to be done"),
        "crs-cms makes no past month: {over:?}"
    );
    let again = apply(&bed, &current, None, false).await.unwrap();
    assert!(matches!(again, Step::Applied(_)), "the file of its month may come again");
    let far = make(7, month().next().next());
    assert!(apply(&bed, &far, None, false).await.unwrap_err().is(Code::WrongPeriod));
    assert!(matches!(apply(&bed, &far, None, true).await.unwrap(), Step::Applied(_)));
    let foreign = file(8, month(), 1, &cms(1), &Secret::new(vec![1; 32]));
    assert!(apply(&bed, &foreign, None, false).await.unwrap_err().is(Code::WrongAccount));
    assert!(apply(&bed, b"not an update", None, false).await.unwrap_err().is(Code::BadUpdate));
    let mut damaged = make(9, month());
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    assert!(apply(&bed, &damaged, None, false).await.is_err());
    let updates = bed.ask(Request::ShowUpdates(show_updates::Request {})).await.unwrap();
    let Reply::ShowUpdates(rows) = updates else { panic!() };
    assert_eq!((rows[0].current_serial, rows[0].users), (5, 1));
    assert_ne!(rows[0].next_month, show_updates::NOT_AVAILABLE);
}

#[tokio::test]
async fn a_file_for_an_account_that_is_not_there_is_refused() {
    let bed = Bed::new();
    let bytes = file(1, month(), 1, &cms(1), &secret());
    assert!(apply(&bed, &bytes, None, false).await.unwrap_err().is(Code::NoSuchAccount));
}

#[tokio::test]
async fn a_revoked_generation_is_out_at_once() {
    let bed = with_account(Some(&cms(1))).await;
    apply(&bed, &file(1, month(), 1, &cms(1), &secret()), None, false).await.unwrap();
    let client = bed.attach("police", NUMBER, 1).await;
    apply(&bed, &file(2, month(), 1, &cms(1), &secret()), None, false).await.unwrap();
    assert!(client.lock().unwrap().is_empty(), "the same generation stays");
    let newer = file(3, month(), 2, &cms(1), &secret());
    let Step::Applied(applied) = apply(&bed, &newer, None, false).await.unwrap() else { panic!() };
    assert_eq!(applied.closed, 1);
    told(&client, &["Unregister(UpdateRequired)"]).await;
}

#[tokio::test]
async fn chunks_come_in_order_and_one_file_at_a_time() {
    let bed = with_account(None).await;
    let mut one = None;
    let mut other = None;
    let too_large = Ask::Begin { size: apply::FILE_MAX + 1 };
    assert!(step(&bed.context, &mut one, too_large).await.unwrap_err().is(Code::TooLarge));
    step(&bed.context, &mut one, Ask::Begin { size: 4 }).await.unwrap();
    let busy = step(&bed.context, &mut other, Ask::Begin { size: 4 }).await.unwrap_err();
    assert!(busy.is(Code::Busy));
    let finish = || Ask::Finish { force: false, confirm_fingerprint: None };
    assert!(step(&bed.context, &mut one, finish()).await.unwrap_err().is(Code::Malformed));
    let gap = Ask::Chunk { offset: 2, data: STANDARD.encode(b"ab") };
    assert!(step(&bed.context, &mut one, gap).await.unwrap_err().is(Code::Malformed));
    // The broken upload is forgotten, and its place free.
    step(&bed.context, &mut other, Ask::Begin { size: 2 }).await.unwrap();
    let long = Ask::Chunk { offset: 0, data: STANDARD.encode(b"abc") };
    assert!(step(&bed.context, &mut other, long).await.unwrap_err().is(Code::Malformed));
    step(&bed.context, &mut other, Ask::Begin { size: apply::FILE_MAX }).await.unwrap();
    let data = STANDARD.encode(vec![0; apply::CHUNK_MAX + 1]);
    let long = Ask::Chunk { offset: 0, data };
    assert!(step(&bed.context, &mut other, long).await.unwrap_err().is(Code::Malformed));
}

#[tokio::test]
async fn lookup_finds_own_users_with_their_domain() {
    let bed = with_account(Some(&cms(1))).await;
    apply(&bed, &file(1, month(), 3, &cms(1), &secret()), None, false).await.unwrap();
    let ask = |number: &str| {
        let (account, uri) = (account("police"), uri(number));
        Request::LookupClient(lookup_client::Request { account, uri })
    };
    let Reply::LookupClient(found) = bed.ask(ask(NUMBER)).await.unwrap() else { panic!() };
    assert_eq!((found.source.as_str(), found.domain.as_str()), ("not connected", "police"));
    assert_eq!((found.generation, found.listed), (3, true));
    bed.attach("police", NUMBER, 1).await;
    let Reply::LookupClient(found) = bed.ask(ask(NUMBER)).await.unwrap() else { panic!() };
    assert_eq!(found.source, "local (crs1)");
    assert!(bed.ask(ask("+46709")).await.unwrap_err().is(Code::NoSuchUser));
}
