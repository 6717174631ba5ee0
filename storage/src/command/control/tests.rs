//! The limits of the control state, reached.

use crs_types::{AccountId, BlobHash, Period, Timestamp, Uri};

use super::*;
use crate::command::Sealed;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn account(n: usize) -> AccountId {
    AccountId::parse(&format!("a{n}")).unwrap()
}

fn create(n: usize) -> ControlCommand {
    let secret = Sealed::from(vec![1; 16]);
    let (id, time) = (account(n), NOW);
    ControlCommand::CreateAccount(CreateAccount { id, secret, cms_key: None, time })
}

fn limit_of(reply: ControlReply) -> u64 {
    match reply.into_result() {
        Err(ControlRefusal::Limit { limit, .. }) => limit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn accounts_are_limited() {
    let mut state = ControlState::default();
    for n in 0..ACCOUNTS_MAX {
        assert_eq!(state.apply(&create(n)).into_result(), Ok(true));
    }
    assert_eq!(limit_of(state.apply(&create(ACCOUNTS_MAX))), ACCOUNTS_MAX as u64);
    let delete = ControlCommand::DeleteAccount(DeleteAccount { id: account(0) });
    assert_eq!(state.apply(&delete).into_result(), Ok(true));
    assert_eq!(state.apply(&create(ACCOUNTS_MAX)).into_result(), Ok(true));
}

#[test]
fn a_blacklist_is_limited() {
    let mut state = ControlState::default();
    state.apply(&create(1));
    let add = |n: usize| {
        let uri = Uri::parse(&format!("+46{n:09}")).unwrap();
        ControlCommand::BlacklistAdd(BlacklistAdd { account: account(1), uri, time: NOW })
    };
    for n in 0..BLACKLIST_MAX {
        assert_eq!(state.apply(&add(n)).into_result(), Ok(true));
    }
    assert_eq!(limit_of(state.apply(&add(BLACKLIST_MAX))), BLACKLIST_MAX as u64);
    assert_eq!(state.apply(&add(7)).into_result(), Ok(false), "who is barred stays so");
}

#[test]
fn a_change_of_a_blacklist_is_carried_out_whole_or_not_at_all() {
    let mut state = ControlState::default();
    state.apply(&create(1));
    let uri = |n: usize| Uri::parse(&format!("+46{n:09}")).unwrap();
    let mut change = |add: std::ops::Range<usize>, remove: std::ops::Range<usize>| {
        let (add, remove) = (add.map(uri).collect(), remove.map(uri).collect());
        let change = BlacklistChange { account: account(1), add, remove, time: NOW };
        let reply = state.apply(&ControlCommand::BlacklistChange(change));
        (reply, state.account(&account(1)).unwrap().blacklist.len())
    };
    let done = |changed| ControlReply::Done { changed };
    assert_eq!(change(0..1_000, 0..0), (done(true), 1_000));
    assert_eq!(change(0..500, 2_000..2_500), (done(false), 1_000), "nothing new");
    assert_eq!(change(1_000..1_300, 0..700), (done(true), 600));
    let (reply, left) = change(5_000..5_900, 700..801);
    assert_eq!((limit_of(reply), left), (BLACKLIST_CHANGE_MAX as u64, 600));
    for n in (600..BLACKLIST_MAX).step_by(100) {
        let from = 10_000 + n;
        assert_eq!(change(from..from + 100, 0..0).0, done(true));
    }
    let (reply, left) = change(1..3, 700..701);
    assert_eq!((limit_of(reply), left), (BLACKLIST_MAX as u64, BLACKLIST_MAX));
    assert_eq!(change(1..3, 700..702), (done(true), BLACKLIST_MAX), "who leaves makes room");
}

#[test]
fn settings_are_limited_in_number_and_length() {
    let mut state = ControlState::default();
    let put = |n: usize, length: usize| {
        let value = Some(Sealed::from(vec![0; length]));
        ControlCommand::PutSetting(PutSetting { name: format!("s{n}"), value })
    };
    assert_eq!(limit_of(state.apply(&put(0, SETTING_MAX + 1))), SETTING_MAX as u64);
    for n in 0..SETTINGS_MAX {
        assert_eq!(state.apply(&put(n, SETTING_MAX)).into_result(), Ok(true));
    }
    assert_eq!(limit_of(state.apply(&put(SETTINGS_MAX, 1))), SETTINGS_MAX as u64);
    assert_eq!(state.apply(&put(3, 1)).into_result(), Ok(true), "one that is there changes");
}

#[test]
fn updates_of_three_past_periods_are_kept() {
    let mut state = ControlState::default();
    state.apply(&create(1));
    let mut period: Period = "2026-01".parse().unwrap();
    for serial in 1..=9 {
        let update = UpdateRecord {
            period: period.next(),
            serial,
            created: NOW,
            applied: NOW,
            blob: BlobHash([serial as u8; 32]),
            size: 1,
        };
        let (account, cms_key, replace_key, current) = (account(1), vec![1], false, period);
        let apply = ApplyUpdate { account, update, cms_key, replace_key, current };
        assert_eq!(state.apply(&ControlCommand::ApplyUpdate(apply)).into_result(), Ok(true));
        period = period.next();
    }
    // The last one came in September 2026 for October.
    let kept = &state.account(&account(1)).unwrap().updates;
    let kept: Vec<String> = kept.keys().map(Period::to_string).collect();
    assert_eq!(kept, ["2026-06", "2026-07", "2026-08", "2026-09", "2026-10"]);
    assert_eq!(kept.len(), PAST_PERIODS + 2);
    assert_eq!(state.referenced_blobs().len(), kept.len(), "blobs of older ones are released");
}

#[test]
fn updates_are_refused_by_serial_content_and_key() {
    let mut state = ControlState::default();
    state.apply(&create(1));
    let period: Period = "2026-11".parse().unwrap();
    let mut apply = |serial: u64, content: u8, key: u8, replace_key: bool| {
        let (created, applied, size) = (NOW, NOW, 1);
        let blob = BlobHash([content; 32]);
        let update = UpdateRecord { period, serial, created, applied, blob, size };
        let (account, cms_key, current) = (account(1), vec![key], period);
        let apply = ApplyUpdate { account, update, cms_key, replace_key, current };
        state.apply(&ControlCommand::ApplyUpdate(apply)).into_result()
    };
    assert_eq!(apply(2, 2, 1, false), Ok(true));
    assert_eq!(apply(2, 2, 1, false), Ok(false), "again the same");
    assert_eq!(apply(1, 1, 1, false), Err(ControlRefusal::OlderSerial { have: 2, got: 1 }));
    assert_eq!(apply(2, 3, 1, false), Err(ControlRefusal::SerialConflict { period, serial: 2 }));
    assert_eq!(apply(3, 3, 9, false), Err(ControlRefusal::CmsKey(account(1))));
    assert_eq!(apply(3, 3, 9, true), Ok(true));
    assert_eq!(apply(4, 4, 1, false), Err(ControlRefusal::CmsKey(account(1))));
}

/// A file for another month is no way back to an older one: serials rise over all months.
#[test]
fn an_update_older_than_the_newest_is_refused_whatever_its_month() {
    let mut state = ControlState::default();
    state.apply(&create(1));
    let current: Period = "2026-11".parse().unwrap();
    let mut apply = |period: Period, serial: u64, content: u8, current: Period| {
        let (created, applied, size) = (NOW, NOW, 1);
        let blob = BlobHash([content; 32]);
        let update = UpdateRecord { period, serial, created, applied, blob, size };
        let (account, cms_key, replace_key) = (account(1), vec![1], false);
        let apply = ApplyUpdate { account, update, cms_key, replace_key, current };
        state.apply(&ControlCommand::ApplyUpdate(apply)).into_result()
    };
    let next = current.next();
    // Two months made in one run, applied in the order they were made.
    assert_eq!(apply(current, 5, 5, current), Ok(true));
    assert_eq!(apply(next, 6, 6, current), Ok(true));
    assert_eq!(apply(current, 5, 5, current), Ok(false), "the same file again");
    assert_eq!(apply(current, 4, 4, current), Err(ControlRefusal::OlderSerial { have: 6, got: 4 }));
    let before = current.previous();
    assert_eq!(apply(before, 3, 3, current), Err(ControlRefusal::OlderSerial { have: 6, got: 3 }));
    let conflict = ControlRefusal::SerialConflict { period: current, serial: 6 };
    assert_eq!(apply(current, 6, 6, current), Err(conflict), "a serial is for one month");
    assert_eq!(apply(current, 7, 7, current), Ok(true), "a correction");
    // The newest serial is remembered when its month is not kept any more.
    let later = (0..6).fold(current, |period, _| period.next());
    assert_eq!(apply(later, 8, 8, later), Ok(true));
    assert_eq!(apply(later, 7, 9, later), Err(ControlRefusal::OlderSerial { have: 8, got: 7 }));
}

#[test]
fn names_and_the_identity_are_given_once() {
    let mut state = ControlState::default();
    assert_eq!(state.apply(&create(1)).into_result(), Ok(true));
    let again = state.apply(&create(1)).into_result();
    assert_eq!(again, Err(ControlRefusal::AccountExists(account(1))));
    let delete = ControlCommand::DeleteAccount(DeleteAccount { id: account(1) });
    assert_eq!(state.apply(&delete).into_result(), Ok(true));
    assert_eq!(state.apply(&delete).into_result(), Err(ControlRefusal::NoAccount(account(1))));
    let purging = state.apply(&create(1)).into_result();
    assert_eq!(purging, Err(ControlRefusal::AccountPurging(account(1))));
    let purged = ControlCommand::AccountPurged(AccountPurged { id: account(1) });
    assert_eq!(state.apply(&purged).into_result(), Ok(true));
    assert_eq!(state.apply(&create(1)).into_result(), Ok(true));
    let secret = SetAccountSecret { id: account(2), secret: Sealed::from(vec![2]) };
    let missing = state.apply(&ControlCommand::SetAccountSecret(secret)).into_result();
    assert_eq!(missing, Err(ControlRefusal::NoAccount(account(2))));

    let mut identity = |byte: u8, replace: bool| {
        let identity = Sealed::from(vec![byte]);
        let set = ControlCommand::SetPoolIdentity(SetPoolIdentity { identity, replace });
        state.apply(&set).into_result()
    };
    assert_eq!((identity(1, false), identity(1, false)), (Ok(true), Ok(false)));
    assert_eq!(identity(2, false), Err(ControlRefusal::IdentityExists));
    assert_eq!(identity(2, true), Ok(true));
}
