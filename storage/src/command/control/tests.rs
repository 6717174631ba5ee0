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
