//! Stored sessions: refused by name, or a session that lives on and stores as the same record.
#![no_main]

use std::time::Duration;

use crs_proto::connection::Now;
use crs_proto::session::{Effect, Input, RECORD_VERSION, Session, SessionConfig};
use crs_types::{Mono, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let mut now = Now { mono: Mono::from_micros(1 << 40), wall: Timestamp::from_millis(1 << 40) };
    let config = SessionConfig::default();
    let record = [&[RECORD_VERSION.0], payload].concat();
    let Ok(mut session) = Session::restore(&config, &record, now) else { return };
    let saved = session.save(now);
    if !saved.is_empty() && saved.len() <= crs_proto::session::RECORD_MAX {
        let again = Session::restore(&config, &saved, now).expect("our own writing");
        assert_eq!((again.save(now), again.summary()), (saved, session.summary()));
    }
    // A session always ends: at each deadline it comes a step further.
    for _ in 0..8 {
        let Some(deadline) = session.next_deadline(&config) else { return };
        now.mono = now.mono.max(deadline).plus(Duration::from_millis(1));
        let effects = session.handle(&config, Input::Tick, now);
        if effects.contains(&Effect::Expired) {
            return;
        }
    }
    panic!("a session without an end: {:?}", session.summary());
});
