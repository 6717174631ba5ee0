//! Tables in memory: for simulation and fakes. They start empty, so every opening is a rebuild.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Changes, Engine, Kv, Rows, TableError};

/// One table in memory.
#[derive(Debug, Default)]
pub struct MemoryKv {
    rows: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
}

/// Tables in memory by name.
#[derive(Default)]
pub struct MemoryEngine {
    tables: RwLock<BTreeMap<String, Arc<MemoryKv>>>,
}

impl Kv for MemoryKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        Ok(rows.get(key).cloned())
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Rows, TableError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let found = rows.range(from.to_vec()..to.to_vec()).take(limit);
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn write(&self, changes: &Changes) -> Result<(), TableError> {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in changes {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        Ok(())
    }
}

impl Engine for MemoryEngine {
    fn open(&self, name: &str) -> Result<Arc<dyn Kv>, TableError> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let table: Arc<MemoryKv> = tables.entry(name.to_owned()).or_default().clone();
        Ok(table)
    }

    fn clear(&self, name: &str) -> Result<(), TableError> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.get(name) {
            table.rows.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
        Ok(())
    }

    fn suspect(&self) -> bool {
        false
    }

    fn close(&self) -> Result<(), TableError> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        0
    }
}
