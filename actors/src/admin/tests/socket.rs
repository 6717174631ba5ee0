//! The real socket: its mode, its limit, its restart.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as BlockingListener;
use std::sync::Arc;

use crs_admin_api::command::show_version;
use crs_admin_api::protocol::{ReplyBody, encode_request, parse_reply};
use crs_admin_api::{Code, Reply, Request};
use crs_types::{Clock, SystemClock};
use ractor::Actor;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::bed::Bed;
use crate::admin::{AdminListener, AdminListenerArguments, BindError, CONNECTIONS_MAX, bind};
use crate::metrics::NodeMetrics;
use crate::supervisor::{Intensity, SupervisorConfig, SupervisorHandle};

async fn population(limit: usize) -> SupervisorHandle {
    let config =
        SupervisorConfig { name: "admin", intensity: Intensity::default(), population: limit };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    SupervisorHandle::start(config, clock, &NodeMetrics::default(), None).await.unwrap()
}

async fn ask(stream: &mut BufReader<UnixStream>) -> ReplyBody {
    let line = encode_request(1, &Request::ShowVersion(show_version::Request {})).unwrap();
    // A refused connection may be closed already; its reason is still there to read.
    let _ = stream.get_mut().write_all(&line).await;
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await.unwrap();
    parse_reply(&line).unwrap().body
}

#[tokio::test]
async fn the_socket_answers_up_to_its_limit_and_says_so_beyond() {
    let bed = Bed::new();
    let connections = population(CONNECTIONS_MAX).await;
    let path = bed.root.path().join("run/crs.sock");
    let arguments = AdminListenerArguments {
        path: path.clone(),
        context: Arc::clone(&bed.context),
        connections: connections.clone(),
    };
    let (listener, ended) =
        AdminListener::spawn(None, AdminListener, arguments.clone()).await.unwrap();
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = BufReader::new(UnixStream::connect(&path).await.unwrap());
        assert!(matches!(ask(&mut stream).await, ReplyBody::Done(Reply::ShowVersion(_))));
        open.push(stream);
    }
    let mut one_more = BufReader::new(UnixStream::connect(&path).await.unwrap());
    let ReplyBody::Err(error) = ask(&mut one_more).await else { panic!() };
    assert!(error.is(Code::Busy), "{error:?}");
    drop(open);
    while connections.population() > 0 {
        tokio::task::yield_now().await;
    }
    let mut again = BufReader::new(UnixStream::connect(&path).await.unwrap());
    assert!(matches!(ask(&mut again).await, ReplyBody::Done(_)));
    listener.stop(None);
    ended.await.unwrap();
    assert!(!path.exists(), "a stopped node leaves no socket behind");
    connections.drain(std::time::Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_dead_nodes_socket_is_replaced_and_a_live_ones_is_not() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("crs.sock");
    drop(BlockingListener::bind(&path).unwrap());
    let live = bind(&path).unwrap();
    assert!(matches!(bind(&path), Err(BindError::InUse(_))));
    drop(live);
    assert!(bind(&path).is_ok());
}
