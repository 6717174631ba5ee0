//! Media and signalling of a client whose address changes within a call.

use std::sync::Arc;
use std::time::Duration;

use crs_client::{CallMedia, CallReport, Client};
use crs_proto::wire::call::{HangupReason, SessionState, Who};
use crs_types::Uri;
use tokio::task::JoinHandle;

use super::host::Host;
use super::pool::{Pool, wait};
use super::world::{inside, translate};
use crate::bed::rings;

/// Long enough for a client to notice a change and go on for a while.
const TALK: Duration = Duration::from_secs(12);
/// What a side sends in that time, at 20 ms a packet.
const PACKETS: u64 = 600;

/// A call under way.
struct Call {
    caller: JoinHandle<CallReport>,
    callee: JoinHandle<CallReport>,
}

impl Call {
    /// Alice calls Bob for [`TALK`]; returns when both sides' media has gone through the relay.
    fn start(
        pool: &Pool,
        alice: (&Host, &Arc<Client>),
        bob: (&Host, &Arc<Client>),
        to: Uri,
    ) -> Self {
        let caller = Arc::clone(alice.1);
        let media = CallMedia { duration: Some(TALK), ..CallMedia::default() };
        let calling = alice.0.spawn(async move { caller.call(&to, media).await.expect("a call") });
        let callee = Arc::clone(bob.1);
        let answering = bob.0.spawn(async move {
            let session = rings(&callee).await;
            callee.answer(session, CallMedia::default()).await.expect("an answer")
        });
        pool.until_media_flows();
        Self { caller: calling, callee: answering }
    }

    /// Its end as both sides saw it: an ordinary one, with most of the media.
    fn went_on(self) {
        let (caller, callee) = (wait(self.caller), wait(self.callee));
        for side in [&caller, &callee] {
            assert_eq!((side.state, side.reason), (SessionState::Hangup, HangupReason::Normal));
            // Without a new binding, media would end with the change, near the start.
            assert!(side.media.received > PACKETS / 2, "{caller:?}\n{callee:?}");
            assert_eq!((side.media.rejected, side.media.duplicates), (0, 0), "{side:?}");
        }
    }
}

#[test]
fn media_follows_a_client_whose_address_translation_changes() {
    inside(
        "hosts::moves::media_follows_a_client_whose_address_translation_changes",
        |mut world| {
            let (server, router, office) =
                (world.host("server"), world.host("router"), world.host("office"));
            let home = world.behind(&router, "home");
            let pool = Pool::start(&server, 2, &[]);
            let (alice, bob) = (pool.client(&home, 0), pool.client(&office, 1));
            let to = pool.users.identities[1].uri.clone();
            let call = Call::start(&pool, (&home, &alice), (&office, &bob), to);
            translate(&router, "31000-31999");
            call.went_on();
        },
    );
}

#[test]
fn a_client_that_changes_networks_keeps_its_call() {
    inside("hosts::moves::a_client_that_changes_networks_keeps_its_call", |mut world| {
        let (server, phone, office) =
            (world.host("server"), world.host("phone"), world.host("office"));
        let pool = Pool::start(&server, 2, &[]);
        let (alice, bob) = (pool.client(&phone, 0), pool.client(&office, 1));
        let to = pool.users.identities[1].uri.clone();
        let call = Call::start(&pool, (&phone, &alice), (&office, &bob), to);
        // The old address is gone without a word to anybody.
        phone.shell("ip addr del 10.77.0.2/24 dev eth0 && ip addr add 10.77.0.99/24 dev eth0");
        call.went_on();
        let attached = pool.cli(&["show", "attach"]).to_string();
        assert!(attached.contains("10.77.0.99") && !attached.contains("10.77.0.2:"), "{attached}");
    });
}

/// Two relay legs behind one translator have one address each: the ports differ.
#[test]
fn both_parties_may_be_behind_one_translator() {
    inside("hosts::moves::both_parties_may_be_behind_one_translator", |mut world| {
        let (server, router) = (world.host("server"), world.host("router"));
        let home = world.behind(&router, "home");
        let pool = Pool::start(&server, 2, &[]);
        let (alice, bob) = (pool.client(&home, 0), pool.client(&home, 1));
        let to = pool.users.identities[1].uri.clone();
        Call::start(&pool, (&home, &alice), (&home, &bob), to).went_on();
    });
}

/// A phone that has lost every network: its call ends on both sides, by themselves.
#[test]
fn a_call_whose_party_has_no_network_any_more_ends() {
    inside("hosts::moves::a_call_whose_party_has_no_network_any_more_ends", |mut world| {
        let (server, phone, office) =
            (world.host("server"), world.host("phone"), world.host("office"));
        let pool = Pool::start(&server, 2, &[]);
        let (alice, bob) = (pool.client(&phone, 0), pool.client(&office, 1));
        let to = pool.users.identities[1].uri.clone();
        let call = Call::start(&pool, (&phone, &alice), (&office, &bob), to);
        phone.shell("ip addr flush dev eth0");
        let callee = wait(call.callee);
        assert_eq!((callee.reason, callee.who), (HangupReason::MediaFailed, Some(Who::Crs)));
        let caller = wait(call.caller);
        assert_eq!(caller.state, SessionState::Hangup, "it gave up by itself: {caller:?}");
    });
}
