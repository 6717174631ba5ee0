//! `show system`: modules of this node and the slots they handle.

use crs_admin_api::command::show_system::{Reply, SystemRow};
use crs_storage::store::GroupStatus;
use crs_types::GroupId;
use crs_types::slot::SLOTS;

use crate::admin::AdminContext;

pub(super) fn run(context: &AdminContext) -> Reply {
    let all = format!("0-{}", SLOTS - 1);
    let row = |module: &str, slots: String| SystemRow {
        server: context.server(),
        process: format!("app:{module}"),
        pid: std::process::id(),
        slots,
    };
    let status = context.store.status();
    let mailboxes: Vec<&GroupStatus> =
        status.groups.iter().filter(|group| group.group != GroupId::CONTROL).collect();
    let here = |group: &GroupStatus| group.leader == Some(context.node.id);
    let count = mailboxes.len();
    let ranges: Vec<String> =
        mailboxes.iter().filter(|group| here(group)).map(|g| range(g.group, count)).collect();
    vec![
        row("admin", "-".to_owned()),
        row("attach", all.clone()),
        row("message", if ranges.is_empty() { "-".to_owned() } else { ranges.join(",") }),
        row("session", all),
    ]
}

/// The slots of a mailbox group, the inverse of [`crs_types::Slot::group`].
fn range(group: GroupId, groups: usize) -> String {
    let groups = u16::try_from(groups).unwrap_or(u16::MAX).max(1);
    let per_group = u32::from(SLOTS.div_ceil(groups));
    let first = u32::from(group.0.saturating_sub(1)) * per_group;
    let last = (first + per_group).min(u32::from(SLOTS)) - 1;
    format!("{first}-{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_placement() {
        assert_eq!(range(GroupId(1), 4), "0-4095");
        assert_eq!(range(GroupId(4), 4), "12288-16383");
        assert_eq!(range(GroupId(3), 3), "10924-16383");
    }
}
