//! Which group owns a slot, and which nodes hold a group (Q-37, C-309).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crs_types::slot::SLOTS;
use crs_types::{GroupId, NodeId, Slot, Uri};
use serde::{Deserialize, Serialize};

/// Who holds what. `check slot` and `show system` print it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    mailbox_groups: u16,
    replicas: BTreeMap<GroupId, Vec<NodeId>>,
}

/// One group's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPlacement {
    /// The group.
    pub group: GroupId,
    /// The slots it owns; `None` for the control group.
    pub slots: Option<RangeInclusive<u16>>,
    /// The nodes that hold it.
    pub replicas: Vec<NodeId>,
}

impl Placement {
    /// All groups on one node. Zero mailbox groups count as one.
    pub fn single(node: NodeId, mailbox_groups: u16) -> Self {
        let mailbox_groups = mailbox_groups.max(1);
        let replicas = (0..=mailbox_groups).map(|group| (GroupId(group), vec![node])).collect();
        Self { mailbox_groups, replicas }
    }

    /// The mailbox group that owns a URI.
    pub fn group_of(&self, uri: &Uri) -> GroupId {
        Slot::of(uri).group(self.mailbox_groups)
    }

    /// The nodes that hold a group; empty when there is no such group.
    pub fn replicas(&self, group: GroupId) -> &[NodeId] {
        self.replicas.get(&group).map_or(&[], Vec::as_slice)
    }

    /// Every group in order, the control group first.
    pub fn groups(&self) -> Vec<GroupPlacement> {
        let each = self.replicas.iter();
        each.map(|(group, replicas)| GroupPlacement {
            group: *group,
            slots: self.slots(*group),
            replicas: replicas.clone(),
        })
        .collect()
    }

    fn slots(&self, group: GroupId) -> Option<RangeInclusive<u16>> {
        let index = group.0.checked_sub(1)?;
        let per_group = SLOTS.div_ceil(self.mailbox_groups);
        let first = index.saturating_mul(per_group).min(SLOTS);
        let end = first.saturating_add(per_group).min(SLOTS);
        Some(first..=end.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_exactly_one_group_and_it_is_the_one_that_owns_the_uri() {
        for groups in [1, 2, 3, 4, 7] {
            let placement = Placement::single(NodeId(1), groups);
            let mut owned = 0;
            for place in placement.groups() {
                assert_eq!(place.replicas, [NodeId(1)]);
                owned += place.slots.map_or(0, |slots| slots.count());
            }
            assert_eq!(owned, usize::from(SLOTS), "{groups} groups");
            for digit in 0..50 {
                let uri = Uri::parse(&format!("+4670123{digit:04}")).unwrap();
                let group = placement.group_of(&uri);
                let slots = placement.slots(group).unwrap();
                assert!(slots.contains(&Slot::of(&uri).number()));
            }
        }
    }

    #[test]
    fn an_unknown_group_has_no_replicas() {
        assert!(Placement::single(NodeId(1), 4).replicas(GroupId(9)).is_empty());
    }
}
