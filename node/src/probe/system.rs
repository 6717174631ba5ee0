//! `health-check system`: the tests that only a client can make: is the listener reachable, does
//! media really pass.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crs_admin_api::command::health_check::{Health, Test};
use crs_types::Clock;
use tokio::net::TcpStream;

use super::clients;
use super::{ProbeParts, Stopwatch, call};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn run(parts: Arc<ProbeParts>, local_only: bool) -> Vec<Test> {
    vec![listener(&parts, local_only).await, media(&parts, local_only).await]
}

async fn listener(parts: &ProbeParts, local_only: bool) -> Test {
    reach(&*parts.clock, clients::server(parts, local_only)).await
}

async fn reach(clock: &dyn Clock, addr: SocketAddr) -> Test {
    let watch = Stopwatch::start(clock, "connect");
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

#[cfg(test)]
mod tests {
    use crs_types::SystemClock;
    use tokio::net::TcpSocket;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_listener_that_neither_takes_nor_refuses_fails_after_three_seconds() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = socket.local_addr().unwrap();
        let _listener = socket.listen(1).unwrap();
        // When its queue is full, the kernel leaves further connections without an answer.
        let patience = Duration::from_millis(50);
        let waiting =
            (0..16).map_while(|_| std::net::TcpStream::connect_timeout(&addr, patience).ok());
        let _waiting: Vec<_> = waiting.collect();
        let began = Instant::now();
        let test = reach(&SystemClock::new(), addr).await;
        assert_eq!(test.result, Health::Error);
        assert_eq!(test.description, format!("{addr}: no answer"));
        assert_eq!(began.elapsed().as_secs(), CONNECT_TIMEOUT.as_secs());
    }
}
