//! What a client that leaves behind its request leaves of it.

use crs_proto::wire::message::{Ack, Post};
use crs_proto::wire::{Bytes64, life::Role};
use crs_types::{AccountId, Uri};
use futures_util::FutureExt;

use super::*;
use crate::services::Party;
use crate::trace::{Filter, MessageState, TraceEvent, Traced};

/// Two numbers of one group: a post to another group takes a claim first.
fn neighbours(store: &Store) -> (Uri, Uri) {
    let mut numbers = (701..).map(|n| Uri::parse(&format!("+46{n}")).unwrap());
    let first = numbers.next().unwrap();
    let same = numbers.find(|uri| store.group_of(uri) == store.group_of(&first));
    (first, same.unwrap())
}

fn party(rig: &Rig, uri: &Uri) -> Party {
    let account = AccountId::parse("acme").unwrap();
    let registered = rig.node.context().directory.find(&account, uri).remove(0);
    let (device, addr) = (registered.device.clone(), registered.addr);
    let connection = registered.handle.clone();
    Party { account, uri: uri.clone(), device, role: Role::Primary, addr, connection }
}

async fn next(trace: &crate::trace::Subscription) -> (MessageState, MessageId) {
    let next = tokio::time::timeout(Duration::from_secs(60), trace.next());
    match next.await.expect("the trace shows it") {
        Traced::Event(event) => {
            let TraceEvent::Message(event) = &*event else { panic!("{event:?}") };
            (event.state, event.id)
        }
        Traced::Dropped(count) => panic!("{count} dropped"),
    }
}

/// C-350, C-352: trace and figures tell what became durable, not what somebody was there to hear of.
#[tokio::test(flavor = "multi_thread")]
async fn a_post_and_an_ack_whose_client_has_gone_are_traced() {
    let rig = Rig::start(&FakeDisk::default()).await;
    let (anna, bo) = neighbours(rig.node.store());
    let mut acme = Domain::new("acme");
    let users = [acme.user(&anna.to_string()), acme.user(&bo.to_string())];
    rig.apply(&acme, true).await;
    let _attached = [rig.attach(&users[0], "a").await, rig.attach(&users[1], "b").await];
    let mail = Arc::clone(&rig.node.context().services().unwrap().mail);
    let trace = rig.hub.subscribe(Filter::Message).unwrap();
    let id = MessageId::from_parts(NOW, [1; 10]);
    let post = Post { mid: id, to: bo.clone(), body: Bytes64(vec![1]), expires_ms: None };
    // Asked once, and aborted before the disk has answered.
    let asked = mail.post(party(&rig, &anna), acme.id.clone(), post);
    assert!(asked.now_or_never().is_none());
    assert_eq!(next(&trace).await, (MessageState::PostedContent, id));
    let asked = mail.ack(party(&rig, &bo), Ack { n: vec![1] });
    assert!(asked.now_or_never().is_none());
    assert_eq!(next(&trace).await, (MessageState::PostedAck, id));
    let counts = rig.counts.all();
    assert_eq!((counts.get("posted"), counts.get("acked")), (Some(&1), Some(&1)), "{counts:?}");
    rig.node.close().await;
}
