//! One user with very many connections.

use super::super::USER_CONNECTIONS_MAX;
use crs_proto::wire::life::UnregisteredReason;
use crs_types::Uri;
use serde_json::json;

use super::limits::{bed, bed_with};
use crate::settings::{LimitSettings, Settings};
use crate::testing::{Client, until};

/// The registered one stays however old it is; the oldest of the others goes, one for each that
/// comes; and nothing of it is left at the end.
#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_unregistered_connection_of_a_user_makes_room() {
    let (bed, anna) = bed().await;
    let attached = bed.attach(&anna, "primary", "d").await;
    let mut idle = Vec::new();
    for _ in 1..USER_CONNECTIONS_MAX {
        idle.push(bed.connect(&anna).await);
    }
    for gone in 0..3 {
        idle.push(bed.connect(&anna).await);
        assert_eq!(idle[gone].closed().await, Some(1001), "{gone}");
    }
    until("only so many are left", || bed.capacity.count() == USER_CONNECTIONS_MAX).await;
    assert_eq!(bed.context.directory.count(), 1);
    drop((idle, attached));
    until("all are gone", || bed.capacity.count() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_node_closes_those_who_never_registered() {
    let (bed, anna) = bed().await;
    let mut idle = bed.connect(&anna).await;
    bed.context.crowd.close_all();
    assert_eq!(idle.closed().await, Some(1001));
    until("it is gone", || bed.capacity.count() == 0).await;
}

async fn look(client: &mut Client) -> Option<String> {
    let reply = client.ask("lookup", json!({"uri": "+46701"})).await;
    reply["err"]["code"].as_str().map(str::to_owned)
}

/// neither a second connection nor a reconnect brings new tokens, and time does.
#[tokio::test]
async fn rates_are_of_the_user_over_all_connections_and_reconnects() {
    let limits = LimitSettings { lookup_per_minute: 3, ..LimitSettings::default() };
    let (bed, anna) = bed_with(Settings { limits, ..Settings::default() }).await;
    let mut phone = bed.attach(&anna, "primary", "phone").await;
    let mut desktop = bed.attach(&anna, "secondary", "desktop").await;
    assert_eq!(look(&mut phone).await, None);
    assert_eq!(look(&mut desktop).await, None);
    assert_eq!(look(&mut phone).await, None);
    assert_eq!(look(&mut desktop).await.as_deref(), Some("rate-limited"));
    drop((phone, desktop));
    until("both are gone", || bed.capacity.count() == 0).await;
    let mut phone = bed.attach(&anna, "primary", "phone").await;
    assert_eq!(look(&mut phone).await.as_deref(), Some("rate-limited"));
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(21)).await;
    assert_eq!(look(&mut phone).await, None);
}

/// Not even by inventing devices, or by never staying.
#[tokio::test(flavor = "multi_thread")]
async fn attaches_are_counted_over_reconnects() {
    let limits = LimitSettings { attach_per_minute: 3, ..LimitSettings::default() };
    let (bed, anna) = bed_with(Settings { limits, ..Settings::default() }).await;
    for n in 0..3 {
        drop(bed.attach(&anna, "secondary", &format!("device-{n}")).await);
    }
    until("all are gone", || bed.capacity.count() == 0).await;
    let mut client = bed.connect(&anna).await;
    let attach = json!({"role": "primary", "device": "another"});
    let error = client.ask("attach", attach.clone()).await["err"].clone();
    assert_eq!(error["code"], "rate-limited");
    assert!(error["retry_ms"].as_u64().is_some_and(|ms| ms <= 20_001), "{error}");
    // SIGHUP reaches what is remembered as well.
    let limits = LimitSettings { attach_per_minute: 600, ..LimitSettings::default() };
    bed.context.reload(Settings { limits, ..Settings::default() });
    let error = client.ask("attach", attach).await["err"].clone();
    assert!(error["retry_ms"].as_u64().unwrap_or(0) <= 101, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_closes_those_who_never_registered_too() {
    let (bed, anna) = bed().await;
    let mut attached = bed.attach(&anna, "primary", "d").await;
    let mut idle = bed.connect(&anna).await;
    let registered = bed.context.directory.snapshot().remove(0);
    let crowd = &bed.context.crowd;
    let told = [registered.connection];
    let end = |meant: &dyn Fn(&Uri) -> bool| {
        crowd.end_where(|_, uri| meant(uri), &told, UnregisteredReason::Purged)
    };
    assert_eq!(end(&|uri| *uri != registered.uri), 0);
    assert_eq!(end(&|uri| *uri == registered.uri), 1);
    assert_eq!(idle.closed().await, Some(4001));
    assert_eq!(attached.ask("time", serde_json::json!({})).await["ok"], true);
}
