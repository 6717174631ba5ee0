//! What a client meets that comes to a node which waits for its calls to end.

use crs_types::SessionId;

use super::*;
use crate::context::DrainState;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_to_a_draining_node_is_told_so() {
    let mut acme = Domain::new("acme");
    let (anna, bo, carl) = (acme.user("+46701"), acme.user("+46702"), acme.user("+46703"));
    let rig = Rig::start(&FakeDisk::default()).await;
    rig.apply(&acme, true).await;
    let (mut caller, _callee) = (rig.attach(&anna, "a").await, rig.attach(&bo, "b").await);
    let session = SessionId::from_parts(NOW, [1; 10]).to_string();
    let invite = json!({"session": session, "to": "+46702", "offer": "AAAA", "media": "rtp"});
    assert_eq!(caller.ask("call.invite", invite).await["state"], "invite");
    let plan = DrainPlan { calls: Duration::from_secs(60), ..DrainPlan::NOW };
    let coming = async {
        let context = rig.node.context();
        until("it drains", || context.drain_state() == DrainState::Draining).await;
        let connecting = Client::connect(&rig, Some(&carl));
        let connected = tokio::time::timeout(Duration::from_secs(30), connecting).await;
        let mut late = connected.expect("the port is served").unwrap();
        let refused = late.ask("attach", json!({"role": "primary", "device": "c"})).await;
        assert_eq!(refused["err"]["reason"], "node-drain", "{refused}");
        caller.ask("call.hangup", json!({"session": session, "reason": "cancelled"})).await;
    };
    tokio::join!(rig.node.drain(plan), coming);
    rig.node.close().await;
}
