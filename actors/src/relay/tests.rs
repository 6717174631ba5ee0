//! The relay's actors over a real data plane on loopback.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crs_proto::leg::LegCredentials;
use crs_proto::leg::client::{answer_check, binding_request, transaction_id};
use crs_proto::session::RelayFailure;
use crs_proto::wire::relay::{Leg, MediaAddress, RelayKind};
use crs_relay::{RelayConfig, RelayType};
use crs_types::{AllocationId, ClientAddr, OsRng, SessionId, SystemClock, Timestamp};

use futures_util::FutureExt;

use super::{RELAY_QUEUE, RelayAlarm, RelayService, RelaySettings};
use crate::admin::RelayView;
use crate::metrics::NodeMetrics;
use crate::session::{Allocated, MediaRelay};
use crs_proto::session::LegPath;

type Alarms = Arc<Mutex<Vec<RelayAlarm>>>;

async fn service(limit: Option<u64>) -> (RelayService, Alarms) {
    on("127.0.0.1:0".parse().unwrap(), limit).await
}

async fn on(addr: SocketAddr, limit: Option<u64>) -> (RelayService, Alarms) {
    let mut relay = RelayConfig::on(vec![addr]);
    relay.limits.rtp = limit;
    relay.max_legs = 32;
    let alarms = Alarms::default();
    let heard = Arc::clone(&alarms);
    let alarm = Arc::new(move |alarm| heard.lock().unwrap().push(alarm));
    let settings = RelaySettings { relay, advertised: Vec::new(), alarm };
    let clock = Arc::new(SystemClock::new());
    let metrics = NodeMetrics::default();
    (RelayService::start(settings, clock, &metrics, None).await.unwrap(), alarms)
}

fn session(n: u8) -> SessionId {
    SessionId::from_parts(Timestamp::from_millis(1), [n; 10])
}

/// Binds a leg as a client does; blocking calls, so run beside the runtime.
async fn bound(leg: Leg) -> UdpSocket {
    let bind = move || {
        let MediaAddress::Udp { addr } = leg.addresses[0];
        let credentials = LegCredentials::parse(&leg.ufrag, &leg.password).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request = binding_request(&credentials, transaction_id(&mut OsRng));
        socket.send_to(request.as_bytes(), addr).unwrap();
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        let answer = answer_check(&credentials, &bytes[..length], ClientAddr::new(addr)).unwrap();
        socket.send_to(answer.as_bytes(), addr).unwrap();
        socket.recv(&mut bytes).unwrap();
        socket.connect(addr).unwrap();
        socket
    };
    tokio::task::spawn_blocking(bind).await.unwrap()
}

/// Asks until the answer is as wanted; each question is a round trip through the actor.
async fn until_bound(relay: &RelayService, id: AllocationId) {
    for _ in 0..10_000 {
        let report = relay.report(id).await.unwrap().unwrap();
        if [report.caller.path, report.callee.path] == [LegPath::Bound; 2] {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("both legs bound");
}

#[tokio::test(flavor = "multi_thread")]
async fn legs_are_made_bound_reported_shown_and_freed() {
    let (relay, _) = service(None).await;
    assert!(relay.running());
    let Allocated { lease, caller, callee } =
        relay.allocate(RelayKind::Rtp, session(1)).await.unwrap();
    let id = lease.id();
    assert_ne!(caller.leg, callee.leg);
    assert_eq!(caller.lifetime_ms, 60_000);
    let report = relay.report(id).await.unwrap().unwrap();
    assert_eq!(report.caller.path, LegPath::NeverBound);
    assert!(report.callee.last_packet.is_none());
    let (a, b) = (bound(caller).await, bound(callee).await);
    until_bound(&relay, id).await;
    let passed = tokio::task::spawn_blocking(move || {
        let mut bytes = [0; 64];
        a.send(&[0x80; 20]).unwrap();
        b.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        b.recv(&mut bytes).unwrap()
    });
    assert_eq!(passed.await.unwrap(), 20);
    let report = relay.report(id).await.unwrap().unwrap();
    assert!(report.caller.last_packet.is_some() && report.callee.last_packet.is_none());
    let shown = relay.resources().await;
    assert_eq!(shown.len(), 1);
    assert_eq!((shown[0].kind, shown[0].bound, shown[0].legs), (RelayType::Rtp, 2, 2));
    assert_eq!(shown[0].session, Some(session(1)));
    assert!(shown[0].last_active.is_some());
    assert_eq!(relay.counters().types[0].tx, 1);
    drop(lease);
    assert!(relay.report(id).await.unwrap().is_none());
    assert!(relay.resources().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_refused_by_name_and_alarmed() {
    let (relay, alarms) = service(Some(1)).await;
    let first = relay.allocate(RelayKind::Rtp, session(1)).await.unwrap();
    let refused = relay.allocate(RelayKind::Rtp, session(2)).await.unwrap_err();
    assert_eq!(refused, RelayFailure::Limit);
    let text = "limit of 1 simultaneous RTP relays reached".to_owned();
    assert_eq!(*alarms.lock().unwrap(), [RelayAlarm::Limit(text)]);
    drop(first);
    let _third = relay.allocate(RelayKind::Rtp, session(3)).await.unwrap();
    let metrics = crs_ops::Metrics::default();
    super::register_relay_metrics(&metrics, relay);
    let text = metrics.render();
    for line in [
        "crs_relays{type=\"RTP relay\"} 1",
        "crs_relays{type=\"opaque relay\"} 0",
        "crs_relays_made_total{type=\"RTP relay\"} 2",
        "crs_relays_refused_total{type=\"RTP relay\",reason=\"limit\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}

/// The actor of an allocation is killed: the resource goes with it.
#[tokio::test(flavor = "multi_thread")]
async fn an_allocation_ends_with_its_actor() {
    let (relay, _) = service(None).await;
    let made = relay.allocate(RelayKind::Opaque, session(1)).await.unwrap();
    assert!(made.caller.channel.is_some());
    let children = relay.shared_for_tests().allocations.cell().get_children();
    children.iter().for_each(|child| child.kill());
    for _ in 0..10_000 {
        if relay.report(made.lease.id()).await.is_ok_and(|report| report.is_none()) {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the resource is freed");
}

/// Whoever asked is gone when the answer comes: the legs are freed. On one thread, so that no
/// answer comes before this test lets go of it.
#[tokio::test]
async fn an_answer_that_nobody_waits_for_leaves_nothing() {
    let (relay, _) = service(Some(1)).await;
    let asked = relay.allocate(RelayKind::Rtp, session(1));
    // Polled once, so the relay has been asked.
    assert!(asked.now_or_never().is_none());
    for _ in 0..10_000 {
        if relay.allocate(RelayKind::Rtp, session(2)).await.is_ok() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the legs are freed");
}

/// A control actor that fails is started again on the same address.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_actor_was_killed_comes_back_on_its_port() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let relay = on(port, None).await.0;
    let first = relay.allocate(RelayKind::Rtp, session(1)).await.unwrap();
    relay.shared_for_tests().handle.get().unwrap().actor().kill();
    for _ in 0..10_000 {
        if let Ok(made) = relay.allocate(RelayKind::Rtp, session(1)).await {
            assert_ne!(made.lease.id(), first.lease.id());
            assert_eq!(relay.addresses(), [port]);
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the relay comes back");
}

/// All are asked in one go on the only thread, so the control actor answers none meanwhile.
#[tokio::test]
async fn requests_beyond_the_relays_queue_are_refused() {
    let (relay, _) = service(Some(0)).await;
    let ask = |_| relay.allocate(RelayKind::Rtp, session(1));
    let answers = futures_util::future::join_all((0..RELAY_QUEUE + 5).map(ask)).await;
    let count = |failure| answers.iter().filter(|a| a.as_ref().err() == Some(&failure)).count();
    // A tick of the timer may take a place, too.
    assert!((5..=7).contains(&count(RelayFailure::Unavailable)), "{answers:?}");
    assert!(count(RelayFailure::Limit) >= RELAY_QUEUE as usize - 2);
    assert_eq!(relay.allocate(RelayKind::Rtp, session(1)).await.unwrap_err(), RelayFailure::Limit);
}
