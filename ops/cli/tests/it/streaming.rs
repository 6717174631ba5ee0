//! `trace`: lines as they come, until enough.

use crs_admin_api::Reply;
use crs_admin_api::command::trace;
use crs_admin_api::protocol::ReplyBody;
use crs_admin_api::trace::{DebugEvent, DroppedEvent, TraceItem};

use crate::fake::{FakeNode, encode, stderr, stdout};

const TIME: &str = "2026-11-21T08:00:00.000Z";

fn node(events: u64) -> FakeNode {
    FakeNode::raw(move |frame| {
        let mut bytes = encode(frame.id, ReplyBody::Done(Reply::Trace(trace::Reply {})));
        let dropped = TraceItem::Dropped(DroppedEvent { time: TIME.to_owned(), dropped: 7 });
        bytes.extend(encode(frame.id, ReplyBody::Item(dropped)));
        for n in 0..events {
            let item = TraceItem::Event(DebugEvent {
                module: "store".to_owned(),
                kind: "dbg".to_owned(),
                time: TIME.to_owned(),
                information: format!("event {n}"),
            });
            bytes.extend(encode(frame.id, ReplyBody::Item(item)));
        }
        bytes
    })
}

#[test]
fn a_trace_stops_after_the_count_and_tells_what_was_dropped() {
    let output = node(5).run("trace event --count 2");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        stdout(&output),
        format!("dropped,{TIME},7\nstore,dbg,{TIME},event 0\nstore,dbg,{TIME},event 1\n")
    );
}

#[test]
fn a_trace_stops_after_the_time() {
    let output = node(1).run("trace event --for 50ms -o json");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["trace"], &lines[0]["dropped"]), (&"dropped".into(), &7.into()));
    assert_eq!(lines[1]["information"], "event 0");
}
