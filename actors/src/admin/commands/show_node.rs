//! `show node`: from what this node knows by itself, so it answers without a leader.

use crs_admin_api::command::show_node::{NodeRow, Reply};
use crs_types::GroupId;

use crate::admin::AdminContext;
use crate::context::DrainState;

pub(super) fn run(context: &AdminContext) -> Reply {
    let status = context.store.status();
    let control = status.groups.iter().find(|group| group.group == GroupId::CONTROL);
    let leader = control.and_then(|group| group.leader);
    let role = match leader {
        Some(id) if id == context.node.id => "leader",
        Some(_) => "follower",
        None => "candidate",
    };
    let this = NodeRow {
        node: context.server(),
        role: role.to_owned(),
        version: context.node.version.clone(),
        commit: control.map_or(0, |group| group.applied),
        behind: control.map_or(0, |group| group.last_log.saturating_sub(group.applied)),
        last_seen: "now".to_owned(),
        free_bytes: status.free_bytes,
    };
    let next = match (context.node.drain_state(), leader) {
        (DrainState::Stopping | DrainState::Draining, _) => Some(
            "the node is draining: wait until it has ended; `systemctl status crs` tells"
                .to_owned(),
        ),
        (DrainState::Serving, None) => {
            Some("no leader: start the missing nodes, then `crs-cli doctor`".to_owned())
        }
        (DrainState::Serving, Some(_)) if status.disk_full => {
            Some("the disk is full: free space, then `crs-cli doctor --only disk`".to_owned())
        }
        (DrainState::Serving, Some(_)) => None,
    };
    Reply { nodes: vec![this], failed: Vec::new(), next }
}
