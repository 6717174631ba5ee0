//! Tables of a group: the key-value seam, and the transaction that commands apply to.

pub mod layered;
pub mod memory;
mod txn;

pub use txn::Txn;
pub(crate) use txn::decode_row;

/// Changes to one table, carried out whole or not at all. `None` deletes.
pub type Changes = std::collections::BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Rows in key order.
pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// Why a table could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The engine failed (disk full, I/O error, damage).
    #[error("tables: {0}")]
    Engine(String),
    /// No space left; worth trying again.
    #[error("tables: the disk is full: {0}")]
    DiskFull(String),
    /// A message's body is missing or damaged; rebuilding the tables would not bring it back.
    #[error("the body of message {0} is missing or damaged")]
    Body(crs_types::MessageId),
    /// A row is not what its key says.
    #[error("tables: {what}")]
    Corrupt {
        /// What was found.
        what: String,
    },
}

impl TableError {
    /// From a file operation beside the tables.
    pub(crate) fn disk(error: &std::io::Error) -> Self {
        if crate::wal::is_full(error) {
            Self::DiskFull(error.to_string())
        } else {
            Self::Engine(error.to_string())
        }
    }
}

/// One table: what a storage engine must offer. Calls may block on the disk.
pub trait Kv: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError>;
    /// Up to `limit` rows with `from <= key < to`, in key order.
    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Rows, TableError>;
    /// Carries out all changes or none. Need not be durable on return: log and snapshot are.
    fn write(&self, changes: &Changes) -> Result<(), TableError>;
}

/// All tables of a node: opens one per group, and can start over.
pub trait Engine: Send + Sync + 'static {
    /// The table of this name, created empty when absent.
    fn open(&self, name: &str) -> Result<std::sync::Arc<dyn Kv>, TableError>;
    /// Removes the table's content.
    fn clear(&self, name: &str) -> Result<(), TableError>;
    /// True when the tables may lack or garble what was written before a crash, so that they
    /// have to be rebuilt from snapshot and log.
    fn suspect(&self) -> bool;
    /// True while the tables are in memory because the disk has no room for them.
    fn displaced(&self) -> bool {
        false
    }
    /// There is room again: the next [`Engine::clear`] of each table starts over on disk.
    fn replace(&self) {}
    /// All tables are whole again after some were cleared; until then the next opening starts over.
    fn settle(&self) -> Result<(), TableError> {
        Ok(())
    }
    /// What was written before survives the process, though not the machine.
    fn flush(&self) -> Result<(), TableError> {
        Ok(())
    }
    /// Writes everything back, so that the next opening can trust the tables.
    fn close(&self) -> Result<(), TableError>;
    /// Bytes on disk.
    fn bytes(&self) -> u64;
}
