//! Which daemon works on what. Every daemon tells the metadata that it lives, sees who else does,
//! and comes to the same share by rendezvous hashing: when one comes or goes, only its own share
//! moves.

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
use super::worker::LIVELY;
use crate::clock::now;

/// How often a daemon tells that it lives.
const BEAT: Duration = Duration::from_secs(1);
/// How long a daemon is believed to live after it was heard of last, in microseconds.
const BELIEVED: i64 = 6 * SECOND;

/// The owner of a tenant's partition among those that live: the one with the highest weight (Thaler
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

/// Who works, as this daemon believes.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// Daemons that work records off; empty while nobody was asked.
    workers: Vec<String>,
    /// What this daemon had to work on when it looked last.
    mine: BTreeSet<(TenantId, u32)>,
}

impl Membership {
    /// Looks at a tenant anew the next time.
    pub fn forget(&mut self, tenant: &TenantId) {
        self.mine.retain(|(t, _)| t != tenant);
    }

    /// Whether a daemon is to work on a tenant's partition.
    pub fn is_mine(&self, me: &str, tenant: &TenantId, partition: u32) -> bool {
        owner_of(&self.workers, tenant, partition).is_some_and(|owner| owner == me)
    }
}

impl Fleet {
    /// Tells that this daemon lives and takes its share, until it stops.
    pub async fn keep_share(self: &Arc<Self>, mut me: DaemonRow, mut stop: watch::Receiver<bool>) {
        loop {
            if let Err(e) = self.share(&mut me).await {
                tracing::warn!(error = %e, "the share of this daemon is looked at again in a moment");
            }
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                _ = stop.changed() => break,
            }
        }
        if let Err(e) = self.stores.meta.leave(&me.owner).await {
            tracing::warn!(error = %e, "the others notice in some seconds that this daemon left");
        }
    }

    /// Tells that this daemon lives and looks at who else does.
    pub async fn share(self: &Arc<Self>, me: &mut DaemonRow) -> Result<(), Error> {
        // By the store's clock, where it has one: those of daemons may differ by more than they are
        // believed.
        me.seen_at = self.stores.meta.now().await?.unwrap_or_else(now);
        self.stores.meta.beat(me).await?;
        let mut workers = vec![self.owner().to_owned()];
        if self.stores.are_shared {
            let daemons = self.stores.meta.daemons(me.seen_at.plus(-BELIEVED)).await?;
            self.stores
                .daemons
                .store(daemons.len() as u64, Ordering::Relaxed);
            let works = |d: &DaemonRow| d.roles.split(',').any(|r| r == "worker");
            workers = daemons.into_iter().filter(works).map(|d| d.owner).collect();
        }
        self.membership().workers = workers;
        let mut mine = BTreeSet::new();
        for client in self.stores.meta.list_tenants().await? {
            let Some(tenant) =
                TenantId::parse(&client.client_id).filter(|_| client.state.is_worked())
            else {
                continue;
            };
            self.know(&tenant, client.partitions);
            mine.extend(
                (0..client.partitions)
                    .map(|p| (tenant.clone(), p))
                    .filter(|(t, p)| self.is_mine(t, *p)),
            );
        }
        self.take(mine).await
    }

    /// Gives up what belongs to others now, and takes what is new to this daemon.
    async fn take(self: &Arc<Self>, mine: BTreeSet<(TenantId, u32)>) -> Result<(), Error> {
        for (tenant, partition) in self
            .loaded_places()
            .into_iter()
            .filter(|place| !mine.contains(place))
        {
            tracing::info!(client_id = %tenant, partition, "another daemon works on it now");
            // By itself: a worker may take long to leave, and the others must hear that this daemon
            // lives.
            let engine = Arc::clone(self);
            tokio::spawn(async move { engine.give_up(&tenant, partition).await });
        }
        let before = std::mem::take(&mut self.membership().mine);
        let mut taken = BTreeSet::new();
        for (tenant, partition) in mine {
            let place = (tenant, partition);
            // Where only this process appends, it knows by itself when there is something to do.
            let is_new = !before.contains(&place);
            if is_new && (self.stores.log.is_remote() || self.has_work(&place.0, partition).await?)
            {
                let loaded = self.load(&place.0, partition);
                if loaded.leaves() {
                    // The one before is still leaving.
                    continue;
                }
            }
            taken.insert(place);
        }
        self.membership().mine = taken;
        Ok(())
    }

    /// Records that are durable and not worked off, by stream.
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

    /// How many records of a tenant are durable and not worked off.
    pub async fn waiting(&self, tenant: &TenantId) -> Result<u64, Error> {
        Ok(self.backlog(tenant).await?.values().sum())
    }

    /// The same without ticks and people's acts: a tenant that rests still has those.
    pub async fn waiting_records(&self, tenant: &TenantId) -> Result<u64, Error> {
        let backlog = self.backlog(tenant).await?;
        Ok(backlog
            .iter()
            .filter(|(stream, _)| stream.topic != Topic::Control)
            .map(|(_, left)| left)
            .sum())
    }

    /// Whether there is something to do without another record: some wait, or a cluster's time goes
    /// on.
    async fn has_work(&self, tenant: &TenantId, partition: u32) -> Result<bool, Error> {
        let lives = |c: &ClusterRow| {
            now().0 - c.last_record.0 < LIVELY
                || c.counts.is_some_and(|counts| counts.incidents > 0)
        };
        let clusters = self.stores.meta.clusters(tenant).await?;
        let of_partition = |c: &&ClusterRow| self.partition(tenant, &c.cluster) == partition;
        if clusters.iter().filter(of_partition).any(lives) {
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
    fn load_is_spread_evenly_when_every_tenant_has_one_cluster_called_prod() {
        for n in [2, 3, 5] {
            let owners = owners(n);
            let mut shares = vec![0_usize; n];
            for tenant in tenants() {
                let partition = kgrca_core::storage::partition_of(&tenant, "prod", 6);
                let owner = owner_of(&owners, &tenant, partition).unwrap();
                shares[owners.iter().position(|o| o == owner).unwrap()] += 1;
            }
            let (even, most) = (1000 / n, shares.iter().copied().max().unwrap());
            assert!(
                most * 10 <= even * 12,
                "no daemon has more than a fifth above its share: {shares:?}"
            );
        }
    }

    #[test]
    fn only_the_share_of_who_left_moves() {
        let (all, left) = (owners(4), owners(3));
        for tenant in tenants() {
            let before = owner_of(&all, &tenant, 0).unwrap();
            if before != "daemon-3" {
                assert_eq!(owner_of(&left, &tenant, 0), Some(before));
            }
        }
    }
}
