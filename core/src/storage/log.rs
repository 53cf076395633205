//! The durable log of records, from which everything else is derived.

use std::path::Path;

use super::{Applied, Error, ErrorKind, Offset, Result};
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

/// Longest key of a new entry, in bytes.
pub const MAX_KEY: usize = 4 << 10;
/// Longest value of a new entry, in bytes. Together with the longest key and what a log adds to
/// both, it fits the largest frame that files are read with, and the largest message of a topic.
pub const MAX_VALUE: usize = (2 << 20) - 2 * MAX_KEY;

/// What a log adds to the key and value of an entry, in bytes.
const OVERHEAD: usize = 28;

impl Entry {
    /// How many bytes a log stores for it.
    pub fn bytes(&self) -> usize {
        OVERHEAD + self.key.len() + self.value.len()
    }

    /// Refuses what a log could not read back.
    ///
    /// # Errors
    /// `Refused` names the part that is too large.
    pub fn check(&self) -> Result<()> {
        for (what, len, max) in [
            ("key", self.key.len(), MAX_KEY),
            ("value", self.value.len(), MAX_VALUE),
        ] {
            if len > max {
                let message =
                    format!("the {what} of a record has {len} bytes; the maximum is {max}");
                return Err(Error::new(ErrorKind::Refused, message));
            }
        }
        Ok(())
    }
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

/// What follows on a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// The records, in order.
    pub records: Vec<Stored>,
    /// Where the reader continues.
    pub next: u64,
    /// How many records before `next` were lost to damage; at most so many where the stream was
    /// compacted.
    pub lost: u64,
}

/// Unreadable bytes of a log that were set aside as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The stream they belonged to.
    pub stream: StreamId,
    /// The file.
    pub file: String,
    /// Size of the file.
    pub bytes: u64,
    /// Offset of the first record that is missing because of it.
    pub first: u64,
    /// Records that are missing because of it; at most so many where the stream was compacted.
    pub records: u64,
    /// Whether others are missing, too, whose number is not known: the end of the log was damaged,
    /// and it is not what an append that was cut short leaves behind.
    pub has_unknown: bool,
}

/// How many bytes of records are read at once, so that memory does not grow with lag.
pub const READ_BYTES: usize = 8 << 20;

/// A log of records by tenant and stream.
#[async_trait::async_trait]
pub trait EventLog: Send + Sync {
    /// Appends entries in order, all or none. Returns once they survive a power failure. Fails with
    /// `Refused` when an entry could not be read back, see [`Entry::check`].
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
    ) -> Result<Tail>;

    /// Unreadable parts of a tenant's records that were set aside.
    async fn set_aside(&self, _tenant: &TenantId) -> Result<Vec<SetAside>> {
        Ok(Vec::new())
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
    /// and compacts the others: a record replaces an older one of its key once it is applied, and
    /// never when it was skipped. Returns up to where compacted streams have no skipped record any
    /// more; nothing where brokers compact, who do not know what was skipped.
    async fn maintain(
        &self,
        tenant: &TenantId,
        retention: i64,
        now: Time,
        applied: Applied,
    ) -> Result<Vec<Offset>>;

    /// Bytes used by a tenant's records.
    async fn bytes(&self, tenant: &TenantId) -> Result<u64>;

    /// Whether other processes append to it as well.
    fn is_remote(&self) -> bool {
        false
    }

    /// Checks that the backend is available. Returns its name and version.
    async fn check(&self) -> Result<String>;

    /// The folder with its files; `None` when they are not on this machine.
    fn folder(&self) -> Option<&Path> {
        None
    }

    /// Tenants whose records are in files of this machine.
    fn tenants_with_files(&self) -> Result<Vec<TenantId>> {
        Ok(Vec::new())
    }

    /// Removes all records of a tenant.
    async fn remove(&self, tenant: &TenantId) -> Result<()>;
}
