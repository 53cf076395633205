//! The durable log of records, from which everything else is derived.

use super::Result;
use crate::model::{Time, Topic};
use crate::tenancy::TenantId;

/// A partition of one of a tenant's topics; offsets increase by one within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: u32,
}

/// A record to append.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The stream to append to.
    pub stream: StreamId,
    /// Object id on compacted topics, cluster name elsewhere.
    pub key: Box<[u8]>,
    /// The record's bytes; empty is a tombstone.
    pub value: Box<[u8]>,
    /// When it was received.
    pub received_at: Time,
}

/// A record in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its offset in the stream.
    pub offset: u64,
    /// See [`Entry::key`].
    pub key: Box<[u8]>,
    /// See [`Entry::value`].
    pub value: Box<[u8]>,
    /// When it was received.
    pub received_at: Time,
}

/// How many bytes of records are read at once, so that memory does not grow with lag.
pub const READ_BYTES: usize = 8 << 20;

/// A log of records by tenant and stream.
#[async_trait::async_trait]
pub trait EventLog: Send + Sync {
    /// Appends entries in order, all or none. Returns once they survive a power failure.
    async fn append(&self, tenant: &TenantId, entries: Vec<Entry>) -> Result<()>;

    /// Reads at most `max` records and little more than [`READ_BYTES`] from an offset on. Records
    /// removed by compaction and retention are skipped.
    async fn read(
        &self,
        tenant: &TenantId,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Vec<Stored>>;

    /// The same for a reader that continues where it ended, so that the log can prefetch.
    async fn tail(
        &self,
        tenant: &TenantId,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Vec<Stored>> {
        self.read(tenant, stream, from, max).await
    }

    /// Ends prefetching for a partition.
    async fn release(&self, _tenant: &TenantId, _partition: u32) {}

    /// Returns when another process may have appended to a tailed partition; never when no other
    /// process can.
    async fn arrived(&self, _tenant: &TenantId, _partition: u32) {
        std::future::pending::<()>().await;
    }

    /// An offset at or before the first record received at or after an instant.
    async fn since(&self, tenant: &TenantId, stream: StreamId, at: Time) -> Result<u64>;

    /// The next offset of each stream that has records.
    async fn ends(&self, tenant: &TenantId) -> Result<Vec<(StreamId, u64)>>;

    /// Makes a stream that ends earlier continue at an offset, permanently: an offset that was
    /// committed is never used again. Returns where the stream ended.
    async fn resume_at(&self, tenant: &TenantId, stream: StreamId, offset: u64) -> Result<u64>;

    /// Removes records older than `retention` (microseconds) from streams that are not compacted,
    /// and compacts the others.
    async fn maintain(&self, tenant: &TenantId, retention: i64, now: Time) -> Result<()>;

    /// Bytes used by a tenant's records.
    async fn bytes(&self, tenant: &TenantId) -> Result<u64>;

    /// Whether other processes append to it as well.
    fn is_remote(&self) -> bool {
        false
    }

    /// Checks that the backend is available. Returns its name and version.
    async fn check(&self) -> Result<String>;

    /// Removes all records of a tenant.
    async fn remove(&self, tenant: &TenantId) -> Result<()>;
}
