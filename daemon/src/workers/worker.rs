//! A worker: reads what is durable, lets the core work on it, commits, and goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kgrca_core::model::time::{MINUTE, SECOND};
use kgrca_core::model::{Body, Record, Topic};
use kgrca_core::storage::{Entry, Error, ErrorKind, READ_BYTES, StreamId};
use kgrca_core::tenancy::TenantId;
use tokio::sync::{Notify, RwLock, watch};

use super::snapshot::Snapshots;
use super::{Commits, Live, batch, rebuild};
use crate::clock::now;
use crate::storage::Stores;
use crate::telemetry;

/// Most records of one batch.
const BATCH: usize = 20_000;
/// How often live state is saved, and after how many records sooner, but never more often than the
/// last.
const SNAPSHOT_EVERY: Duration = Duration::from_mins(1);
const SNAPSHOT_RECORDS: usize = 100_000;
const SNAPSHOT_AT_MOST: Duration = Duration::from_secs(10);
/// How long a lease holds without renewal, in microseconds, and how often it is renewed.
const LEASE: i64 = 15 * SECOND;
const RENEWED: Duration = Duration::from_secs(5);
/// The same where no other daemon can come: only whoever lost the folder's own name waits for its
/// end.
const LEASE_ALONE: i64 = 3 * MINUTE;
const RENEWED_ALONE: Duration = Duration::from_mins(1);
/// How long a worker that failed waits before it starts anew; each time in a row twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long after its last record a cluster still gets ticks.
pub(super) const LIVELY: i64 = 60 * MINUTE;

/// One (tenant, partition).
pub(super) struct Worker {
    pub stores: Stores,
    pub tenant: TenantId,
    pub partition: u32,
    pub partitions: u32,
    pub owner: String,
    pub tick: Duration,
    pub snapshots: Arc<Snapshots>,
    pub live: Arc<RwLock<Live>>,
    pub wake: Arc<Notify>,
    pub commits: Arc<Commits>,
    pub stop: watch::Receiver<bool>,
}

impl Worker {
    /// Works until it is told to stop; after an error it starts anew from what was committed.
    pub(super) async fn run(mut self) {
        let mut wait = FIRST_WAIT;
        while !*self.stop.borrow() {
            let began = Instant::now();
            match self.work().await {
                Ok(()) => break,
                Err(e) => {
                    telemetry::WorkerFailed {
                        tenant: &self.tenant,
                        error: &e,
                    }
                    .emit();
                    *self.live.write().await = Live::default();
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        _ = self.stop.changed() => break,
                    }
                    let is_fresh = began.elapsed() > Duration::from_mins(1);
                    wait = if is_fresh {
                        FIRST_WAIT
                    } else {
                        (wait * 2).min(LONGEST_WAIT)
                    };
                }
            }
        }
        self.stores.log.release(&self.tenant, self.partition).await;
        if let Err(e) = self
            .stores
            .meta
            .release(&self.tenant, self.partition, &self.owner)
            .await
        {
            tracing::warn!(client_id = %self.tenant, partition = self.partition, error = %e, "the lease ends by itself");
        }
    }

    async fn work(&mut self) -> Result<(), Error> {
        let renewal = if self.stores.are_shared {
            RENEWED
        } else {
            RENEWED_ALONE
        };
        let mut epoch = self.take_lease().await?;
        let (mut offsets, mut whole) = rebuild::rebuild(self).await?;
        let mut since_snapshot = 0;
        let mut snapshot = Instant::now();
        let mut renewed = Instant::now();
        let mut ticked = Instant::now();
        loop {
            if renewed.elapsed() > renewal {
                epoch = self.take_lease().await?;
                renewed = Instant::now();
            }
            self.measure_lag(&offsets).await?;
            if *self.stop.borrow() {
                // What still waits is durable: the next start goes on with it.
                if since_snapshot > 0 {
                    self.take_snapshot(&offsets).await;
                }
                return Ok(());
            }
            let read = self.read(&offsets).await?;
            let seen: usize = read.values().map(Vec::len).sum();
            if seen > 0 {
                let bytes: usize = read.values().flatten().map(|s| s.value.len()).sum();
                let more = seen >= BATCH || bytes >= READ_BYTES;
                batch::work_off(self, (epoch, whole), read, &mut offsets, !more).await?;
                whole = false;
                since_snapshot += seen;
                let rest = if since_snapshot >= SNAPSHOT_RECORDS {
                    SNAPSHOT_AT_MOST
                } else {
                    SNAPSHOT_EVERY
                };
                if snapshot.elapsed() >= rest {
                    let taken = self.take_snapshot(&offsets).await;
                    (since_snapshot, snapshot) =
                        (if taken { 0 } else { since_snapshot }, Instant::now());
                }
                continue;
            }
            if !self.live.read().await.dirty.is_empty() {
                batch::work_off(self, (epoch, whole), read, &mut offsets, true).await?;
                whole = false;
                continue;
            }
            if ticked.elapsed() >= self.tick {
                ticked = Instant::now();
                self.append_ticks().await?;
                continue;
            }
            let rest = self.tick.saturating_sub(ticked.elapsed());
            tokio::select! {
                () = self.wake.notified() => {}
                () = self.stores.log.arrived(&self.tenant, self.partition) => {}
                () = tokio::time::sleep(rest) => {}
                _ = self.stop.changed() => {}
            }
        }
    }

    /// Saves the live state as of these offsets. Without it a restart reads more of the log, so
    /// that a failure is told and nothing else.
    async fn take_snapshot(&self, offsets: &BTreeMap<StreamId, u64>) -> bool {
        let (live, snapshots, offsets) = (
            Arc::clone(&self.live),
            Arc::clone(&self.snapshots),
            offsets.clone(),
        );
        let saved = tokio::task::spawn_blocking(move || {
            snapshots.save(&offsets, &live.blocking_read().clusters)
        })
        .await;
        let saved = saved.map_err(std::io::Error::other).flatten();
        if let Err(e) = &saved {
            tracing::warn!(client_id = %self.tenant, partition = self.partition, error = %e, "no snapshot was taken");
        }
        saved.is_ok()
    }

    async fn take_lease(&self) -> Result<i64, Error> {
        let at = now();
        let holds = if self.stores.are_shared {
            LEASE
        } else {
            LEASE_ALONE
        };
        let lease = self
            .stores
            .meta
            .lease(
                &self.tenant,
                self.partition,
                &self.owner,
                at.plus(holds),
                at,
            )
            .await?;
        lease.ok_or_else(|| {
            Error::new(
                ErrorKind::Fenced,
                format!(
                    "another daemon owns {} partition {}",
                    self.tenant, self.partition
                ),
            )
        })
    }

    async fn read(
        &self,
        offsets: &BTreeMap<StreamId, u64>,
    ) -> Result<BTreeMap<StreamId, Vec<kgrca_core::storage::Stored>>, Error> {
        let mut read = BTreeMap::new();
        for topic in Topic::ALL.into_iter().filter(|t| *t != Topic::Dlq) {
            let stream = StreamId {
                topic,
                partition: self.partition,
            };
            let records = self
                .stores
                .log
                .tail(
                    &self.tenant,
                    stream,
                    offsets.get(&stream).copied().unwrap_or(0),
                    BATCH,
                )
                .await?;
            if !records.is_empty() {
                read.insert(stream, records);
            }
        }
        Ok(read)
    }

    async fn measure_lag(&self, offsets: &BTreeMap<StreamId, u64>) -> Result<(), Error> {
        let ends = self.stores.log.ends(&self.tenant).await?;
        let mine = ends
            .into_iter()
            .filter(|(s, _)| s.partition == self.partition && s.topic != Topic::Dlq);
        for (stream, end) in mine {
            let records = end.saturating_sub(offsets.get(&stream).copied().unwrap_or(0));
            telemetry::Lag {
                tenant: &self.tenant,
                stream,
                records,
                is_kafka: self.stores.log.is_remote(),
            }
            .emit();
        }
        Ok(())
    }

    /// Time moves where a cluster is silent: its ticks are records like any other.
    async fn append_ticks(&self) -> Result<(), Error> {
        let at = now();
        let mut entries = Vec::new();
        for (name, state) in &self.live.read().await.clusters {
            let lively = at.0 - state.last_record.0 < LIVELY
                || state
                    .incidents
                    .iter()
                    .any(kgrca_core::incident::Incident::is_live);
            if lively && at > state.watermark {
                let tick = Record {
                    cluster: name.clone(),
                    at,
                    sequence: None,
                    body: Body::Tick,
                };
                if let Some(value) = kgrca_core::parse::encode_act(&tick) {
                    let stream = StreamId {
                        topic: Topic::Control,
                        partition: self.partition,
                    };
                    entries.push(Entry {
                        stream,
                        key: name.as_bytes().into(),
                        value: value.into(),
                        received_at: at,
                    });
                }
            }
        }
        if entries.is_empty() {
            return Ok(());
        }
        self.stores.log.append(&self.tenant, entries).await
    }
}
