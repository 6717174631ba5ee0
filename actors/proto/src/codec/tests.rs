//! Frames: what is read, what is refused and how the refusal is worded, that nothing panics.

use crs_types::limits::{ACK_MAX, BODY_MAX, FRAME_MAX, OFFER_MAX};
use proptest::prelude::*;

use super::*;
use crate::wire::life::{Role, TimeRequest};
use crate::wire::message::{AckedEvent, New, Posted};
use crate::wire::{Bytes64, ErrorBody, ErrorCode, message};

const MID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn parse(text: &str) -> Result<Request, Refusal> {
    parse_request(text)
}

fn refused(text: &str) -> (Option<u64>, ErrorCode, String) {
    let refusal = parse(text).unwrap_err();
    (refusal.id.map(|id| id.0), refusal.body.code, refusal.body.text)
}

fn post(body: &str, more: &str) -> String {
    format!(r#"{{"id":7,"op":"msg.post","mid":"{MID}","to":"+46701","body":"{body}"{more}}}"#)
}

#[test]
fn fields_may_come_in_any_order_and_unknown_ones_are_ignored() {
    let text = format!(
        r#" {{"to":"0046701", "x":{{"id":[1,2,{{}}]}}, "body":"aGk=", "op":"msg.post", "y":null,
             "mid":"{MID}", "id":7}} "#
    );
    let request = parse(&text).unwrap();
    assert_eq!(request.id, RequestId(7));
    let Op::Post(post) = request.op else { panic!("{:?}", request.op) };
    assert_eq!((post.to.as_str(), post.body), ("tel:+46701", Bytes64(b"hi".to_vec())));
}

#[test]
fn every_op_is_known_by_its_name() {
    for name in OpName::ALL {
        assert_eq!(OpName::parse(name.as_str()), Some(*name));
        let text = format!(r#"{{"id":1,"op":"{}"}}"#, name.as_str());
        match parse(&text) {
            Ok(request) => assert_eq!(request.op.name(), *name),
            Err(refusal) => {
                assert_eq!(refusal.body.code, ErrorCode::Malformed);
                assert!(refusal.body.text.contains("missing field `"), "{}", refusal.body.text);
                assert_eq!(refusal.id, Some(RequestId(1)));
            }
        }
    }
    let (id, code, text) = refused(r#"{"id":3,"op":"conf.join"}"#);
    assert_eq!((id, code), (Some(3), ErrorCode::UnknownOp));
    assert!(text.contains("conf.join"));
}

#[test]
fn malformed_frames_name_the_field_and_keep_the_id() {
    for (text, id, word) in [
        ("", None, "EOF"),
        ("nonsense", None, "expected"),
        ("[]", None, "an object with `id` and `op`"),
        ("7", None, "an object with `id` and `op`"),
        (r#"{"op":"time"}"#, None, "field `id` is missing"),
        (r#"{"id":1}"#, Some(1), "field `op` is missing"),
        (r#"{"id":"1","op":"time"}"#, None, "field `id`"),
        (r#"{"id":1.5,"op":"time"}"#, None, "field `id`"),
        (r#"{"id":-1,"op":"time"}"#, None, "field `id`"),
        (r#"{"id":9007199254740993,"op":"time"}"#, None, "2^53"),
        (r#"{"id":1e400,"op":"time"}"#, None, "field `id`"),
        (r#"{"id":1,"id":2,"op":"time"}"#, None, "duplicate field `id`"),
        (r#"{"id":1,"op":"time","op":"bye"}"#, Some(1), "duplicate field `op`"),
        (r#"{"id":1,"op":7}"#, Some(1), "field `op`"),
        (r#"{"id":1,"op":"time"} x"#, Some(1), "trailing"),
        (r#"{"id":1,"op":"time""#, Some(1), "EOF"),
        (r#"{"id":1,"op":"time","x":1e999}"#, Some(1), "field `x`"),
        (r#"{"id":1,"op":"lookup","uri":7}"#, Some(1), "field `uri`"),
        (r#"{"id":1,"op":"lookup","uri":"bad"}"#, Some(1), "field `uri`"),
        (r#"{"id":1,"op":"lookup","uri":"+46701","uri":"+46702"}"#, Some(1), "duplicate field"),
        (r#"{"id":1,"op":"msg.ack","n":[1,"2"]}"#, Some(1), "field `n`"),
        (r#"{"id":1,"op":"attach","role":"boss","device":"a"}"#, Some(1), "field `role`"),
        (r#"{"id":1,"op":"attach","role":"primary","device":"a b"}"#, Some(1), "field `device`"),
        (
            r#"{"id":1,"op":"attach","role":"primary","device":"a\u0000"}"#,
            Some(1),
            "field `device`",
        ),
        (
            r#"{"id":1,"op":"attach","role":"primary","device":"a","client_info":["by","position","1"]}"#,
            Some(1),
            "field `client_info`",
        ),
        (r#"{"id":1,"op":"lookup","uri":"\ud800"}"#, Some(1), "field `uri`"),
    ] {
        let (got, code, why) = refused(text);
        assert_eq!((got, code), (id, ErrorCode::Malformed), "{text}: {why}");
        assert!(why.contains(word), "{text}: {why}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| {
        format!(r#"{{"id":1,"op":"time","x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
    };
    assert!(parse(&nested(DEPTH_MAX - 1)).is_ok());
    let (id, code, why) = refused(&nested(DEPTH_MAX));
    assert_eq!((id, code), (Some(1), ErrorCode::Malformed));
    assert!(why.contains("nested deeper than 16"), "{why}");
    assert_eq!(refused(&nested(40_000)).1, ErrorCode::Malformed);
    assert_eq!(refused(&"[".repeat(FRAME_MAX)).1, ErrorCode::Malformed);
    assert_eq!(refused(&r#"{"a":"#.repeat(FRAME_MAX / 5)).1, ErrorCode::Malformed);
}

#[test]
fn sizes_and_counts_are_limited() {
    let body = |n: usize| base64(&vec![7; n]);
    assert!(parse(&post(&body(BODY_MAX), "")).is_ok());
    assert!(post(&body(BODY_MAX), "").len() < FRAME_MAX);
    assert_eq!(refused(&post(&body(BODY_MAX + 1), "")).1, ErrorCode::TooLarge);
    let invite = |n: usize| {
        let offer = body(n);
        format!(
            r#"{{"id":1,"op":"call.invite","session":"{MID}","to":"+46701","offer":"{offer}"}}"#
        )
    };
    assert!(parse(&invite(OFFER_MAX)).is_ok());
    assert_eq!(refused(&invite(OFFER_MAX + 1)).1, ErrorCode::TooLarge);
    let ack = |n: usize| format!(r#"{{"id":1,"op":"msg.ack","n":{:?}}}"#, vec![1; n]);
    assert!(parse(&ack(ACK_MAX)).is_ok());
    for n in [0, ACK_MAX + 1] {
        assert_eq!(refused(&ack(n)).1, ErrorCode::BadArgument);
    }
    let info = |text: &str| {
        format!(
            r#"{{"id":1,"op":"attach","role":"primary","device":"d","client_info":{{"os":"{text}"}}}}"#
        )
    };
    assert!(parse(&info(&"x".repeat(CLIENT_INFO_MAX))).is_ok());
    for text in ["x".repeat(CLIENT_INFO_MAX + 1), "a\\u0000b".into(), "\\n".into()] {
        assert_eq!(refused(&info(&text)).1, ErrorCode::BadArgument);
    }
    let resume = |n: usize| {
        let list = vec![format!("{MID:?}"); n].join(",");
        format!(r#"{{"id":1,"op":"attach","role":"primary","device":"d","resume":[{list}]}}"#)
    };
    assert!(parse(&resume(RESUME_MAX)).is_ok());
    assert_eq!(refused(&resume(RESUME_MAX + 1)).1, ErrorCode::BadArgument);
    assert_eq!(refused(&post("", r#","expires_ms":9007199254740993"#)).1, ErrorCode::BadArgument);
}

#[test]
fn hangups_use_the_words_for_clients_only() {
    let hangup = |more: &str| format!(r#"{{"id":1,"op":"call.hangup","session":"{MID}"{more}}}"#);
    assert!(parse(&hangup("")).is_ok());
    assert!(parse(&hangup(r#","reason":"incompatible","detail":"no-codec""#)).is_ok());
    assert_eq!(refused(&hangup(r#","reason":"operator""#)).1, ErrorCode::BadArgument);
    assert_eq!(refused(&hangup(r#","detail":"silence""#)).1, ErrorCode::BadArgument);
    assert_eq!(refused(&hangup(r#","detail":"own words""#)).1, ErrorCode::BadArgument);
    assert_eq!(refused(&hangup(r#","reason":"own-words""#)).1, ErrorCode::Malformed);
}

#[test]
fn replies_and_events_have_the_documented_layout() {
    let posted = Posted { mid: MID.parse().unwrap(), copies: 1, duplicate: false };
    assert_eq!(
        encode_ok(RequestId(7), &posted),
        format!(r#"{{"re":7,"ok":true,"mid":"{MID}","copies":1,"duplicate":false}}"#)
    );
    assert_eq!(encode_ok(RequestId(8), &TimeRequest {}), r#"{"re":8,"ok":true}"#);
    assert_eq!(
        encode_error(None, &ErrorBody::retry(ErrorCode::RateLimited, "slow", 5)),
        r#"{"re":null,"ok":false,"err":{"code":"rate-limited","text":"slow","retry_ms":5}}"#
    );
    assert_eq!(
        encode_event(12, &Event::MessageNew(New { newest: 4 })),
        r#"{"ev":"msg.new","seq":12,"newest":4}"#
    );
}

#[test]
fn clients_read_what_servers_write() {
    let posted = Posted { mid: MID.parse().unwrap(), copies: 1, duplicate: true };
    let frame = parse_server_frame(&encode_ok(RequestId(7), &posted)).unwrap();
    let ServerFrame::Reply { re: Some(RequestId(7)), result: Ok(fields) } = frame else {
        panic!("{frame:?}")
    };
    assert_eq!(fields.parse::<Posted>(), Ok(posted));
    assert!(fields.parse::<message::Fetched>().is_err());
    let error = ErrorBody::new(ErrorCode::Gone, "no");
    assert_eq!(
        parse_server_frame(&encode_error(None, &error)),
        Ok(ServerFrame::Reply { re: None, result: Err(error) })
    );
    let acked = AckedEvent {
        mid: MID.parse().unwrap(),
        by: crs_types::Uri::parse("+46701").unwrap(),
        n: 3,
    };
    let event = Event::MessageAcked(acked);
    assert_eq!(
        parse_server_frame(&encode_event(2, &event)),
        Ok(ServerFrame::Event { seq: 2, event })
    );
    assert_eq!(
        parse_server_frame(r#"{"ev":"later.thing","seq":3,"x":1}"#),
        Ok(ServerFrame::UnknownEvent { seq: 3, name: "later.thing".into() })
    );
    for bad in ["", "{}", r#"{"re":1}"#, r#"{"ev":"msg.new"}"#, r#"{"re":1,"ok":false}"#] {
        assert!(parse_server_frame(bad).is_err(), "{bad}");
    }
}

#[test]
fn requests_round_trip() {
    let op = Op::Post(message::Post {
        mid: MID.parse().unwrap(),
        to: crs_types::Uri::parse("+46701").unwrap(),
        body: Bytes64(vec![0, 255, 7]),
        expires_ms: Some(5),
    });
    let text = encode_request(RequestId(1), &op);
    assert_eq!(parse(&text), Ok(Request { id: RequestId(1), op }));
    let Ok(Request { op: Op::Attach(attach), .. }) =
        parse(r#"{"id":1,"op":"attach","role":"secondary","device":"d"}"#)
    else {
        panic!()
    };
    assert_eq!(attach.role, Role::Secondary);
    let op = Op::Attach(attach);
    assert_eq!(parse(&encode_request(RequestId(2), &op)), Ok(Request { id: RequestId(2), op }));
}

fn base64(bytes: &[u8]) -> String {
    serde_json::to_string(&Bytes64(bytes.to_vec())).unwrap().trim_matches('"').to_owned()
}

proptest! {
    #[test]
    fn any_text_is_survived(text in ".{0,200}") {
        let _ = parse(&text);
        let _ = parse_server_frame(&text);
    }

    #[test]
    fn any_damage_of_a_frame_is_survived(at in 0usize..120, byte in any::<u8>(), cut in 0usize..120) {
        let good = post("aGVsbG8=", r#","expires_ms":5"#);
        let mut bytes = good.into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(cut.max(1));
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = parse(text);
        }
    }

    #[test]
    fn bodies_round_trip(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let request = parse(&post(&base64(&body), "")).unwrap();
        let Op::Post(post) = request.op else { panic!() };
        prop_assert_eq!(post.body.0, body);
    }
}
