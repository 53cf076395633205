//! Counts the billable events in a tenant's log again, day by day.

mod gaps;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kgrca_core::api::{DamagedRecords, Page, VerifiedDay};
use kgrca_core::billing::Metric;
use kgrca_core::engine::{Sequences, events_of};
use kgrca_core::model::{Record, Str, Topic};
use kgrca_core::parse::{self, Context};
use kgrca_core::storage::{SkippedOffsets, Stored, StreamId, partition_of};
use kgrca_core::tenancy::{Tenant, TenantId};

use crate::usecases::actor::Actor;
use crate::usecases::app::App;
use crate::usecases::error::Result;
use crate::usecases::tenants::{self, FoundTenant};
use crate::usecases::usage::DaySpan;
use gaps::{DaysOfStream, Gap};

/// Log entries that are read at once.
const PAGE: usize = 10_000;

/// Counts what a tenant's log holds, and compares it with what was charged.
/// Reports its progress to `progress`.
///
/// # Errors
/// `forbidden` unless the actor may read what tenants owe; `not_found` without such a tenant.
pub async fn run(
    app: &App,
    actor: &Actor,
    client_id: &str,
    days: &DaySpan,
    progress: impl Fn(String),
) -> Result<Page<VerifiedDay>> {
    actor.accountant()?;
    let tenant = tenants::find(app, client_id).await?;
    let in_log = EventsOfLog::count(app, &tenant, progress).await?;
    let rows = app
        .stores
        .meta
        .usage(&tenant.id, &days.from, &days.to)
        .await?;
    let charged: BTreeMap<String, i64> = rows
        .into_iter()
        .filter(|row| row.metric == Metric::EventsIngested)
        .map(|row| (row.day, row.amount))
        .collect();
    let counted = in_log
        .events
        .keys()
        .filter(|day| **day >= days.from && **day < days.to);
    let all: BTreeSet<&String> = charged.keys().chain(counted).collect();
    let items = all
        .into_iter()
        .map(|day| in_log.compare(day, charged.get(day).copied().unwrap_or(0)))
        .collect();
    Ok(Page { items, next: None })
}

/// The events of a log, as the engine charges for them.
#[derive(Default)]
struct EventsOfLog {
    events: BTreeMap<String, i64>,
    /// The first day of which the log still holds everything.
    complete_from: String,
    gaps: Vec<Gap>,
}

impl EventsOfLog {
    /// Counts up to what was committed.
    async fn count(app: &App, tenant: &FoundTenant, progress: impl Fn(String)) -> Result<Self> {
        let FoundTenant { id, row } = tenant;
        let (mut counted, mut streams) = (Self::default(), Vec::new());
        let offsets = app.stores.meta.offsets(id).await?;
        let skipped: SkippedOffsets = app.stores.meta.skipped(id).await?.into_iter().collect();
        let metered: Vec<_> = offsets
            .into_iter()
            .filter(|offset| offset.stream.topic.signal().is_metered)
            .collect();
        for (i, offset) in metered.iter().enumerate() {
            progress(format!("stream {} of {}", i + 1, metered.len()));
            let mut counter = StreamCounter::new(id, row, offset.stream);
            let mut days = DaysOfStream::default();
            let mut from = 0;
            while from < offset.next {
                let read = app.stores.log.read(id, offset.stream, from, PAGE).await?;
                let Some(last) = read.last() else {
                    break;
                };
                from = last.offset + 1;
                days.note(&read);
                let is_applied = |stored: &&Stored| {
                    stored.offset < offset.next && !skipped.contains(offset.stream, stored.offset)
                };
                for stored in read.iter().filter(is_applied) {
                    let events = counter.events_of(stored) as i64;
                    if events > 0 {
                        *counted.events.entry(stored.received_at.day()).or_default() += events;
                    }
                }
            }
            streams.push((offset.stream, days));
        }
        // Damage that was not known is found while the log is read.
        counted.compare_with_damage(&streams, tenants::damaged(app, id).await?);
        Ok(counted)
    }

    /// Notes from which day on the log is complete, and where it is not because it was damaged.
    fn compare_with_damage(
        &mut self,
        streams: &[(StreamId, DaysOfStream)],
        damaged: Vec<DamagedRecords>,
    ) {
        for (stream, days) in streams {
            let is_here = |of: &&DamagedRecords| {
                of.topic == stream.topic.as_str() && of.partition == stream.partition
            };
            let here: Vec<&DamagedRecords> = damaged.iter().filter(is_here).collect();
            if let Some(complete) = days.complete_from(&here) {
                let before = std::mem::take(&mut self.complete_from);
                self.complete_from = before.max(complete);
            }
            self.gaps
                .extend(here.into_iter().map(|records| days.gap(records)));
        }
    }

    fn compare(&self, day: &str, counted: i64) -> VerifiedDay {
        let is_complete = *day >= *self.complete_from;
        let in_log = is_complete.then(|| self.events.get(day).copied().unwrap_or(0));
        let mut damaged = Vec::new();
        if in_log.is_some_and(|n| n < counted) {
            let gaps = self.gaps.iter().filter(|gap| gap.covers(day));
            damaged.extend(gaps.map(|gap| gap.records.clone()));
        }
        let in_doubt = in_log.is_some_and(|n| may_be_missing(&damaged, counted - n));
        VerifiedDay {
            day: day.to_owned(),
            counted,
            in_log,
            agrees: in_log.filter(|_| !in_doubt).map(|n| n == counted),
            damaged,
        }
    }
}

/// Whether so many events may have been in what was damaged. A record of alerts has any number of
/// events, each other one at most one.
fn may_be_missing(damaged: &[DamagedRecords], events: i64) -> bool {
    let is_open = |of: &DamagedRecords| of.has_unknown || of.topic == Topic::Alerts.as_str();
    let records: u64 = damaged.iter().map(|of| of.records).sum();
    damaged.iter().any(is_open) || (!damaged.is_empty() && events <= records as i64)
}

/// Decides for the entries of one stream, in their order, which are charged for.
struct StreamCounter<'a> {
    id: &'a TenantId,
    tenant: &'a Tenant,
    stream: StreamId,
    clusters: HashMap<Str, Sequences>,
    records: Vec<Record>,
}

impl<'a> StreamCounter<'a> {
    fn new(id: &'a TenantId, tenant: &'a Tenant, stream: StreamId) -> Self {
        Self {
            id,
            tenant,
            stream,
            clusters: HashMap::new(),
            records: Vec::new(),
        }
    }

    fn events_of(&mut self, stored: &Stored) -> u64 {
        // What an import brought was charged for by the installation that it came from.
        if stored.received_at < self.tenant.created_at {
            return 0;
        }
        let context = Context {
            received_at: stored.received_at,
            cluster: std::str::from_utf8(&stored.key).ok(),
            client_id: Some(self.id.as_str()),
        };
        self.records.clear();
        let topic = self.stream.topic;
        if parse::parse_stored(topic, &stored.value, &context, &mut self.records).is_err() {
            return 0;
        }
        let Some(first) = self.records.first() else {
            return 0;
        };
        // An entry in another partition than its own was forwarded, and is counted there.
        let own = partition_of(self.id, &first.cluster, self.tenant.partitions);
        if own != self.stream.partition {
            return 0;
        }
        let mut new_records = 0;
        for record in self.records.drain(..) {
            let sequences = self.clusters.entry(record.cluster.clone()).or_default();
            if sequences.admit(topic, &record, record.at) {
                new_records += 1;
            }
        }
        events_of(topic, new_records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damaged(topic: Topic, records: u64, has_unknown: bool) -> DamagedRecords {
        DamagedRecords {
            topic: topic.as_str().to_owned(),
            partition: 0,
            first: 7,
            records,
            has_unknown,
        }
    }

    #[test]
    fn damage_excuses_as_many_events_as_it_can_have_held() {
        let logs = [
            damaged(Topic::Logs, 2, false),
            damaged(Topic::Events, 1, false),
        ];
        assert!(may_be_missing(&logs, 3) && !may_be_missing(&logs, 4));
        assert!(may_be_missing(&[damaged(Topic::Logs, 0, true)], 1000));
        assert!(may_be_missing(&[damaged(Topic::Alerts, 1, false)], 1000));
        assert!(!may_be_missing(&[], 1));
    }
}
