//! The view: which update file is in force, who is offered what, who reaches whom.

use std::sync::Arc;
use std::time::Duration;

use crs_keys::identity::IssuerId;
use crs_proto::wire::life::DeniedReason;
use crs_types::period::{GRACE, UPDATE_ONLY};
use crs_types::{Generation, Period, Timestamp, Uri};

use super::{Account, AccountRegistry, AccountsView, ShownKeys};
use crate::testing::{Domain, NOW};

fn month() -> Period {
    Period::at(NOW)
}

fn uri(number: &str) -> Uri {
    Uri::parse(number).unwrap()
}

fn just_before(time: Timestamp) -> Timestamp {
    time.minus(Duration::from_millis(1))
}

/// Keys certified by the domain's present CA.
fn shown(domain: &Domain, generation: u32) -> ShownKeys {
    let issuer = IssuerId::of(domain.ca.certificate()).unwrap();
    ShownKeys { generation: Generation(generation), issuer: Some(issuer) }
}

fn serial_of(account: &Account, now: Timestamp) -> Option<Period> {
    account.current(now).map(|index| index.period)
}

#[test]
fn last_months_file_is_in_force_until_its_grace_is_over() {
    let mut acme = Domain::new("acme");
    acme.user_of("+46701", month(), 1);
    let account = acme.account();
    let end = month().end();
    assert_eq!(serial_of(&account, just_before(month().start())), None);
    assert_eq!(serial_of(&account, month().start()), Some(month()));
    assert_eq!(serial_of(&account, just_before(end.plus(GRACE))), Some(month()));
    assert_eq!(serial_of(&account, end.plus(GRACE)), None);
    acme.user_of("+46701", month().next(), 1);
    let account = acme.account();
    assert_eq!(serial_of(&account, just_before(end)), Some(month()));
    assert_eq!(serial_of(&account, end), Some(month().next()));
}

#[test]
fn keys_attach_in_their_month_and_its_grace_and_not_after() {
    let mut acme = Domain::new("acme");
    for period in [month(), month().next(), month().next().next()] {
        acme.user_of("+46701", period, 1);
    }
    let account = acme.account();
    let keys = shown(&acme, 1);
    let attach = |now| account.may_attach(&uri("+46701"), month(), keys, now);
    let end = month().end();
    assert_eq!(attach(just_before(month().start())), Err(DeniedReason::NotAuthorised));
    assert_eq!(attach(month().start()), Ok(()));
    assert_eq!(attach(just_before(end.plus(GRACE))), Ok(()));
    assert_eq!(attach(end.plus(GRACE)), Err(DeniedReason::UpdateRequired));
    assert_eq!(attach(just_before(end.plus(UPDATE_ONLY))), Err(DeniedReason::UpdateRequired));
    assert_eq!(attach(end.plus(UPDATE_ONLY)), Err(DeniedReason::NotAuthorised));
}

#[test]
fn the_newest_generation_of_any_file_revokes_the_others() {
    let mut acme = Domain::new("acme");
    acme.user_of("+46701", month(), 1);
    let keys = [1, 2].map(|generation| (generation, shown(&acme, generation)));
    let attach = |account: &Account, generation| {
        let (_, keys) = keys.iter().find(|(of, _)| *of == generation).unwrap();
        account.may_attach(&uri("+46701"), month(), *keys, NOW)
    };
    let account = acme.account();
    assert_eq!(attach(&account, 1), Ok(()));
    assert_eq!(attach(&account, 2), Err(DeniedReason::NotAuthorised));
    acme.user_of("+46701", month().next(), 2);
    let account = acme.account();
    assert_eq!(attach(&account, 1), Err(DeniedReason::Revoked));
    assert_eq!(attach(&account, 2), Ok(()));
}

/// Whoever was removed is told so, and never to fetch an update that is not there for him.
#[test]
fn only_who_finds_an_update_is_told_to_fetch_one() {
    let mut acme = Domain::new("acme");
    let late = month().previous().previous();
    for (number, period) in
        [("+46701", late), ("+46702", late), ("+46702", month()), ("+46703", month())]
    {
        acme.user_of(number, period, 1);
    }
    acme.user_of("+46704", month().next(), 1);
    let (account, keys) = (acme.account(), shown(&acme, 1));
    let attach = |number, period| account.may_attach(&uri(number), period, keys, NOW);
    assert_eq!(attach("+46701", late), Err(DeniedReason::NotListed));
    assert_eq!(attach("+46702", late), Err(DeniedReason::UpdateRequired));
    assert_eq!(attach("+46703", month()), Ok(()));
    assert_eq!(attach("+46704", month()), Err(DeniedReason::NotListed));
    assert!(account.stands(&uri("+46704"), keys, NOW).is_ok(), "next month's keys are there");
    // While there is no file to fetch anything from, the operator has to apply one.
    let mut acme = Domain::new("acme");
    acme.user_of("+46701", late, 1);
    let attach = acme.account().may_attach(&uri("+46701"), late, keys, NOW);
    assert_eq!(attach, Err(DeniedReason::AccountNotLoaded));
}

/// The file that was made last names the CAs, whatever its month: a new one is believed before its
/// month begins, and one that is left out is out in the months of older files, too.
#[test]
fn the_newest_file_names_the_cas() {
    let mut acme = Domain::new("acme");
    acme.user_of("+46701", month().previous(), 1);
    acme.user_of("+46701", month(), 1);
    let old = shown(&acme, 1);
    acme.rotate_ca();
    acme.user_of("+46701", month().next(), 1);
    let new = shown(&acme, 1);
    let stands = |account: &Account, keys| account.stands(&uri("+46701"), keys, NOW).is_ok();
    let account = acme.account();
    assert_eq!(account.cas().len(), 2);
    assert!(stands(&account, old) && stands(&account, new));
    // The file of this month again, without the old CA.
    acme.retire_ca();
    acme.user_of("+46701", month(), 1);
    let account = acme.account();
    assert_eq!(account.cas(), [acme.ca.certificate().clone()]);
    assert!(!stands(&account, old) && stands(&account, new));
    let attach = account.may_attach(&uri("+46701"), month(), old, NOW);
    assert_eq!(attach, Err(DeniedReason::Revoked));
}

#[test]
fn current_and_next_month_are_offered_and_past_ones_published() {
    let mut acme = Domain::new("acme");
    let periods = [month().previous(), month(), month().next()];
    for period in periods {
        acme.user_of("+46701", period, 1);
    }
    let account = acme.account();
    let offered: Vec<_> = account.offered(NOW).map(|index| index.period).collect();
    assert_eq!(offered, [month(), month().next()]);
    let published: Vec<_> = account.published(NOW).map(|index| index.period).collect();
    assert_eq!(published, [month(), month().previous()]);
}

#[test]
fn the_own_account_comes_first_and_test_clients_keep_to_themselves() {
    let (mut acme, mut brick) = (Domain::new("acme"), Domain::new("brick"));
    for domain in [&mut acme, &mut brick] {
        domain.user("+46701");
    }
    brick.user("+46801");
    acme.connected.push((brick.id.clone(), brick.ca.clone()));
    brick.connected.push((acme.id.clone(), acme.ca.clone()));
    let accounts = [&acme, &brick].map(|d| (d.id.clone(), Arc::new(d.account()))).into();
    let view = AccountsView { version: 1, accounts };
    let test = Uri::test_client(0, "a").unwrap();
    let find = |from: &Uri, to: &str| {
        let to = if to == "test" { test.clone() } else { uri(to) };
        view.resolve(&acme.id, from, &to, NOW).map(|account| account.id.to_string())
    };
    let anna = uri("+46701");
    assert_eq!(find(&anna, "+46701").as_deref(), Some("acme"));
    assert_eq!(find(&anna, "+46801").as_deref(), Some("brick"));
    assert_eq!(find(&anna, "+46999"), None);
    assert_eq!(find(&anna, "test"), None);
    assert_eq!(find(&test, "+46701"), None);
    assert_eq!(find(&test, "test").as_deref(), Some("acme"));
}

#[test]
fn an_older_view_does_not_replace_a_newer_one() {
    let registry = AccountRegistry::new();
    let view = |version| AccountsView { version, ..AccountsView::default() };
    registry.swap(view(5));
    registry.swap(view(4));
    assert_eq!(registry.view().version, 5);
}
