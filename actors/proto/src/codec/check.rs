//! Limits of form that the types alone do not hold: sizes, counts, closed word lists.

use crs_types::limits::{ACK_MAX, BODY_MAX, OFFER_MAX, WIRE_INTEGER_MAX};

use super::op::Op;
use crate::session::DetailWord;
use crate::wire::call::Hangup;
use crate::wire::life::{Attach, ClientInfo};
use crate::wire::{ErrorBody, ErrorCode};

/// Longest text of `client_info` in bytes.
pub const CLIENT_INFO_MAX: usize = 64;
/// Most sessions in `resume`.
pub const RESUME_MAX: usize = 32;

pub(super) fn check(op: &Op) -> Result<(), ErrorBody> {
    match op {
        Op::Attach(attach) => check_attach(attach),
        Op::Invite(invite) => at_most("offer", invite.offer.0.len(), OFFER_MAX),
        Op::Answer(answer) => at_most("answer", answer.answer.0.len(), OFFER_MAX),
        Op::Hangup(hangup) => check_hangup(hangup),
        Op::Post(post) => {
            at_most("body", post.body.0.len(), BODY_MAX)?;
            integer("expires_ms", post.expires_ms.unwrap_or(0))
        }
        Op::Fetch(fetch) => {
            integer("after", fetch.after)?;
            integer("max_bytes", fetch.max_bytes.unwrap_or(0))
        }
        Op::Ack(ack) => {
            if ack.n.is_empty() || ack.n.len() > ACK_MAX {
                return Err(bad(format!("`n` holds 1 to {ACK_MAX} numbers, not {}", ack.n.len())));
            }
            ack.n.iter().try_for_each(|&n| integer("n", n))
        }
        Op::Refresh(refresh) => integer("leg", refresh.leg),
        Op::Free(free) => integer("leg", free.leg),
        Op::UpdateConfirm(confirm) => integer("serial", confirm.serial),
        Op::Detach(_)
        | Op::Bye(_)
        | Op::Time(_)
        | Op::Lookup(_)
        | Op::Ringing(_)
        | Op::Alloc(_)
        | Op::UpdateGet(_) => Ok(()),
    }
}

fn check_attach(attach: &Attach) -> Result<(), ErrorBody> {
    if attach.resume.len() > RESUME_MAX {
        return Err(bad(format!("`resume` holds at most {RESUME_MAX} sessions")));
    }
    let Some(info) = &attach.client_info else { return Ok(()) };
    let ClientInfo { version, os, os_version, time, scan_time } = info;
    for (name, text) in [("version", version), ("os", os), ("os_version", os_version)] {
        if text.len() > CLIENT_INFO_MAX || text.chars().any(char::is_control) {
            return Err(bad(format!(
                "`client_info.{name}` has at most {CLIENT_INFO_MAX} bytes without control characters"
            )));
        }
    }
    integer("client_info.time", time.unwrap_or(0))?;
    integer("client_info.scan_time", scan_time.unwrap_or(0))
}

fn check_hangup(hangup: &Hangup) -> Result<(), ErrorBody> {
    if !hangup.reason.is_for_clients() {
        return Err(bad("`reason` is one that only the server may give".to_owned()));
    }
    match &hangup.detail {
        Some(word) if DetailWord::parse(word).is_none_or(|word| !word.is_for_clients()) => {
            Err(bad("`detail` is not one of the documented words for clients".to_owned()))
        }
        Some(_) | None => Ok(()),
    }
}

fn at_most(field: &str, length: usize, limit: usize) -> Result<(), ErrorBody> {
    if length > limit {
        let text = format!("`{field}` has {length} bytes, at most {limit} are accepted");
        return Err(ErrorBody::new(ErrorCode::TooLarge, text));
    }
    Ok(())
}

fn integer(field: &str, value: u64) -> Result<(), ErrorBody> {
    if value > WIRE_INTEGER_MAX {
        return Err(bad(format!("`{field}` is at most 2^53")));
    }
    Ok(())
}

fn bad(text: String) -> ErrorBody {
    ErrorBody::new(ErrorCode::BadArgument, text)
}
