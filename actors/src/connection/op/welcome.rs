//! Event `welcome`: the first frame of the server.

use crs_proto::codec::Event;
use crs_proto::connection::CertificateTerms;
use crs_proto::wire::life::{Limits, Welcome};
use crs_types::limits::{BODY_MAX, FRAME_MAX, OFFER_MAX};

use crate::connection::state::State;

/// A session is kept this long for its client to come back (Q-16, client-lost).
const RESUME_MS: u64 = 30_000;

pub(in crate::connection) fn send(state: &mut State) {
    let config = state.config();
    let welcome = Welcome {
        protocol: crs_proto::SUBPROTOCOL.to_owned(),
        server: format!("crs/{}", state.context.version),
        node: state.context.name.to_string(),
        features: super::attach::FEATURES.iter().map(|word| (*word).to_owned()).collect(),
        limits: Limits {
            frame: FRAME_MAX as u64,
            body: BODY_MAX as u64,
            offer: OFFER_MAX as u64,
            in_flight: u64::from(config.in_flight),
            keep_alive_ms: u64::try_from(config.keep_alive.interval.as_millis()).unwrap_or(0),
            resume_ms: RESUME_MS,
        },
        time: state.context.clock.now(),
        account: state.identity.account.clone(),
        uri: state.identity.uri.clone(),
        update_only: matches!(state.core.terms(), CertificateTerms::UpdateOnly),
    };
    state.event(&Event::Welcome(Box::new(welcome)));
}
