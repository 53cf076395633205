//! The log of records: topics of tenants in memory, with the contract of Kafka. Whatever was
//! appended is durable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kgrca_core::model::time::SECOND;
use kgrca_core::model::{Time, Topic};
use kgrca_core::storage::{
    Applied, Entry, Error, ErrorKind, EventLog, Offset, Result, Stored, StreamId, Tail,
};
use kgrca_core::tenancy::TenantId;
use tokio::sync::Notify;

use crate::bug::Bug;
use crate::port::{Port, Server, Shared};

/// By how much a bug delays appends, in microseconds.
const DELAY: i64 = 3 * SECOND;

#[derive(Default)]
struct Stream {
    records: Vec<Stored>,
    end: u64,
}

/// The topics of a tenant.
#[derive(Default)]
pub struct Topics {
    streams: BTreeMap<StreamId, Stream>,
    /// Number of appends.
    appends: u64,
    /// Wakes those who wait for one, in the order in which they came: a `watch` has none.
    appended: Arc<Notify>,
    pub user: bool,
    pub acls: bool,
}

impl Topics {
    /// All records, by stream.
    pub fn records(&self) -> impl Iterator<Item = (StreamId, &Stored)> {
        let of = |(id, stream): (&StreamId, _)| (*id, stream);
        self.streams
            .iter()
            .map(of)
            .flat_map(|(id, stream)| stream.records.iter().map(move |r| (id, r)))
    }

    pub fn end(&self, stream: StreamId) -> u64 {
        self.streams.get(&stream).map(|s| s.end).unwrap_or(0)
    }

    pub fn ends(&self) -> Vec<(StreamId, u64)> {
        self.streams.iter().map(|(id, s)| (*id, s.end)).collect()
    }

    fn append(&mut self, entry: Entry) {
        let stream = self.streams.entry(entry.stream).or_default();
        stream.records.push(Stored {
            offset: stream.end,
            key: entry.key,
            value: entry.value,
            received_at: entry.received_at,
        });
        stream.end += 1;
    }
}

/// The log's server.
#[derive(Clone, Default)]
pub struct Brokers(Arc<Mutex<BTreeMap<TenantId, Topics>>>);

impl Brokers {
    pub fn all(&self) -> MutexGuard<'_, BTreeMap<TenantId, Topics>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores entries in the topics of a tenant, if it has any.
    fn take(&self, shared: &Shared, tenant: &TenantId, entries: Vec<Entry>) {
        let mut all = self.all();
        let Some(topics) = all.get_mut(tenant) else {
            return;
        };
        for entry in entries {
            let text = String::from_utf8_lossy(&entry.value).into_owned();
            shared.check_owner(Some(tenant.as_str()), &text, "a record");
            topics.append(entry);
        }
        topics.appends += 1;
        topics.appended.notify_waiters();
    }
}

/// A daemon's connection to it.
pub struct SimLog {
    pub port: Port,
    pub brokers: Brokers,
    /// Number of appends that the last read of each partition saw.
    seen: Mutex<BTreeMap<(TenantId, u32), u64>>,
}

impl SimLog {
    pub fn new(port: Port, brokers: Brokers) -> Self {
        Self {
            port,
            brokers,
            seen: Mutex::default(),
        }
    }

    fn read_now(&self, tenant: &TenantId, stream: StreamId, from: u64, max: usize) -> Vec<Stored> {
        let all = self.brokers.all();
        let is_foreign = self.port.life.is_some()
            && stream.topic != Topic::Control
            && self.port.shared.strikes(Bug::ForeignRecords, 5);
        let owner = match all.keys().find(|other| *other != tenant) {
            Some(other) if is_foreign => other,
            _ => tenant,
        };
        let found = all
            .get(owner)
            .and_then(|topics| topics.streams.get(&stream));
        let records = found.map(|s| s.records.as_slice()).unwrap_or_default();
        let start = records.partition_point(|r| r.offset < from);
        records[start..].iter().take(max).cloned().collect()
    }

    /// What a bug makes of the records that a worker reads.
    fn mislead(&self, mut records: Vec<Stored>) -> Vec<Stored> {
        let shared = &self.port.shared;
        if records.len() > 1 && shared.strikes(Bug::RecordsSkipped, 100) {
            records.remove(0);
        }
        if records.len() > 1 && shared.strikes(Bug::RecordsReordered, 100) {
            records.reverse();
        }
        records
    }

    fn hides_full_disks(&self) -> bool {
        self.port.shared.strikes(Bug::FullAcknowledged, 1000)
    }

    fn append_now(&self, tenant: &TenantId, entries: Vec<Entry>) -> Result<()> {
        entries.iter().try_for_each(Entry::check)?;
        let shared = &self.port.shared;
        if !self.brokers.all().contains_key(tenant) {
            let message = format!("{tenant} has no topics");
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        if shared.strikes(Bug::AckBeforeDurable, 50) {
            return Ok(());
        }
        if shared.strikes(Bug::AppendsLate, 50) {
            let (shared, brokers) = (Arc::clone(shared), self.brokers.clone());
            let tenant = tenant.clone();
            tokio::spawn(async move {
                shared.kernel.sleep(DELAY).await;
                brokers.take(&shared, &tenant, entries);
            });
            return Ok(());
        }
        self.brokers.take(shared, tenant, entries);
        Ok(())
    }
}

#[async_trait]
impl EventLog for SimLog {
    async fn append(&self, tenant: &TenantId, entries: Vec<Entry>) -> Result<()> {
        let size: usize = entries.iter().map(|e| e.value.len()).sum();
        let what = format!("append {tenant} {} entries, {size} bytes", entries.len());
        let effect = || self.append_now(tenant, entries);
        match self.port.call(Server::Log, &what, true, effect).await {
            Err(e) if e.kind == ErrorKind::Full && self.hides_full_disks() => Ok(()),
            result => result,
        }
    }

    async fn read(
        &self,
        tenant: &TenantId,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Vec<Stored>> {
        let effect = || Ok(self.read_now(tenant, stream, from, max));
        self.port.call(Server::Log, "read", false, effect).await
    }

    async fn tail(
        &self,
        tenant: &TenantId,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Tail> {
        // A consumer has prefetched, so that most reads take no time; a request on its way would
        // only delay what arrived meanwhile to the next read.
        if stream.topic == Topic::ALL[0] {
            self.port
                .call(Server::Log, "tail", false, || Ok(()))
                .await?;
            let appends = self.brokers.all().get(tenant).map(|t| t.appends);
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert((tenant.clone(), stream.partition), appends.unwrap_or(0));
        }
        let records = self.mislead(self.read_now(tenant, stream, from, max));
        let next = records.last().map(|r| r.offset + 1).unwrap_or(from);
        Ok(Tail {
            records,
            next,
            lost: 0,
        })
    }

    async fn arrived(&self, tenant: &TenantId, partition: u32) {
        let seen = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.get(&(tenant.clone(), partition)).copied().unwrap_or(0)
        };
        let appended = {
            let all = self.brokers.all();
            match all.get(tenant) {
                Some(topics) if topics.appends > seen => return,
                Some(topics) => Some(Arc::clone(&topics.appended)),
                None => None,
            }
        };
        match appended {
            // Nothing else runs between the look and the first poll.
            Some(appended) => appended.notified().await,
            None => std::future::pending().await,
        }
    }

    async fn since(&self, tenant: &TenantId, stream: StreamId, at: Time) -> Result<u64> {
        let effect = || {
            let records = self.read_now(tenant, stream, 0, usize::MAX);
            let first = records.iter().find(|r| r.received_at >= at);
            let end = self.brokers.all().get(tenant).map(|t| t.end(stream));
            Ok(first.map(|r| r.offset).unwrap_or(end.unwrap_or(0)))
        };
        self.port.call(Server::Log, "since", false, effect).await
    }

    async fn ends(&self, tenant: &TenantId) -> Result<Vec<(StreamId, u64)>> {
        let effect = || {
            let ends = self.brokers.all().get(tenant).map(Topics::ends);
            Ok(ends.unwrap_or_default())
        };
        self.port.call(Server::Log, "ends", false, effect).await
    }

    async fn resume_at(&self, tenant: &TenantId, stream: StreamId, offset: u64) -> Result<u64> {
        let effect = || {
            let mut all = self.brokers.all();
            let Some(topics) = all.get_mut(tenant) else {
                return Ok(offset);
            };
            let end = topics.end(stream);
            if end < offset {
                topics.streams.entry(stream).or_default().end = offset;
            }
            Ok(end)
        };
        self.port.call(Server::Log, "resume", true, effect).await
    }

    /// The simulated time is too short for retention, and compaction changes no answer.
    async fn maintain(&self, _: &TenantId, _: i64, _: Time, _: Applied) -> Result<Vec<Offset>> {
        let effect = || Ok(Vec::new());
        self.port.call(Server::Log, "maintain", true, effect).await
    }

    async fn bytes(&self, tenant: &TenantId) -> Result<u64> {
        let effect = || {
            let all = self.brokers.all();
            let sizes = |t: &Topics| t.records().map(|(_, r)| r.value.len() as u64).sum();
            Ok(all.get(tenant).map(sizes).unwrap_or(0))
        };
        self.port.call(Server::Log, "bytes", false, effect).await
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<String> {
        Ok("simulated log".into())
    }

    async fn remove(&self, tenant: &TenantId) -> Result<()> {
        let effect = || {
            self.brokers.all().remove(tenant);
            Ok(())
        };
        self.port.call(Server::Log, "remove", true, effect).await
    }
}

#[cfg(test)]
mod tests {
    use kgrca_core::storage::conformance;

    use super::*;
    use crate::kernel::Kernel;

    #[tokio::test]
    async fn the_log_conforms() {
        let kernel = Arc::new(Kernel::new(1, Time(0), false));
        let port = Port {
            shared: Arc::new(Shared::new(kernel, Vec::new(), None)),
            life: None,
        };
        let brokers = Brokers::default();
        for name in ["client-a-abc123", "client-b-abc123"] {
            let tenant = TenantId::parse(name).unwrap();
            brokers.all().entry(tenant).or_default();
        }
        conformance::event_log(&SimLog::new(port, brokers)).await;
    }
}
