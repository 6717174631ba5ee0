//! Frames round trip; versions, lengths and garbage are refused by name.

use proptest::prelude::*;

use super::*;
use crate::command::{show_attach, show_version};

fn request() -> Request {
    Request::ShowVersion(show_version::Request {})
}

#[test]
fn requests_and_replies_round_trip() {
    let bytes = encode_request(7, &request()).unwrap();
    assert_eq!(bytes.last(), Some(&b'\n'));
    let frame = parse_request(&bytes[..bytes.len() - 1]).unwrap();
    assert_eq!((frame.id, frame.req), (7, request()));
    let error = AdminError::new(Code::NoQuorum, "no leader");
    for body in [
        ReplyBody::Part(Reply::ShowAttach(Vec::new())),
        ReplyBody::Done(Reply::ShowSession(Vec::new())),
        ReplyBody::Err(error),
    ] {
        let frame = ReplyFrame { id: 3, body };
        let bytes = encode_reply(&frame).unwrap();
        assert_eq!(parse_reply(&bytes), Ok(frame));
    }
}

#[test]
fn the_wire_form_is_what_the_documentation_says() {
    let bytes = encode_request(7, &Request::ShowAttach(show_attach::Request::default())).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(
        text,
        "{\"v\":1,\"id\":7,\"req\":{\"cmd\":\"show attach\",\"args\":{\"account\":null}}}\n"
    );
}

#[test]
fn another_version_is_refused_by_name_and_keeps_its_id() {
    let (id, error) =
        parse_request(br#"{"v":2,"id":9,"req":{"cmd":"fly","args":{"new":1}}}"#).unwrap_err();
    assert_eq!(id, 9);
    assert!(error.is(Code::VersionMismatch));
    assert!(error.message.contains("version 2") && error.message.contains("version 1"));
    let error = parse_reply(br#"{"v":3,"id":1,"done":{}}"#).unwrap_err();
    assert!(error.is(Code::VersionMismatch), "{error:?}");
}

#[test]
fn unknown_commands_and_malformed_lines_are_told_apart() {
    let (_, error) = parse_request(br#"{"v":1,"id":1,"req":{"cmd":"fly","args":{}}}"#).unwrap_err();
    assert!(error.is(Code::UnknownCommand));
    assert!(error.message.contains("\"fly\""));
    for line in [&b""[..], b"{", b"[]", b"null", b"{\"v\":\"1\"}", b"\xff\xfe", b"{\"v\":1}"] {
        let (_, error) = parse_request(line).unwrap_err();
        assert!(error.is(Code::Malformed), "{error:?}");
    }
}

#[test]
fn a_bad_value_says_what_was_expected() {
    let line = br#"{"v":1,"id":1,"req":{"cmd":"check slot","args":{"uri":"46"}}}"#;
    let (_, error) = parse_request(line).unwrap_err();
    assert!(error.message.contains("expected a number such as +46701234567"), "{error}");
}

#[test]
fn over_long_lines_are_refused_at_the_limit() {
    let mut line = br#"{"v":1,"id":1,"req":{"cmd":"show version","args":{}}}"#.to_vec();
    line.resize(LINE_MAX, b' ');
    assert!(parse_request(&line).is_ok());
    line.push(b' ');
    assert!(parse_request(&line).unwrap_err().1.is(Code::TooLong));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse_request(&bytes);
        let _ = parse_reply(&bytes);
    }

    #[test]
    fn damaged_frames_never_panic(at in 0usize..60, byte in any::<u8>()) {
        let mut bytes = encode_request(1, &request()).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = parse_request(&bytes);
    }
}
