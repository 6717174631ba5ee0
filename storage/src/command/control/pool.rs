//! Pool-wide records: identity, nodes, settings.

use crs_types::{NodeId, NodeName, Timestamp};
use serde::{Deserialize, Serialize};

use super::{ControlRefusal, ControlState, NodeRecord};
use crate::command::Sealed;

/// Longest value of a setting in bytes.
pub const SETTING_MAX: usize = 16 * 1024;
/// Most settings.
pub const SETTINGS_MAX: usize = 1_000;

/// Stores the sealed pool CA. The first one wins unless `replace` is set (re-sealing).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetPoolIdentity {
    /// The sealed identity.
    pub identity: Sealed,
    /// Replace one that is there.
    pub replace: bool,
}

/// Records a node and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutNode {
    /// The node.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Now, by the proposer's clock.
    pub time: Timestamp,
}

/// Stores or removes a pool-wide setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutSetting {
    /// Its name.
    pub name: String,
    /// Its value; `None` removes it.
    pub value: Option<Sealed>,
}

impl SetPoolIdentity {
    pub(super) fn apply(&self, state: &mut ControlState) -> Result<bool, ControlRefusal> {
        match &state.pool_identity {
            Some(have) if *have == self.identity => Ok(false),
            Some(_) if !self.replace => Err(ControlRefusal::IdentityExists),
            Some(_) | None => {
                state.pool_identity = Some(self.identity.clone());
                Ok(true)
            }
        }
    }
}

impl PutNode {
    pub(super) fn apply(&self, state: &mut ControlState) -> Result<bool, ControlRefusal> {
        if let Some(have) = state.nodes.get_mut(&self.id) {
            let changed = have.name != self.name;
            have.name = self.name.clone();
            return Ok(changed);
        }
        let record = NodeRecord { name: self.name.clone(), joined: self.time };
        state.nodes.insert(self.id, record);
        Ok(true)
    }
}

impl PutSetting {
    pub(super) fn apply(&self, state: &mut ControlState) -> Result<bool, ControlRefusal> {
        let Some(value) = &self.value else {
            return Ok(state.settings.remove(&self.name).is_some());
        };
        if value.len() > SETTING_MAX {
            let what = format!("the setting {} in bytes", self.name);
            return Err(ControlRefusal::Limit { what, limit: SETTING_MAX as u64 });
        }
        if !state.settings.contains_key(&self.name) && state.settings.len() >= SETTINGS_MAX {
            let what = "the number of settings".to_owned();
            return Err(ControlRefusal::Limit { what, limit: SETTINGS_MAX as u64 });
        }
        let old = state.settings.insert(self.name.clone(), value.clone());
        Ok(old.as_ref() != Some(value))
    }
}
