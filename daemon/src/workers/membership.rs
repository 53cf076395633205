//! Which daemon processes which partition. Every daemon sends heartbeats to the metadata, sees
//! which others are alive, and computes the same shares by rendezvous hashing: when a daemon joins
//! or leaves, only its own share moves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kgrca_core::model::Topic;
use kgrca_core::model::time::SECOND;
use kgrca_core::storage::{ClusterRow, DaemonRow, Error, StreamId};
use kgrca_core::tenancy::TenantId;
use tokio::sync::watch;

use super::Fleet;
use super::PartitionId;
use super::worker::TICK_FOR;
use crate::clock::{now, sleep};

/// How often a daemon sends a heartbeat.
const BEAT: Duration = Duration::from_secs(1);
/// How long after its last heartbeat a daemon counts as alive, in microseconds.
const ALIVE_FOR: i64 = 6 * SECOND;

/// The owner of a tenant's partition among live daemons: the one with the highest weight (Thaler
/// and Ravishankar, 1998).
pub fn owner_of<'a>(owners: &'a [String], tenant: &TenantId, partition: u32) -> Option<&'a String> {
    owners
        .iter()
        .max_by_key(|owner| (weight(owner, tenant, partition), *owner))
}

fn weight(owner: &str, tenant: &TenantId, partition: u32) -> u64 {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(format!("{owner}/{tenant}/{partition}"));
    // The first eight of 32 bytes.
    u64::from_be_bytes(std::array::from_fn(|i| hash[i]))
}

/// The workers and shares that this daemon knows of.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// Live daemons with the role `worker`; empty until the first heartbeat.
    workers: Vec<String>,
    /// This daemon's share as of the last heartbeat.
    mine: BTreeSet<PartitionId>,
    /// Tenants whose graphs were damaged: their workers write them again.
    lost: BTreeSet<TenantId>,
    /// Whether this daemon stops.
    has_left: bool,
}

impl Membership {
    /// Makes the next heartbeat load a tenant's workers again.
    pub fn forget(&mut self, tenant: &TenantId) {
        self.mine.retain(|(t, _)| t != tenant);
    }

    /// Leaves every partition to the other daemons, whatever a heartbeat under way finds.
    pub fn leave(&mut self) {
        self.has_left = true;
    }

    /// Whether a daemon owns a tenant's partition.
    pub fn is_mine(&self, me: &str, tenant: &TenantId, partition: u32) -> bool {
        !self.has_left
            && owner_of(&self.workers, tenant, partition).is_some_and(|owner| owner == me)
    }
}

impl Fleet {
    /// Sends heartbeats and adjusts this daemon's share, until it stops.
    pub async fn keep_share(self: &Arc<Self>, mut me: DaemonRow, mut stop: watch::Receiver<bool>) {
        loop {
            if let Err(e) = self.share(&mut me).await {
                tracing::warn!(error = %e, "heartbeat failed; retrying");
            }
            tokio::select! {
                biased;
                () = sleep(BEAT) => {}
                _ = stop.changed() => break,
            }
        }
        if let Err(e) = self.stores.meta.leave(&me.owner).await {
            tracing::warn!(
                error = %e,
                "not unregistered; other daemons will notice the missing heartbeats in seconds"
            );
        }
    }

    /// Sends a heartbeat and adjusts this daemon's share to the daemons that are alive.
    pub async fn share(self: &Arc<Self>, me: &mut DaemonRow) -> Result<(), Error> {
        // By the store's clock, where it has one: the clocks of daemons may differ by more than
        // `ALIVE_FOR`.
        me.seen_at = self.stores.meta.now().await?.unwrap_or_else(now);
        self.stores.meta.beat(me).await?;
        let mut workers = vec![self.owner().to_owned()];
        if self.stores.are_shared {
            let daemons = self
                .stores
                .meta
                .daemons(me.seen_at.plus(-ALIVE_FOR))
                .await?;
            self.stores
                .daemons
                .store(daemons.len() as u64, Ordering::Relaxed);
            let works = |d: &DaemonRow| d.roles.split(',').any(|r| r == "worker");
            workers = daemons.into_iter().filter(works).map(|d| d.owner).collect();
        }
        self.membership().workers = workers;
        for tenant in self.stores.graph.take_lost() {
            self.membership().lost.insert(tenant.clone());
            self.restart(&tenant);
        }
        let mut mine = BTreeSet::new();
        for row in self.stores.meta.list_tenants().await? {
            let Some(tenant) = TenantId::parse(&row.client_id).filter(|_| row.state.is_worked())
            else {
                continue;
            };
            self.know(&tenant, row.partitions);
            mine.extend(
                (0..row.partitions)
                    .map(|p| (tenant.clone(), p))
                    .filter(|(t, p)| self.is_mine(t, *p)),
            );
        }
        self.take(mine).await
    }

    /// Stops workers whose partitions other daemons own now, and loads those that are new here.
    async fn take(self: &Arc<Self>, mine: BTreeSet<PartitionId>) -> Result<(), Error> {
        for (tenant, partition) in self
            .loaded_ids()
            .into_iter()
            .filter(|id| !mine.contains(id))
        {
            tracing::info!(client_id = %tenant, partition, "partition moved to another daemon");
            // In a task: a worker may take long to end, and heartbeats must continue.
            let fleet = Arc::clone(self);
            tokio::spawn(async move { fleet.give_up(&tenant, partition).await });
        }
        let before = std::mem::take(&mut self.membership().mine);
        let mut taken = BTreeSet::new();
        for (tenant, partition) in mine {
            // Where only this process appends, it loads workers as it appends.
            let is_new = !before.contains(&(tenant.clone(), partition));
            let has_work = async || {
                let is_lost = self.membership().lost.contains(&tenant);
                Ok(is_lost || self.has_work(&tenant, partition).await?)
            };
            if is_new && (self.stores.log.is_remote() || has_work().await?) {
                let loaded = self.load(&tenant, partition);
                if loaded.is_stopping() {
                    // Its predecessor has not ended yet: tried again with the next heartbeat.
                    continue;
                }
            }
            taken.insert((tenant, partition));
        }
        self.membership().mine = taken;
        Ok(())
    }

    /// Number of durable records that are not processed yet, by stream.
    async fn backlog(&self, tenant: &TenantId) -> Result<BTreeMap<StreamId, u64>, Error> {
        let offsets = self.stores.meta.offsets(tenant).await?;
        let done: BTreeMap<StreamId, u64> =
            offsets.into_iter().map(|o| (o.stream, o.next)).collect();
        let ends = self
            .stores
            .log
            .ends(tenant)
            .await?
            .into_iter()
            .filter(|(stream, _)| stream.topic != Topic::Dlq);
        let left = |(stream, end): (StreamId, u64)| {
            (
                stream,
                end.saturating_sub(done.get(&stream).copied().unwrap_or(0)),
            )
        };
        Ok(ends.map(left).collect())
    }

    /// Number of durable records of a tenant that are not processed yet.
    pub async fn waiting(&self, tenant: &TenantId) -> Result<u64, Error> {
        Ok(self.backlog(tenant).await?.values().sum())
    }

    /// The same without ticks and people's actions, which a suspended tenant still gets.
    pub async fn waiting_records(&self, tenant: &TenantId) -> Result<u64, Error> {
        let backlog = self.backlog(tenant).await?;
        Ok(backlog
            .iter()
            .filter(|(stream, _)| stream.topic != Topic::Control)
            .map(|(_, left)| left)
            .sum())
    }

    /// Whether a worker has something to do without another record: some wait, or a cluster needs
    /// ticks.
    async fn has_work(&self, tenant: &TenantId, partition: u32) -> Result<bool, Error> {
        let needs_ticks = |c: &ClusterRow| {
            now().0 - c.last_record.0 < TICK_FOR
                || c.counts.is_some_and(|counts| counts.incidents > 0)
        };
        let clusters = self.stores.meta.clusters(tenant).await?;
        let of_partition = |c: &&ClusterRow| self.partition(tenant, &c.cluster) == partition;
        if clusters.iter().filter(of_partition).any(needs_ticks) {
            return Ok(true);
        }
        Ok(self
            .backlog(tenant)
            .await?
            .iter()
            .any(|(stream, left)| stream.partition == partition && *left > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants() -> Vec<TenantId> {
        (0..1000)
            .map(|i| TenantId::parse(&format!("client-t{i}-{i:06}")).unwrap())
            .collect()
    }

    fn owners(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("daemon-{i}")).collect()
    }

    #[test]
    fn a_daemon_that_stops_owns_nothing_whatever_its_last_heartbeat_finds() {
        let tenant = &tenants()[0];
        let mut membership = Membership {
            workers: owners(1),
            ..Membership::default()
        };
        assert!(membership.is_mine("daemon-0", tenant, 0));
        membership.leave();
        membership.workers = owners(1);
        assert!(!membership.is_mine("daemon-0", tenant, 0));
    }

    #[test]
    fn load_is_spread_evenly_when_every_tenant_has_one_cluster_called_prod() {
        for n in [2, 3, 5] {
            let owners = owners(n);
            let mut shares = vec![0_usize; n];
            for tenant in tenants() {
                let partition = kgrca_core::storage::partition_of(&tenant, "prod", 6);
                let owner = owner_of(&owners, &tenant, partition).unwrap();
                shares[owners.iter().position(|o| o == owner).unwrap()] += 1;
            }
            let (even, largest) = (1000 / n, shares.iter().copied().max().unwrap());
            assert!(
                largest * 10 <= even * 12,
                "no daemon has more than a fifth above its share: {shares:?}"
            );
        }
    }

    #[test]
    fn only_the_share_of_a_daemon_that_left_moves() {
        let (all, left) = (owners(4), owners(3));
        for tenant in tenants() {
            let before = owner_of(&all, &tenant, 0).unwrap();
            if before != "daemon-3" {
                assert_eq!(owner_of(&left, &tenant, 0), Some(before));
            }
        }
    }
}
