//! A worker: reads what is durable, applies it to the live state and commits, until it is stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kgrca_core::engine::ClusterState;
use kgrca_core::incident::Incident;
use kgrca_core::model::time::{MINUTE, SECOND};
use kgrca_core::model::{Body, Record, Str, Time, Topic};
use kgrca_core::storage::seal::{Keyring, Sealer};
use kgrca_core::storage::{Entry, Error, ErrorKind, Offset, READ_BYTES, StreamId};
use kgrca_core::tenancy::TenantId;
use tokio::sync::{Notify, RwLock, watch};

use super::batch::{Lease, commit_batch};
use super::partition::Partition;
use super::records::Batch;
use super::refused::commit_in_parts;
use super::room::Allowance;
use super::snapshot::Snapshots;
use super::{Commits, Live, rebuild};
use crate::clock::{instant, now, since, sleep};
use crate::environment::blocking;
use crate::places::{Place, Places};
use crate::storage::Stores;
use crate::telemetry;

/// How often live state is saved.
const SNAPSHOT_EVERY: Duration = Duration::from_mins(1);
/// After this many records it is saved sooner, but not sooner than the pause.
const SNAPSHOT_RECORDS: usize = 100_000;
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(10);
/// How long a lease is valid without renewal, in microseconds, and how often it is renewed.
const LEASE: i64 = 15 * SECOND;
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(5);
/// The same where no other daemon can take over: only a daemon that lost its folder's name waits
/// for such a lease to expire.
const LEASE_ALONE: i64 = 3 * MINUTE;
const RENEW_EVERY_ALONE: Duration = Duration::from_mins(1);
/// How often lag is measured while there is work to do.
const LAG_EVERY: Duration = Duration::from_secs(1);
/// How long a worker that failed waits before it starts again; doubled with each failure in a row.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const MAX_WAIT: Duration = Duration::from_secs(2);
const MAX_WAIT_REFUSED: Duration = Duration::from_mins(1);
/// How long after its last record a cluster still gets ticks, in microseconds.
pub(super) const TICK_FOR: i64 = 60 * MINUTE;

/// Something that is done at intervals.
struct Cadence {
    every: Duration,
    last: Instant,
}

impl Cadence {
    fn new(every: Duration) -> Self {
        let last = instant();
        Self { every, last }
    }

    fn is_due(&self) -> bool {
        since(self.last) >= self.every
    }

    fn remaining(&self) -> Duration {
        self.every.saturating_sub(since(self.last))
    }

    fn restart(&mut self) {
        self.last = instant();
    }
}

/// Processes one partition of a tenant.
pub(super) struct Worker {
    pub stores: Stores,
    pub partition: Partition,
    pub owner: String,
    pub tick: Duration,
    pub snapshots: Arc<Snapshots>,
    pub live: Arc<RwLock<Live>>,
    pub wake: Arc<Notify>,
    pub commits: Arc<Commits>,
    pub places: Places<TenantId>,
    pub stop: watch::Receiver<bool>,
}

/// A worker's progress from one start to the next failure.
struct Run {
    lease: Lease,
    offsets: BTreeMap<StreamId, u64>,
    /// Whether a store refused the next batch.
    is_refused: bool,
    /// Records committed since the last snapshot.
    unsaved: usize,
    last_snapshot: Instant,
    renewal: Cadence,
    tick: Cadence,
    lag: Cadence,
    /// Something was committed since lag was measured.
    lag_changed: bool,
}

/// What a worker does next.
enum Next {
    Stop,
    /// Within the place in which the batch was read.
    Commit(Batch, Place<TenantId>),
    /// The lease is due while the worker waits for a place.
    Renew,
    Tick,
    Sleep,
}

impl Worker {
    /// Works until it is stopped. After an error it starts again from what was committed.
    pub(super) async fn run(mut self) {
        let mut wait = FIRST_WAIT;
        let mut is_refused = false;
        while !*self.stop.borrow() {
            let started = instant();
            let Err(error) = self.work(is_refused).await else {
                break;
            };
            self.live.write().await.clear();
            if *self.stop.borrow() {
                // What it did not commit is applied by the next one.
                tracing::info!(
                    client_id = %self.partition.tenant, partition = self.partition.number, %error,
                    "worker stopped early"
                );
                break;
            }
            is_refused = error.kind == ErrorKind::Unstorable;
            telemetry::WorkerFailed {
                tenant: &self.partition.tenant,
                error: &error,
            }
            .emit();
            tokio::select! {
                biased;
                () = sleep(wait) => {}
                _ = self.stop.changed() => break,
            }
            wait = if since(started) > Duration::from_mins(1) {
                FIRST_WAIT
            } else {
                // What a store refuses for its content it most likely refuses again.
                let longest = if is_refused {
                    MAX_WAIT_REFUSED
                } else {
                    MAX_WAIT
                };
                (wait * 2).min(longest)
            };
        }
        self.release().await;
    }

    async fn release(&self) {
        let Partition { tenant, number, .. } = &self.partition;
        self.stores.log.release(tenant, *number).await;
        let released = self.stores.meta.release(tenant, *number, &self.owner);
        if let Err(e) = released.await {
            tracing::warn!(
                client_id = %tenant, partition = number, error = %e,
                "lease not released; it will expire"
            );
        }
    }

    async fn work(&mut self, is_refused: bool) -> Result<(), Error> {
        let mut run = self.start().await?;
        run.is_refused = is_refused;
        loop {
            if run.renewal.is_due() {
                run.lease.epoch = self.take_lease().await?;
                run.renewal.restart();
            }
            if run.lag.is_due() && run.lag_changed {
                self.measure_lag(&mut run).await?;
            }
            match self.next(&run).await? {
                Next::Stop => {
                    // Records that still wait are durable: the next start continues with them.
                    if run.unsaved > 0 {
                        self.take_snapshot(&mut run).await;
                    }
                    return Ok(());
                }
                Next::Commit(batch, place) => self.commit(&mut run, batch, place).await?,
                Next::Renew => {}
                Next::Tick => {
                    run.tick.restart();
                    self.append_ticks().await?;
                }
                Next::Sleep => {
                    if run.lag_changed {
                        self.measure_lag(&mut run).await?;
                    }
                    let evaluation = self.live.read().await.evaluations.next_at();
                    let pause = evaluation.map(|at| at.saturating_duration_since(instant()));
                    let tick = run.tick.remaining();
                    self.sleep(pause.unwrap_or(tick).min(tick)).await;
                    // Woken up because the log may have grown.
                    run.lag_changed = true;
                }
            }
        }
    }

    async fn start(&self) -> Result<Run, Error> {
        let epoch = self.take_lease().await?;
        let rebuilt = rebuild::rebuild(self).await?;
        let renew_every = if self.stores.are_shared {
            RENEW_EVERY
        } else {
            RENEW_EVERY_ALONE
        };
        Ok(Run {
            lease: Lease {
                epoch,
                full_resync: rebuilt.full_resync,
            },
            offsets: rebuilt.offsets,
            is_refused: false,
            unsaved: 0,
            last_snapshot: instant(),
            renewal: Cadence::new(renew_every),
            tick: Cadence::new(self.tick),
            lag: Cadence::new(LAG_EVERY),
            lag_changed: true,
        })
    }

    async fn next(&self, run: &Run) -> Result<Next, Error> {
        if *self.stop.borrow() {
            return Ok(Next::Stop);
        }
        let Some(place) = self.place_within(run.renewal.remaining()).await else {
            return Ok(Next::Renew);
        };
        let batch = self.read(&run.offsets).await?;
        if !batch.positions.is_empty() || !self.live.read().await.evaluations.is_empty(instant()) {
            return Ok(Next::Commit(batch, place));
        }
        Ok(if run.tick.is_due() {
            Next::Tick
        } else {
            Next::Sleep
        })
    }

    /// Reads what follows on each stream.
    async fn read(&self, offsets: &BTreeMap<StreamId, u64>) -> Result<Batch, Error> {
        let mut batch = Batch::default();
        let size = self.live.read().await.batches.of_stream();
        for topic in Topic::ALL.into_iter().filter(|t| *t != Topic::Dlq) {
            let partition = self.partition.number;
            let stream = StreamId { topic, partition };
            let from = offsets.get(&stream).copied().unwrap_or(0);
            let log = &self.stores.log;
            let tail = log.tail(&self.partition.tenant, stream, from, size).await?;
            if tail.next > from {
                batch.positions.push(Offset {
                    stream,
                    next: tail.next,
                });
            }
            if tail.lost > 0 {
                batch.lost.insert(topic, tail.lost);
            }
            if !tail.records.is_empty() {
                batch.records.insert(stream, tail.records);
            }
        }
        if batch.len() > 0 {
            batch.allowance = Arc::new(Allowance::read(self).await?);
        }
        batch.is_last = batch.len() < size && batch.bytes() < READ_BYTES;
        Ok(batch)
    }

    async fn commit(
        &self,
        run: &mut Run,
        batch: Batch,
        place: Place<TenantId>,
    ) -> Result<(), Error> {
        let count = batch.len();
        let is_doubtful = self.live.read().await.evaluations.are_doubtful();
        let offsets = if std::mem::take(&mut run.is_refused) || is_doubtful {
            drop(place);
            commit_in_parts(self, run.lease, batch).await?
        } else {
            commit_batch(self, run.lease, Arc::new(batch), place).await?
        };
        run.offsets
            .extend(offsets.iter().map(|o| (o.stream, o.next)));
        run.lease.full_resync = false;
        run.lag_changed = true;
        run.unsaved += count;
        let pause = if run.unsaved >= SNAPSHOT_RECORDS {
            SNAPSHOT_PAUSE
        } else {
            SNAPSHOT_EVERY
        };
        if count > 0 && since(run.last_snapshot) >= pause {
            self.take_snapshot(run).await;
        }
        Ok(())
    }

    async fn sleep(&mut self, at_most: Duration) {
        let Partition { tenant, number, .. } = &self.partition;
        tokio::select! {
            biased;
            () = self.wake.notified() => {}
            () = self.stores.log.arrived(tenant, *number) => {}
            () = sleep(at_most) => {}
            _ = self.stop.changed() => {}
        }
    }

    /// Saves the live state. Without a snapshot a restart reads more of the log, so a failure is
    /// only logged.
    async fn take_snapshot(&self, run: &mut Run) {
        let live = Arc::clone(&self.live).read_owned().await;
        let (snapshots, offsets) = (Arc::clone(&self.snapshots), run.offsets.clone());
        let sealer = self.sealer_to_write().await;
        match blocking(move || snapshots.save(&offsets, &live.clusters, &*sealer?))
            .await
            .flatten()
        {
            Ok(()) => run.unsaved = 0,
            Err(e) => tracing::warn!(
                client_id = %self.partition.tenant, partition = self.partition.number, error = %e,
                "snapshot not saved"
            ),
        }
        run.last_snapshot = instant();
    }

    async fn sealer_to_write(&self) -> std::io::Result<Arc<Sealer>> {
        let tenant = &self.partition.tenant;
        let sealer = self.stores.encryption.sealer_to_write(tenant).await;
        sealer.map_err(std::io::Error::other)
    }

    pub(super) async fn take_lease(&self) -> Result<i64, Error> {
        let Partition { tenant, number, .. } = &self.partition;
        let at = now();
        let valid_for = if self.stores.are_shared {
            LEASE
        } else {
            LEASE_ALONE
        };
        let until = at.plus(valid_for);
        let meta = &self.stores.meta;
        let epoch = meta.lease(tenant, *number, &self.owner, until, at).await?;
        epoch.ok_or_else(|| {
            let message = format!("another daemon holds the lease of {tenant} partition {number}");
            Error::new(ErrorKind::Fenced, message)
        })
    }

    /// Renews the lease during work that takes long.
    pub(super) async fn keep_lease(&self, renewed: &mut Instant) -> Result<(), Error> {
        if since(*renewed) >= RENEW_EVERY {
            self.take_lease().await?;
            *renewed = instant();
        }
        Ok(())
    }

    async fn measure_lag(&self, run: &mut Run) -> Result<(), Error> {
        let tenant = &self.partition.tenant;
        for (stream, end) in self.stores.log.ends(tenant).await? {
            if stream.partition != self.partition.number || stream.topic == Topic::Dlq {
                continue;
            }
            let position = run.offsets.get(&stream).copied().unwrap_or(0);
            telemetry::Lag {
                tenant,
                stream,
                records: end.saturating_sub(position),
                is_kafka: self.stores.log.is_remote(),
            }
            .emit();
        }
        run.lag.restart();
        run.lag_changed = false;
        Ok(())
    }

    /// Time must pass where a cluster is silent, too: ticks are records like any other.
    async fn append_ticks(&self) -> Result<(), Error> {
        let at = now();
        let entries: Vec<Entry> = {
            let live = self.live.read().await;
            let clusters = live.clusters.iter();
            clusters
                .filter(|(_, state)| needs_tick(state, at))
                .filter_map(|(name, _)| self.tick(name, at))
                .collect()
        };
        if entries.is_empty() {
            return Ok(());
        }
        let log = &self.stores.log;
        log.append(&self.partition.tenant, entries).await
    }

    fn tick(&self, cluster: &Str, at: Time) -> Option<Entry> {
        let tick = Record {
            cluster: cluster.clone(),
            at,
            sequence: None,
            body: Body::Tick,
        };
        Some(Entry {
            stream: StreamId {
                topic: Topic::Control,
                partition: self.partition.number,
            },
            key: cluster.as_bytes().into(),
            value: kgrca_core::parse::encode_act(&tick)?.into(),
            received_at: at,
        })
    }
}

fn needs_tick(state: &ClusterState, at: Time) -> bool {
    let is_recent = at.0 - state.last_record.0 < TICK_FOR;
    let has_incident = || state.incidents.iter().any(Incident::is_live);
    at > state.watermark && (is_recent || has_incident())
}
