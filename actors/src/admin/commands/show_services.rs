//! `show services`: the services of this node.

use crs_admin_api::command::show_services::{Reply, ServiceRow, Status};
use crs_types::GroupId;

use crate::admin::AdminContext;
use crate::context::DrainState;

pub(super) fn run(context: &AdminContext) -> Reply {
    let status = context.store.status();
    let led = |mailbox: bool| {
        let mut groups =
            status.groups.iter().filter(|g| (g.group != GroupId::CONTROL) == mailbox).peekable();
        groups.peek().is_some() && groups.all(|group| group.leader.is_some())
    };
    // A replica somewhere else: with one voter there is none.
    let replicated = status.groups.iter().all(|group| group.voters.len() > 1);
    let serving = context.node.drain_state() != DrainState::Stopping;
    let relaying = context.relay.as_ref().is_some_and(|relay| relay.running());
    [
        ("crs", serving),
        ("crs_relay", relaying),
        ("store_control", led(false)),
        ("store_mailbox", led(true)),
        ("store_backup", replicated),
    ]
    .into_iter()
    .map(|(service, active)| ServiceRow {
        server: context.server(),
        service: service.to_owned(),
        status: if active { Status::Active } else { Status::Inactive },
    })
    .collect()
}
