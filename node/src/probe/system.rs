//! `health-check system`: the tests that only a client can make: is the listener reachable, does
//! media really pass.

use std::sync::Arc;
use std::time::Duration;

use crs_admin_api::command::health_check::{Health, Test};
use tokio::net::TcpStream;

use super::clients;
use super::{ProbeParts, Stopwatch, call};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn run(parts: Arc<ProbeParts>, local_only: bool) -> Vec<Test> {
    vec![listener(&parts, local_only).await, media(&parts, local_only).await]
}

async fn listener(parts: &ProbeParts, local_only: bool) -> Test {
    let watch = Stopwatch::start(&*parts.clock, "connect");
    let addr = clients::server(parts, local_only);
    match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(addr)).await {
        Ok(Ok(_)) => watch.ended(Health::Ok, format!("{addr} accepts connections")),
        Ok(Err(error)) => watch.ended(Health::Error, format!("{addr}: {error}")),
        Err(_) => watch.ended(Health::Error, format!("{addr}: no answer")),
    }
}

/// A node that answers but does not forward media looks healthy to everything else.
async fn media(parts: &ProbeParts, local_only: bool) -> Test {
    let watch = Stopwatch::start(&*parts.clock, "media loop");
    let Some(account) = (parts.any_account)() else {
        return watch.ended(Health::Warning, "not tried: there is no account yet");
    };
    let pair = match clients::attach(parts, &account, local_only).await {
        Ok(pair) => pair,
        Err(why) => return watch.ended(Health::Error, why),
    };
    let test = call::judged(&watch, call::run(parts, &pair).await);
    pair.close().await;
    test
}
