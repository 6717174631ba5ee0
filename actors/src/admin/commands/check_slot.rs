//! `check slot`.

use crs_admin_api::command::check_slot::{Reply, Request};
use crs_types::Slot;

use crate::admin::AdminContext;

pub(super) fn run(context: &AdminContext, request: &Request) -> Reply {
    let group = context.store.group_of(&request.uri);
    let status = context.store.status();
    let found = status.groups.iter().find(|status| status.group == group);
    let leader = found.and_then(|status| status.leader).map(|id| context.name_of(id));
    let replicas = found.map(|status| status.voters.clone()).unwrap_or_default();
    Reply {
        uri: request.uri.to_string(),
        slot: Slot::of(&request.uri).number(),
        group: group.0,
        leader: leader.unwrap_or_else(|| "none".to_owned()),
        replicas: replicas.into_iter().map(|id| context.name_of(id)).collect(),
    }
}
