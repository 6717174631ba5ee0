//! Every example frame of docs/protocol.md is read by the codec and written again unchanged, and
//! every word of a closed list is explained there.

use std::collections::BTreeSet;
use std::path::Path;

use crs_proto::codec::{
    Event, Fields, Op, OpName, ServerFrame, encode_event, encode_request, parse_request,
    parse_server_frame,
};
use crs_proto::connection::Close;
use crs_proto::session::DetailWord;
use crs_proto::wire::{call, keys, life, lookup, message, relay};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    std::fs::read_to_string(path).expect("docs/protocol.md is there")
}

/// The text of each fence with this info string, with its offset in the document.
fn fences<'a>(text: &'a str, info: &str) -> Vec<(usize, &'a str)> {
    let open = format!("```{info}\n");
    text.match_indices(&open)
        .map(|(at, _)| {
            let start = at + open.len();
            let length = text[start..].find("```").expect("a fence is closed");
            (at, text[start..start + length].trim())
        })
        .collect()
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn requests_in_the_document_are_requests() {
    let text = document();
    let mut seen = BTreeSet::new();
    for (_, example) in fences(&text, "json client") {
        let request = parse_request(example).unwrap_or_else(|e| panic!("{e:?}: {example}"));
        seen.insert(request.op.name().as_str());
        // Defaults may be written out, nothing else may differ.
        let again = value(&encode_request(request.id, &request.op));
        for (key, field) in value(example).as_object().expect("an object") {
            if key != "client_info" {
                assert_eq!(again.get(key), Some(field), "{key} of {example}");
            }
        }
    }
    let all: BTreeSet<_> = OpName::ALL.iter().map(|name| name.as_str()).collect();
    assert_eq!(seen, all, "every op has an example");
}

#[test]
fn replies_and_events_in_the_document_are_what_the_server_writes() {
    let text = document();
    let requests = fences(&text, "json client");
    let mut events = BTreeSet::new();
    for (at, example) in fences(&text, "json server") {
        match parse_server_frame(example).unwrap_or_else(|e| panic!("{e}: {example}")) {
            ServerFrame::Event { seq, event } => {
                assert_eq!(value(&encode_event(seq, &event)), value(example));
                events.insert(event.name());
            }
            ServerFrame::UnknownEvent { name, .. } => panic!("unknown event {name}"),
            ServerFrame::Reply { re, result: Ok(fields) } => {
                let (_, request) =
                    requests.iter().rfind(|(before, _)| *before < at).expect("a request before");
                let request = parse_request(request).expect("checked elsewhere");
                assert_eq!(re, Some(request.id), "{example}");
                check_reply(&request.op, &fields, example);
            }
            ServerFrame::Reply { result: Err(_), .. } => {}
        }
    }
    let expected = ["call.state", "msg.acked", "msg.new", "unregistered", "upd.offer", "welcome"];
    assert!(events.iter().eq(&expected), "{events:?}");
    let _: fn(Box<life::Welcome>) -> Event = Event::Welcome;
}

fn check_reply(op: &Op, fields: &Fields, example: &str) {
    match op {
        Op::Attach(_) => same::<life::Attached>(fields, example),
        Op::Time(_) => same::<life::TimeReply>(fields, example),
        Op::Lookup(_) => same::<lookup::Found>(fields, example),
        Op::Invite(_) | Op::Ringing(_) | Op::Answer(_) | Op::Hangup(_) => {
            same::<call::CallState>(fields, example);
        }
        Op::Post(_) => same::<message::Posted>(fields, example),
        Op::Fetch(_) => same::<message::Fetched>(fields, example),
        Op::Ack(_) => same::<message::Acked>(fields, example),
        Op::Alloc(_) | Op::Refresh(_) => same::<relay::Leg>(fields, example),
        Op::UpdateGet(_) => same::<keys::UpdatePackage>(fields, example),
        Op::Detach(_) | Op::Bye(_) | Op::Free(_) | Op::UpdateConfirm(_) => {
            assert_eq!(value(example).as_object().map(serde_json::Map::len), Some(2), "{example}");
        }
    }
}

fn same<T: DeserializeOwned + Serialize>(fields: &Fields, example: &str) {
    let parsed: T = fields.parse().unwrap_or_else(|e| panic!("{e}: {example}"));
    let written = serde_json::to_value(&parsed).expect("wire types serialise");
    let mut expected = value(example);
    let object = expected.as_object_mut().expect("an object");
    object.remove("re");
    object.remove("ok");
    assert_eq!(written, expected);
}

#[test]
fn every_word_of_the_closed_lists_is_in_the_document() {
    let text = document();
    let mut words: Vec<String> = Vec::new();
    collect_words(&crs_proto::schema::document(), &mut words);
    assert!(words.len() > 60, "{}", words.len());
    words.extend(DetailWord::ALL.iter().map(|word| word.as_str().to_owned()));
    for word in words {
        assert!(
            text.contains(&format!("`{word}`")) || text.contains(&format!("\"{word}\"")),
            "{word}"
        );
    }
    for close in [
        Close::Bye,
        Close::GoingAway,
        Close::Protocol,
        Close::Binary,
        Close::NotUtf8,
        Close::TooBig,
        Close::Flood,
        Close::TooManyFailed,
        Close::KeepaliveTimeout,
        Close::Purged,
        Close::Denied,
    ] {
        let row = format!("| {} | `{}` |", close.code(), close.reason());
        assert!(text.contains(&row), "{row}");
    }
}

/// All strings of `enum` and `const` in a schema.
fn collect_words(schema: &Value, words: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            for (key, inner) in map {
                let list = inner.as_array().filter(|_| key == "enum");
                let one = inner.as_str().filter(|_| key == "const");
                words.extend(
                    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned),
                );
                words.extend(one.map(str::to_owned));
                collect_words(inner, words);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| collect_words(inner, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
