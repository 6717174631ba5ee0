//! Update files in the blob store: read whole to be indexed, in pieces to be served.

use std::io;

use crs_storage::Store;
use crs_types::BlobHash;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::accounts::{BlobReader, Span, UpdateBlobs};

/// The blobs of one store.
#[derive(Debug, Clone)]
pub struct StoredBlobs(Store);

impl StoredBlobs {
    /// Blobs of `store`.
    pub fn new(store: Store) -> Self {
        Self(store)
    }
}

impl UpdateBlobs for StoredBlobs {
    fn load(&self, blob: BlobHash) -> BoxFuture<'static, io::Result<Vec<u8>>> {
        let store = self.0.clone();
        async move { store.get_blob(blob).await.map_err(io::Error::other) }.boxed()
    }
}

impl BlobReader for StoredBlobs {
    fn read(
        &self,
        blob: BlobHash,
        spans: Vec<Span>,
    ) -> BoxFuture<'static, io::Result<Vec<Vec<u8>>>> {
        let store = self.0.clone();
        let pieces = spans.iter().map(|span| (u64::from(span.offset), span.length as usize));
        let pieces = pieces.collect();
        async move { store.read_blob(blob, pieces).await.map_err(io::Error::other) }.boxed()
    }
}
