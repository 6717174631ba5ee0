//! `show version`.

use crs_admin_api::command::show_version::{Reply, VersionRow};
use crs_admin_api::protocol::PROTOCOL_VERSION;

use crate::admin::AdminContext;

pub(super) fn run(context: &AdminContext) -> Reply {
    vec![VersionRow {
        server: context.server(),
        version: context.node.version.clone(),
        admin_protocol: PROTOCOL_VERSION,
        uptime: context.node.clock.mono().since(context.facts.started).as_secs(),
    }]
}
