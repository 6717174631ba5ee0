//! One id, one content, whoever receives: claims in the sender's group before posts to others.

use std::time::Duration;

use super::*;

/// Tables of two groups; users with even numbers live in the first.
#[derive(Default)]
struct Groups([MemoryKv; 2]);

impl Groups {
    fn of(&self, user: u8) -> &MemoryKv {
        &self.0[usize::from(user % 2)]
    }

    /// The first half of a post: whether the second may come.
    fn claim(&self, post: &Post, to: u8, from: u8) -> bool {
        if to % 2 == from % 2 {
            return true;
        }
        let reply = apply(self.of(from), &MailboxCommand::Claim(Claim::of(post))).0;
        let MailboxReply::Claim(reply) = reply else { panic!("{reply:?}") };
        if let ClaimReply::Refused(refusal) = reply {
            assert_eq!(refusal, PostReply::IdConflict);
            return false;
        }
        true
    }

    fn post(&self, post: &Post, to: u8) -> PostReply {
        let reply = apply(self.of(to), &MailboxCommand::Post(post.clone())).0;
        let MailboxReply::Post(reply) = reply else { panic!("{reply:?}") };
        reply
    }
}

/// One try to post: its content, when each half is carried out among all others, and whether the
/// second half comes at all.
type Try = (u8, usize, u8, u8, bool);

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let one = (0..6u8, 1..3usize, any::<u8>(), any::<u8>(), prop::bool::weighted(0.7));
    prop::collection::vec(one, 1..12)
}

const SENDER: u8 = 2;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// However tries with one id from several devices mix, and wherever some of them end in a
    /// crash: at most one content is stored, it can be repeated, and all other is refused.
    #[test]
    fn an_id_stands_for_one_content_in_all_groups(tries in tries()) {
        let groups = Groups::default();
        let post = |to: u8, size: usize| post(to, SENDER, 1, size, 1_000);
        let mut halves: Vec<(u8, bool, usize)> = Vec::new();
        for (at, (_, _, claim, post, survives)) in tries.iter().enumerate() {
            halves.push(((*claim).min(*post), false, at));
            if *survives {
                halves.push(((*claim).max(*post), true, at));
            }
        }
        halves.sort();
        let mut may_post = vec![false; tries.len()];
        let mut stored = std::collections::BTreeSet::new();
        for (_, second, at) in halves {
            let (to, size, ..) = tries[at];
            if !second {
                may_post[at] = groups.claim(&post(to, size), to, SENDER);
            } else if may_post[at] && groups.post(&post(to, size), to) != PostReply::IdConflict {
                stored.insert((to, size));
            }
        }
        prop_assert!(stored.len() <= 1, "stored for one id: {:?}", stored);
        let again: Vec<bool> = tries.iter().map(|(to, size, ..)| {
            groups.claim(&post(*to, *size), *to, SENDER)
                && groups.post(&post(*to, *size), *to) != PostReply::IdConflict
        }).collect();
        let winners: std::collections::BTreeSet<_> = tries.iter().zip(&again)
            .filter(|(_, fine)| **fine)
            .map(|((to, size, ..), _)| (*to, *size))
            .collect();
        prop_assert_eq!(winners.len(), 1, "one content gets through in the end");
        prop_assert!(stored.is_subset(&winners));
    }
}

#[test]
fn a_claim_is_kept_as_long_as_its_id_is_accepted() {
    let table = MemoryKv::default();
    let claim = |size: usize, time: Timestamp| {
        let post = Post { time, ..post(1, SENDER, 1, size, 1) };
        apply(&table, &MailboxCommand::Claim(Claim::of(&post))).0
    };
    let refused = |reply| MailboxReply::Claim(ClaimReply::Refused(reply));
    assert_eq!(claim(1, at(0)), MailboxReply::Claim(ClaimReply::Claimed));
    let last = at(0).plus(MESSAGE_RETENTION);
    apply(&table, &MailboxCommand::Expire(Expire { now: last, limit: 1_000 }));
    assert_eq!(claim(1, last), MailboxReply::Claim(ClaimReply::Same));
    assert_eq!(claim(2, last), refused(PostReply::IdConflict));
    let after = last.plus(Duration::from_millis(1));
    assert_eq!(claim(2, after), refused(PostReply::IdTooOld));
    let before = at(0).minus(ID_FUTURE_MAX).minus(Duration::from_millis(1));
    assert_eq!(claim(2, before), refused(PostReply::IdInFuture));
    let forgotten = last.plus(ID_FUTURE_MAX).plus(Duration::from_millis(1));
    apply(&table, &MailboxCommand::Expire(Expire { now: forgotten, limit: 1_000 }));
    assert!(table.range(&[], &[0xff], 10).unwrap().is_empty(), "claims are forgotten in the end");
}

/// Commands are stored by their position in the enum: a log of an earlier release must not be
/// read as something else.
#[test]
fn the_stored_numbers_of_commands_do_not_change() {
    let version = crs_types::envelope::Version(1);
    let number = |command: &MailboxCommand| {
        crs_types::envelope::encode(version, command).unwrap().get(1).copied()
    };
    let post = post(1, 2, 1, 1, 1);
    let drop = DropAccount { account: AccountId::parse("acc").unwrap(), limit: 1 };
    assert_eq!(number(&MailboxCommand::Post(post.clone())), Some(0));
    assert_eq!(number(&MailboxCommand::Expire(Expire { now: at(0), limit: 1 })), Some(7));
    assert_eq!(number(&MailboxCommand::DropAccount(drop)), Some(8));
    assert_eq!(number(&MailboxCommand::Claim(Claim::of(&post))), Some(9));
}
