//! The protocol end of a connection: versions, garbage, long lines, parts, traces.

use std::sync::Arc;

use crs_admin_api::command::{create_account, reload_account, show_attach, show_version, trace};
use crs_admin_api::protocol::{LINE_MAX, ReplyBody, ReplyFrame, encode_request, parse_reply};
use crs_admin_api::{Code, Reply, Request, TraceItem};
use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::bed::{Bed, NOW};
use crate::trace::{DebugEvent, Filter, RING, TraceEvent, TraceSink, Traced};

async fn reply(stream: &mut BufReader<DuplexStream>) -> ReplyFrame {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await.unwrap();
    parse_reply(&line).unwrap()
}

fn version() -> Vec<u8> {
    encode_request(7, &Request::ShowVersion(show_version::Request {})).unwrap()
}

#[tokio::test]
async fn bad_lines_are_answered_and_the_connection_goes_on() {
    let bed = Bed::new();
    let (stream, _) = bed.converse();
    let mut stream = BufReader::new(stream);
    for (line, code) in [
        (&b"garbage\n"[..], Code::Malformed),
        (b"\n", Code::Malformed),
        (
            b"{\"v\":2,\"id\":5,\"req\":{\"cmd\":\"show version\",\"args\":{}}}\n",
            Code::VersionMismatch,
        ),
        (b"{\"v\":1,\"id\":5,\"req\":{\"cmd\":\"fly\",\"args\":{}}}\n", Code::UnknownCommand),
    ] {
        stream.get_mut().write_all(line).await.unwrap();
        let ReplyBody::Err(error) = reply(&mut stream).await.body else { panic!() };
        assert!(error.is(code), "{error:?}");
    }
    stream.get_mut().write_all(&version()).await.unwrap();
    let frame = reply(&mut stream).await;
    assert_eq!(frame.id, 7);
    assert!(matches!(frame.body, ReplyBody::Done(Reply::ShowVersion(_))));
}

#[tokio::test]
async fn an_over_long_line_is_refused_and_ends_the_connection() {
    let bed = Bed::new();
    let (stream, served) = bed.converse();
    let (reader, mut writer) = tokio::io::split(stream);
    let write = async move {
        // The other end stops reading: the pipe may break before all is written.
        let _ = writer.write_all(&vec![b'x'; LINE_MAX + 2]).await;
    };
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    let (_, read) = tokio::join!(write, reader.read_until(b'\n', &mut line));
    read.unwrap();
    let ReplyBody::Err(error) = parse_reply(&line).unwrap().body else { panic!() };
    assert!(error.is(Code::TooLong));
    served.await.unwrap();
}

#[tokio::test]
async fn long_lists_come_in_parts() {
    let bed = Bed::new();
    for n in 0..2100 {
        bed.attach("police", &format!("+4670{n:07}"), n).await;
    }
    let (stream, _) = bed.converse();
    let mut stream = BufReader::new(stream);
    let ask = Request::ShowAttach(show_attach::Request::default());
    stream.get_mut().write_all(&encode_request(1, &ask).unwrap()).await.unwrap();
    let mut rows = Vec::new();
    for _ in 0..2 {
        let ReplyBody::Part(Reply::ShowAttach(part)) = reply(&mut stream).await.body else {
            panic!()
        };
        rows.extend(part);
    }
    let ReplyBody::Done(Reply::ShowAttach(last)) = reply(&mut stream).await.body else { panic!() };
    rows.extend(last);
    assert_eq!(rows.len(), 2100);
    assert_eq!((rows[0].time, rows[0].uri.as_str()), (90, "+46700000000"));
}

fn debug(n: usize) -> TraceEvent {
    TraceEvent::Event(DebugEvent {
        time: NOW,
        module: "test".to_owned(),
        information: n.to_string(),
    })
}

#[tokio::test]
async fn a_trace_streams_events_and_says_what_was_dropped() {
    let bed = Bed::new();
    let (stream, served) = bed.converse();
    let mut stream = BufReader::new(stream);
    let ask = trace::Request { element: trace::Element::Event, verbose: false };
    let line = encode_request(4, &Request::Trace(ask)).unwrap();
    stream.get_mut().write_all(&line).await.unwrap();
    assert!(matches!(reply(&mut stream).await.body, ReplyBody::Done(Reply::Trace(_))));
    // Emitted in one go on the only thread: the ring overflows before anybody reads.
    (0..RING + 5).for_each(|n| bed.hub.emit(debug(n)));
    let ReplyBody::Item(TraceItem::Dropped(dropped)) = reply(&mut stream).await.body else {
        panic!()
    };
    assert_eq!(dropped.dropped, 5);
    let ReplyBody::Item(TraceItem::Event(event)) = reply(&mut stream).await.body else { panic!() };
    assert_eq!(event.information, "5");
    drop(stream);
    served.await.unwrap();
    assert_eq!(bed.hub.listeners(), 0, "the place is given back");
}

/// As every other command that names an account.
#[tokio::test]
async fn a_trace_of_a_client_of_no_account_is_refused() {
    let bed = Bed::new();
    let (stream, _) = bed.converse();
    let mut stream = BufReader::new(stream);
    let account = crs_types::AccountId::parse("nosuch").unwrap();
    let element = trace::Element::Client { account, uri: "+46701".parse().unwrap() };
    let ask = Request::Trace(trace::Request { element, verbose: false });
    stream.get_mut().write_all(&encode_request(4, &ask).unwrap()).await.unwrap();
    let ReplyBody::Err(error) = reply(&mut stream).await.body else { panic!() };
    assert_eq!(error.message, "there is no account nosuch");
    assert_eq!(bed.hub.listeners(), 0);
}

#[tokio::test]
async fn a_changing_command_is_a_system_event_that_a_trace_shows() {
    let bed = Bed::new();
    let listener = bed.hub.subscribe(Filter::Event).unwrap();
    let (stream, _) = bed.converse();
    let mut stream = BufReader::new(stream);
    let reload = Request::ReloadAccount(reload_account::Request {});
    for request in [Request::ShowVersion(show_version::Request {}), reload] {
        stream.get_mut().write_all(&encode_request(1, &request).unwrap()).await.unwrap();
        assert!(matches!(reply(&mut stream).await.body, ReplyBody::Done(_)));
    }
    let Some(Traced::Event(event)) = listener.try_next() else { panic!() };
    assert!(event.to_item().line(false).ends_with(",audit admin"));
    assert_eq!(listener.try_next(), None, "reading leaves no trace of that kind");
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed() {
    let bed = Bed::new();
    let (mut stream, served) = bed.converse();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    served.await.unwrap();
}

fn create() -> Request {
    let account = super::bed::account("police");
    let request = create_account::Request { account, secret: None, bytes: None, cms_key: None };
    Request::CreateAccount(request)
}

#[tokio::test(start_paused = true)]
async fn a_command_that_takes_too_long_is_given_up_by_name() {
    let bed = Bed::new();
    *bed.store.hangs.lock().unwrap() = true;
    let (stream, _) = bed.converse();
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(&encode_request(1, &create()).unwrap()).await.unwrap();
    let ReplyBody::Err(error) = reply(&mut stream).await.body else { panic!() };
    assert!(error.is(Code::Timeout), "{error:?}");
    // The conversation goes on.
    stream.get_mut().write_all(&version()).await.unwrap();
    assert!(matches!(reply(&mut stream).await.body, ReplyBody::Done(_)));
}

/// The change is durable, so it is done, even when this node takes too long to load it.
#[tokio::test(start_paused = true)]
async fn loading_a_change_is_waited_for_no_longer_than_its_limit() {
    let bed = Bed::new();
    *bed.store.lags.lock().unwrap() = true;
    let began = tokio::time::Instant::now();
    assert!(bed.ask(create()).await.is_ok());
    let took = began.elapsed().as_secs();
    assert!((45..=46).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn an_operator_who_does_not_read_is_cut() {
    let bed = Bed::new();
    let (mut stream, served) = bed.converse();
    let ask = trace::Request { element: trace::Element::Event, verbose: false };
    stream.write_all(&encode_request(4, &Request::Trace(ask)).unwrap()).await.unwrap();
    while bed.hub.listeners() == 0 {
        tokio::task::yield_now().await;
    }
    (0..RING).for_each(|n| bed.hub.emit(debug(n)));
    served.await.unwrap();
    assert_eq!(bed.hub.listeners(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bed = Bed::new();
            let (stream, served) = bed.converse();
            let (mut reader, mut writer) = tokio::io::split(stream);
            let mut answers = Vec::new();
            let write = async {
                writer.write_all(&bytes).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            let (_, read) = tokio::join!(write, reader.read_to_end(&mut answers));
            read.unwrap();
            served.await.unwrap();
            assert_eq!(Arc::strong_count(&bed.context), 1);
        });
    }
}
