//! Writing frames. Fields are serialised straight behind the frame's head, without a second
//! buffer.

use serde::Serialize;

use super::op::{Event, Op};
use super::request::RequestId;
use crate::wire::{ErrorBody, ErrorCode};

/// `{"re":7,"ok":true,…fields of value…}`. `value` must serialise as an object.
pub fn encode_ok<T: Serialize>(id: RequestId, value: &T) -> String {
    splice(format!("{{\"re\":{},\"ok\":true", id.0), value)
        .unwrap_or_else(|| encode_error(Some(id), &ErrorBody::new(ErrorCode::Internal, "reply")))
}

/// `{"re":7,"ok":false,"err":{…}}`; without an id `"re":null`.
pub fn encode_error(id: Option<RequestId>, body: &ErrorBody) -> String {
    #[derive(Serialize)]
    struct Frame<'a> {
        re: Option<u64>,
        ok: bool,
        err: &'a ErrorBody,
    }
    serde_json::to_string(&Frame { re: id.map(|id| id.0), ok: false, err: body })
        .unwrap_or_else(|_| r#"{"re":null,"ok":false,"err":{"code":"internal","text":""}}"#.into())
}

/// `{"ev":"msg.new","seq":12,…fields…}`.
pub fn encode_event(seq: u64, event: &Event) -> String {
    let head = format!("{{\"ev\":\"{}\",\"seq\":{seq}", event.name());
    let frame = match event {
        Event::Welcome(fields) => splice(head, fields),
        Event::Unregistered(fields) => splice(head, fields),
        Event::CallState(fields) => splice(head, fields),
        Event::MessageNew(fields) => splice(head, fields),
        Event::MessageAcked(fields) => splice(head, fields),
        Event::UpdateOffer(fields) => splice(head, fields),
    };
    frame.unwrap_or_default()
}

/// `{"id":7,"op":"msg.post",…fields…}`: what a client sends.
pub fn encode_request(id: RequestId, op: &Op) -> String {
    let head = format!("{{\"id\":{},\"op\":\"{}\"", id.0, op.name().as_str());
    let frame = match op {
        Op::Attach(fields) => splice(head, fields),
        Op::Detach(fields) => splice(head, fields),
        Op::Bye(fields) => splice(head, fields),
        Op::Time(fields) => splice(head, fields),
        Op::Lookup(fields) => splice(head, fields),
        Op::Invite(fields) => splice(head, fields),
        Op::Ringing(fields) => splice(head, fields),
        Op::Answer(fields) => splice(head, fields),
        Op::Hangup(fields) => splice(head, fields),
        Op::Post(fields) => splice(head, fields),
        Op::Fetch(fields) => splice(head, fields),
        Op::Ack(fields) => splice(head, fields),
        Op::Alloc(fields) => splice(head, fields),
        Op::Refresh(fields) => splice(head, fields),
        Op::Free(fields) => splice(head, fields),
        Op::UpdateGet(fields) => splice(head, fields),
        Op::UpdateConfirm(fields) => splice(head, fields),
    };
    frame.unwrap_or_default()
}

/// `head` is an object's text without its closing brace; appends the fields of `value`. `None`
/// when `value` is not an object, which none of the wire types is.
fn splice<T: Serialize + ?Sized>(head: String, value: &T) -> Option<String> {
    let mut out = head.into_bytes();
    let joint = out.len();
    serde_json::to_writer(&mut out, value).ok()?;
    if out.get(joint) != Some(&b'{') {
        return None;
    }
    if out.get(joint + 1) == Some(&b'}') {
        out.truncate(joint);
        out.push(b'}');
    } else {
        out[joint] = b',';
    }
    String::from_utf8(out).ok()
}
