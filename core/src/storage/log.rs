//! The durable log: the truth from which everything else is derived.

use super::Result;
use crate::model::{Time, Topic};
use crate::tenancy::TenantId;

/// A stream of a tenant: offsets rise by one within it.
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
    /// Where it goes.
    pub stream: StreamId,
    /// Object id on the compacted topics, cluster name elsewhere.
    pub key: Box<[u8]>,
    /// The record's bytes; empty is a tombstone.
    pub value: Box<[u8]>,
    /// When the door took it.
    pub received_at: Time,
}

/// A record that was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its place in its stream.
    pub offset: u64,
    /// See [`Entry::key`].
    pub key: Box<[u8]>,
    /// See [`Entry::value`].
    pub value: Box<[u8]>,
    /// When the door took it.
    pub received_at: Time,
}

/// How many bytes of records are read at once: memory follows it, not how far a reader lags.
pub const READ_BYTES: usize = 8 << 20;

/// Append, read from, end, truncate.
#[async_trait::async_trait]
pub trait EventLog: Send + Sync {
    /// Appends entries in order and returns when they survive a power cut. All or nothing.
    async fn append(&self, tenant: &TenantId, entries: Vec<Entry>) -> Result<()>;

    /// Reads at most `max` records and little more than [`READ_BYTES`] from an offset on; what
    /// compaction and retention took is left out.
    async fn read(
        &self,
        tenant: &TenantId,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Vec<Stored>>;

    /// The same for whoever goes on from where it ended: what comes next may be on its way already.
    async fn tail(
        &self,
        tenant: &TenantId,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Vec<Stored>> {
        self.read(tenant, stream, from, max).await
    }

    /// Ends the tails of a partition.
    async fn release(&self, _tenant: &TenantId, _partition: u32) {}

    /// Returns when records of a partition that is tailed may have come that others appended; never
    /// where nobody else can.
    async fn arrived(&self, _tenant: &TenantId, _partition: u32) {
        std::future::pending::<()>().await;
    }

    /// An offset at or before the first record taken at or after an instant.
    async fn since(&self, tenant: &TenantId, stream: StreamId, at: Time) -> Result<u64>;

    /// The offset that the next record of each stream that has any will get.
    async fn ends(&self, tenant: &TenantId) -> Result<Vec<(StreamId, u64)>>;

    /// Lets a stream that ends earlier go on at an offset, for good: one that was committed is
    /// never given out again. Returns where the stream ended.
    async fn go_on_at(&self, tenant: &TenantId, stream: StreamId, offset: u64) -> Result<u64>;

    /// Drops what lies outside the retention (microseconds) on streams without compaction, and
    /// compacts the others.
    async fn maintain(&self, tenant: &TenantId, retention: i64, now: Time) -> Result<()>;

    /// Bytes that a tenant's records take.
    async fn bytes(&self, tenant: &TenantId) -> Result<u64>;

    /// Whether other processes append to it as well.
    fn is_remote(&self) -> bool {
        false
    }

    /// Name and version of what keeps it, and whether it answers.
    async fn check(&self) -> Result<String>;

    /// Removes everything of a tenant.
    async fn remove(&self, tenant: &TenantId) -> Result<()>;
}
