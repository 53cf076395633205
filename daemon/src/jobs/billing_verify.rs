//! `billing.verify`: counts the billable events in a tenant's log again, day by day, and compares
//! them with what was charged.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kgrca_core::api::VerifiedDay;
use kgrca_core::billing::Metric;
use kgrca_core::engine::{Sequences, is_billable};
use kgrca_core::jobs::Job;
use kgrca_core::model::time::DAY;
use kgrca_core::model::{Record, Str};
use kgrca_core::parse::{self, Context};
use kgrca_core::storage::{Error, Stored, StreamId, partition_of};
use kgrca_core::tenancy::{Tenant, TenantId};
use serde::Deserialize;
use serde_json::json;

use super::{Outcome, Progress, payload, tenant_of};
use crate::usecases::App;

/// Log entries that are read at once.
const PAGE: usize = 10_000;

/// The days to compare, from `from` to before `to`.
#[derive(Deserialize)]
struct Days {
    from: String,
    to: String,
}

pub(super) async fn run(app: &App, job: &Job, progress: &Progress) -> Result<Outcome, Error> {
    let Days { from, to } = payload(job)?;
    let id = tenant_of(job)?;
    let Some(tenant) = app.stores.meta.tenant(id.as_str()).await? else {
        return Ok(Outcome::Done(json!({ "items": [] })));
    };
    let recount = Recount::of_log(app, &id, &tenant, progress).await?;
    let rows = app.stores.meta.usage(&id, &from, &to).await?;
    let charged: BTreeMap<String, i64> = rows
        .into_iter()
        .filter(|row| row.metric == Metric::EventsIngested)
        .map(|row| (row.day, row.amount))
        .collect();
    let in_log = recount
        .events
        .keys()
        .filter(|day| **day >= from && **day < to);
    let days: BTreeSet<&String> = charged.keys().chain(in_log).collect();
    let items: Vec<VerifiedDay> = days
        .into_iter()
        .map(|day| recount.compare(day, charged.get(day).copied().unwrap_or(0)))
        .collect();
    Ok(Outcome::Done(json!({ "items": items })))
}

/// The events of a log, as the engine charges for them.
#[derive(Default)]
struct Recount {
    events: BTreeMap<String, i64>,
    /// The first day of which the log still holds everything.
    complete_from: String,
}

impl Recount {
    /// Counts up to what was committed.
    async fn of_log(
        app: &App,
        id: &TenantId,
        tenant: &Tenant,
        progress: &Progress,
    ) -> Result<Self, Error> {
        let mut recount = Self::default();
        let offsets = app.stores.meta.offsets(id).await?;
        let metered: Vec<_> = offsets
            .into_iter()
            .filter(|offset| offset.stream.topic.signal().is_metered)
            .collect();
        for (i, offset) in metered.iter().enumerate() {
            progress.set(format!("stream {} of {}", i + 1, metered.len()));
            let mut counter = StreamCounter::new(id, tenant, offset.stream);
            let mut from = 0;
            while from < offset.next {
                let read = app.stores.log.read(id, offset.stream, from, PAGE).await?;
                let (Some(first), Some(last)) = (read.first(), read.last()) else {
                    break;
                };
                if from == 0 && first.offset > 0 {
                    // Retention removed the beginning, which may be a part of this day.
                    let complete = first.received_at.plus(DAY).day();
                    recount.complete_from =
                        std::mem::take(&mut recount.complete_from).max(complete);
                }
                from = last.offset + 1;
                for stored in read.iter().filter(|stored| stored.offset < offset.next) {
                    if counter.is_charged(stored) {
                        *recount.events.entry(stored.received_at.day()).or_default() += 1;
                    }
                }
            }
        }
        Ok(recount)
    }

    fn compare(&self, day: &str, counted: i64) -> VerifiedDay {
        let is_complete = *day >= *self.complete_from;
        let in_log = is_complete.then(|| self.events.get(day).copied().unwrap_or(0));
        VerifiedDay {
            day: day.to_owned(),
            counted,
            in_log,
            agrees: in_log.map(|n| n == counted),
        }
    }
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

    fn is_charged(&mut self, stored: &Stored) -> bool {
        // What an import brought was charged for by the installation that it came from.
        if stored.received_at < self.tenant.created_at {
            return false;
        }
        let context = Context {
            received_at: stored.received_at,
            cluster: std::str::from_utf8(&stored.key).ok(),
            client_id: Some(self.id.as_str()),
        };
        self.records.clear();
        let topic = self.stream.topic;
        if parse::parse(topic, &stored.value, &context, &mut self.records).is_err() {
            return false;
        }
        let Some(first) = self.records.first() else {
            return false;
        };
        // An entry in another partition than its own was forwarded, and is counted there.
        let own = partition_of(self.id, &first.cluster, self.tenant.partitions);
        if own != self.stream.partition {
            return false;
        }
        let mut new_records = 0;
        for record in self.records.drain(..) {
            let sequences = self.clusters.entry(record.cluster.clone()).or_default();
            if sequences.admit(topic, &record, record.at) {
                new_records += 1;
            }
        }
        is_billable(topic, new_records)
    }
}
