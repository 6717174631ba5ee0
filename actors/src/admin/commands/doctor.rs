//! `doctor`: the node's checks.

use crs_admin_api::command::doctor::{Reply, Request};

use crate::admin::{AdminContext, doctor};

/// With `--pool` every node's checks bear its name; until there are more nodes, this one's.
pub(super) async fn run(context: &AdminContext, request: &Request) -> Reply {
    let mut checks = doctor::checks(context, &request.only).await;
    if request.pool {
        checks.iter_mut().for_each(|check| check.node = Some(context.server()));
    }
    Reply::of(checks)
}
