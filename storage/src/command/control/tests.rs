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
    assert_eq!(apply(1, 1, 1, false), Err(ControlRefusal::OlderSerial { period, have: 2, got: 1 }));
    assert_eq!(apply(2, 3, 1, false), Err(ControlRefusal::SerialConflict { period, serial: 2 }));
    assert_eq!(apply(3, 3, 9, false), Err(ControlRefusal::CmsKey(account(1))));
    assert_eq!(apply(3, 3, 9, true), Ok(true));
    assert_eq!(apply(4, 4, 1, false), Err(ControlRefusal::CmsKey(account(1))));
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
