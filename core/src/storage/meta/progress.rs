//! How far workers have processed the log, and what a batch changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{IncidentRow, MetaStore, UsageCounts};
use crate::incident::Transition;
use crate::jobs::NewJob;
use crate::model::Time;
use crate::rca::{Answer, Scorer};
use crate::storage::{Result, StreamId};
use crate::tenancy::TenantId;

/// How far a stream has been processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// A partition of a topic.
    pub stream: StreamId,
    /// The next offset to read.
    pub next: u64,
}

/// Consecutive entries of a stream that were not applied, for a reason that is theirs: a restart
/// must not apply them either, and the tenant is not charged for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// A partition of a topic.
    pub stream: StreamId,
    /// The first offset.
    pub first: u64,
    /// The last offset.
    pub last: u64,
    /// Why they were not applied, as rejected records are counted by.
    pub reason: String,
    /// When the last of them was received.
    pub received_at: Time,
}

/// What a tenant's workers skipped, to be asked by offset.
#[derive(Clone, Debug, Default)]
pub struct SkippedOffsets(BTreeMap<(StreamId, u64), u64>);

impl SkippedOffsets {
    /// Whether an entry was skipped.
    pub fn contains(&self, stream: StreamId, offset: u64) -> bool {
        let before = self.0.range((stream, 0)..=(stream, offset)).next_back();
        before.is_some_and(|(_, last)| offset <= *last)
    }
}

impl FromIterator<Skipped> for SkippedOffsets {
    fn from_iter<I: IntoIterator<Item = Skipped>>(skipped: I) -> Self {
        let ranges = skipped.into_iter().map(|s| ((s.stream, s.first), s.last));
        Self(ranges.collect())
    }
}

/// How far workers came in a tenant's log, and what they skipped before.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    next: BTreeMap<StreamId, u64>,
    skipped: SkippedOffsets,
}

impl Applied {
    /// Reads it. The positions first: whatever is skipped before one is known with it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn of(meta: &dyn MetaStore, tenant: &TenantId) -> Result<Self> {
        let offsets = meta.offsets(tenant).await?;
        let skipped = meta.skipped(tenant).await?;
        Ok(Self::new(offsets, skipped))
    }

    /// From the positions of streams, and what was skipped before those.
    pub fn new(offsets: Vec<Offset>, skipped: Vec<Skipped>) -> Self {
        Self {
            next: offsets.into_iter().map(|o| (o.stream, o.next)).collect(),
            skipped: skipped.into_iter().collect(),
        }
    }

    /// The part of one stream. Nothing is applied of a stream without a position.
    pub fn to(&self, stream: StreamId) -> AppliedTo<'_> {
        AppliedTo {
            stream,
            next: self.next.get(&stream).copied().unwrap_or(0),
            skipped: &self.skipped,
        }
    }
}

/// How far workers came in a stream, and what they skipped before.
#[derive(Clone, Copy, Debug)]
pub struct AppliedTo<'a> {
    /// A partition of a topic.
    pub stream: StreamId,
    /// The first offset that is not applied yet.
    pub next: u64,
    skipped: &'a SkippedOffsets,
}

impl AppliedTo<'_> {
    /// Whether an entry was skipped.
    pub fn is_skipped(&self, offset: u64) -> bool {
        self.skipped.contains(self.stream, offset)
    }
}

/// The part of a cluster's engine state that the log cannot rebuild within its retention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRow {
    /// Name of the cluster.
    pub cluster: String,
    /// Incidents and sequence numbers as JSON.
    pub state: String,
    /// When the cluster's last record was applied.
    pub last_record: Time,
    /// When the last record arrived; `None` leaves the stored time unchanged.
    #[serde(default)]
    pub last_arrival: Option<Time>,
    /// Sizes of the live state; `None` leaves the stored ones unchanged.
    pub counts: Option<ClusterCounts>,
}

impl ClusterRow {
    /// When its last record arrived. The time of a record is what its sender says; rows of earlier
    /// versions have no other.
    pub fn last_seen(&self) -> Time {
        self.last_arrival.unwrap_or(self.last_record)
    }
}

/// Sizes of a cluster's live state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClusterCounts {
    /// Live resources.
    pub resources: usize,
    /// Valid edges.
    pub edges: usize,
    /// Episodes in the window.
    pub episodes: usize,
    /// Incidents that are not resolved.
    pub incidents: usize,
}

/// An answer that a batch changed.
#[derive(Clone, Debug)]
pub struct AnswerRow {
    /// The incident's key.
    pub key: u64,
    /// The scorer that ranked the causes.
    pub scorer: Scorer,
    /// The answer; the store fills in its `incident_id`.
    pub answer: Answer,
}

/// Everything that a batch changed, written in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Epoch of the lease under which the batch was processed.
    pub epoch: i64,
    /// New positions of the streams.
    pub offsets: Vec<Offset>,
    /// Entries before these positions that were not applied.
    pub skipped: Vec<Skipped>,
    /// Amounts to add to usage counters.
    pub usage: UsageCounts,
    /// Clusters whose state changed.
    pub clusters: Vec<ClusterRow>,
    /// Incidents that changed; their numbers are reserved already.
    pub incidents: Vec<IncidentRow>,
    /// New transitions by the incident's key.
    pub transitions: Vec<(u64, Transition)>,
    /// Answers that changed; each is valid from the end of its window on.
    pub answers: Vec<AnswerRow>,
    /// Jobs that these changes cause.
    pub jobs: Vec<NewJob>,
    /// The job that plans notifications of the transitions, for a tenant that has receivers.
    pub plan: Option<NewJob>,
}

/// Progress of workers.
#[async_trait::async_trait]
pub trait Progress: Send + Sync {
    /// How far each stream of a tenant has been processed.
    async fn offsets(&self, tenant: &TenantId) -> Result<Vec<Offset>>;
    /// What was skipped of a tenant's log, ordered by stream and offset.
    async fn skipped(&self, tenant: &TenantId) -> Result<Vec<Skipped>>;
    /// Forgets what was skipped and received before an instant, where the log no longer has it:
    /// on streams that are not compacted.
    async fn forget_skipped(&self, tenant: &TenantId, before: Time) -> Result<()>;
    /// Forgets what was skipped before these positions, where compaction removed it.
    async fn forget_compacted(&self, tenant: &TenantId, compacted: &[Offset]) -> Result<()>;
    /// Stored engine state of a tenant's clusters.
    async fn clusters(&self, tenant: &TenantId) -> Result<Vec<ClusterRow>>;
    /// Writes what a batch changed. Fails with `Fenced` when its epoch is no longer current.
    async fn commit(&self, tenant: &TenantId, partition: u32, commit: Commit) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Topic;

    #[test]
    fn skipped_offsets_are_those_of_the_ranges() {
        let stream = |topic| StreamId {
            topic,
            partition: 1,
        };
        let (events, logs) = (stream(Topic::Events), stream(Topic::Logs));
        let range = |first, last| Skipped {
            stream: events,
            first,
            last,
            reason: "refused".into(),
            received_at: Time(1),
        };
        let skipped: SkippedOffsets = [range(3, 5), range(9, 9)].into_iter().collect();
        let found: Vec<u64> = (0..12).filter(|n| skipped.contains(events, *n)).collect();
        assert_eq!(found, [3, 4, 5, 9]);
        assert!(!skipped.contains(logs, 4));
    }
}
