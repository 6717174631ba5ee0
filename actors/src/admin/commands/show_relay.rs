//! `show relay`.

use crs_admin_api::command::show_relay::{Received, Reply, Sent, TypeRow};
use crs_admin_api::{AdminError, Code};
use crs_relay::RelayType;

use crate::admin::AdminContext;

pub(super) fn run(context: &AdminContext) -> Result<Reply, AdminError> {
    let relay = context.relay.as_ref().ok_or_else(no_relay)?;
    let counters = relay.counters();
    let row = |kind: RelayType| {
        let of = counters.types[kind.index()];
        TypeRow {
            kind: kind.as_str().to_owned(),
            rx: of.rx,
            rx_bytes: of.rx_bytes,
            tx: of.tx,
            tx_bytes: of.tx_bytes,
        }
    };
    Ok(Reply {
        types: RelayType::ALL.into_iter().map(row).collect(),
        sent: Sent {
            packets: counters.sent,
            bytes: counters.sent_bytes,
            error_no_dest: counters.sent_no_dest,
            error: counters.sent_error,
        },
        received: Received {
            packets: counters.received,
            bytes: counters.received_bytes,
            error_too_short: counters.received_too_short,
            error_too_long: counters.received_too_long,
        },
    })
}

pub(super) fn no_relay() -> AdminError {
    AdminError::new(Code::Unavailable, "this node runs without a media relay")
}
