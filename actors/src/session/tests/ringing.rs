//! What rings at a user is of others' choosing: it takes none of the user's own places, and no
//! caller takes them all.

use futures_util::future::join_all;

use super::super::{PAIR_RINGING_MAX, USER_RINGING_MAX, USER_SESSIONS_MAX};
use super::*;

const PAIR: u8 = PAIR_RINGING_MAX as u8;
const RINGING: u8 = USER_RINGING_MAX as u8;
const OWN: u8 = USER_SESSIONS_MAX as u8;

impl Rig {
    /// How an invite is answered: its state, with the detail of an end.
    async fn told(&self, from: &Client, request: SessionRequest) -> String {
        match self.ask(from, request).await {
            Ok(SessionReply::State(state)) => {
                format!("{:?} {}", state.state, state.detail.unwrap_or_default())
            }
            other => panic!("{other:?}"),
        }
    }

    async fn clients(&self, indices: std::ops::Range<u32>) -> Vec<Client> {
        join_all(indices.map(|n| self.client(n, "x", Role::Primary))).await
    }
}

#[tokio::test(start_paused = true)]
async fn one_caller_takes_only_a_part_of_what_may_ring_at_a_user() {
    let rig = Rig::new(FakeRelay::default(), 1000).await;
    let peers = rig.clients(1..4).await;
    let [a, b, c] = &peers[..] else { panic!("three") };
    // At once, so that none has been told to its device when the next is looked at.
    let all = (1..=RINGING).map(|n| rig.told(a, invite(n, b)));
    let answers = join_all(all).await;
    let rings = |answer: &&String| *answer == "Invite ";
    let refused = |answer: &&String| *answer == "Hangup user-sessions";
    assert_eq!(answers.iter().filter(rings).count(), PAIR_RINGING_MAX, "{answers:?}");
    assert_eq!(answers.iter().filter(refused).count(), USER_RINGING_MAX - PAIR_RINGING_MAX);
    // A second device of the caller has no further share; others call, and so does the called.
    let second = rig.client(1, "y", Role::Secondary).await;
    assert_eq!(rig.told(&second, invite(20, b)).await, "Hangup user-sessions");
    assert_eq!(rig.told(c, invite(21, b)).await, "Invite ");
    assert_eq!(rig.told(b, invite(22, c)).await, "Hangup glare");
    let d = rig.client(5, "d", Role::Primary).await;
    assert_eq!(rig.told(b, invite(23, &d)).await, "Invite ");
    // An answered call does not ring any more, and one that has ended even less.
    assert_eq!(rig.state(b, answer(1)).await, SessionState::Talk);
    assert_eq!(rig.told(a, invite(24, b)).await, "Invite ");
    assert_eq!(rig.told(a, invite(25, b)).await, "Hangup user-sessions");
    assert_eq!(rig.state(a, hangup(2)).await, SessionState::Hangup);
    assert_eq!(rig.told(a, invite(26, b)).await, "Invite ");
}

#[tokio::test(start_paused = true)]
async fn what_rings_at_a_user_takes_none_of_his_own_places() {
    let rig = Rig::new(FakeRelay::default(), 1000).await;
    let b = rig.client(1, "b", Role::Primary).await;
    let callers = rig.clients(10..20).await;
    let called = rig.clients(20..30).await;
    for n in 0..RINGING {
        let caller = &callers[usize::from(n / PAIR)];
        assert_eq!(rig.told(caller, invite(n, &b)).await, "Invite ", "{n}");
    }
    assert_eq!(rig.told(&callers[9], invite(50, &b)).await, "Hangup user-sessions");
    for n in 0..OWN {
        let to = &called[usize::from(n)];
        assert_eq!(rig.told(&b, invite(100 + n, to)).await, "Invite ", "{n}");
    }
    assert_eq!(rig.told(&b, invite(150, &called[8])).await, "Hangup user-sessions");
    // Answered calls are the user's own: whoever is in so many is not called any more.
    for n in 0..RINGING {
        assert_eq!(rig.state(&b, answer(n)).await, SessionState::Talk, "{n}");
    }
    assert_eq!(rig.told(&callers[9], invite(151, &b)).await, "Hangup user-sessions");
    for n in (0..RINGING).chain(100..101) {
        assert_eq!(rig.state(&b, hangup(n)).await, SessionState::Hangup, "{n}");
    }
    assert_eq!(rig.told(&callers[9], invite(152, &b)).await, "Invite ");
    assert_eq!(rig.told(&b, invite(153, &called[8])).await, "Invite ");
}
