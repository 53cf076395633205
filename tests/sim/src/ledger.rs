//! What was committed, added up independently of the database, and checked with each commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kgrca_core::billing::Metric;
use kgrca_core::model::Topic;
use kgrca_core::storage::sql::Value;
use kgrca_core::storage::{Stored, StreamId};

use crate::database::Statement;
use crate::log::{Brokers, Topics};
use crate::port::Shared;
use crate::story::REFUSED;

/// Sums of one tenant.
#[derive(Default)]
pub struct Sums {
    positions: BTreeMap<(String, i64), i64>,
    usage: BTreeMap<String, i64>,
}

impl Sums {
    pub fn of(&self, metric: Metric) -> i64 {
        self.usage.get(metric.as_str()).copied().unwrap_or(0)
    }
}

/// The sums of all tenants.
pub struct Ledger {
    tenants: Mutex<BTreeMap<String, Sums>>,
    brokers: Brokers,
}

/// The distinct records of a log by their source and number, as the engine must count them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distinct {
    pub records: i64,
    pub metered: i64,
}

/// The source and number of a record; `None` for ticks and tombstones.
pub fn identity(topic: Topic, value: &[u8]) -> Option<(Topic, String, u64)> {
    let json: serde_json::Value = serde_json::from_slice(value).ok()?;
    let source = format!("{}/{}", json["cluster"], json["src"].as_str()?);
    Some((topic, source, json["seq"].as_u64()?))
}

/// Whether the graphs' server refuses a record: it is neither applied nor charged.
fn is_refused(stored: &Stored) -> bool {
    String::from_utf8_lossy(&stored.value).contains(REFUSED)
}

/// Counts the distinct records of a tenant's log that can be applied.
pub fn distinct(topics: &Topics) -> Distinct {
    let of = |(stream, stored): (StreamId, &Stored)| {
        let identity = identity(stream.topic, &stored.value);
        identity.filter(|_| !is_refused(stored))
    };
    let all: BTreeSet<_> = topics.records().filter_map(of).collect();
    Distinct {
        records: all.len() as i64,
        metered: all.iter().filter(|(t, ..)| t.signal().is_metered).count() as i64,
    }
}

/// How many distinct records of a tenant's log the graphs' server refuses, and how many dead
/// letters there are.
pub fn refused_and_letters(topics: &Topics) -> [usize; 2] {
    let refused = topics.records().filter(|(_, stored)| is_refused(stored));
    let refused = refused.filter_map(|(stream, s)| identity(stream.topic, &s.value));
    let is_letter = |(stream, _): &(StreamId, &Stored)| stream.topic == Topic::Dlq;
    [
        refused.collect::<BTreeSet<_>>().len(),
        topics.records().filter(is_letter).count(),
    ]
}

fn int(value: &Value) -> i64 {
    match value {
        Value::Int(number) => number.unwrap_or_default(),
        Value::Text(_) => 0,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone().unwrap_or_default(),
        Value::Int(_) => String::new(),
    }
}

impl Ledger {
    pub fn new(brokers: Brokers) -> Self {
        Self {
            tenants: Mutex::default(),
            brokers,
        }
    }

    pub fn tenants(&self) -> MutexGuard<'_, BTreeMap<String, Sums>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a transaction wrote.
    pub fn committed(&self, shared: &Shared, writes: &[Statement]) {
        let mut changed = BTreeSet::new();
        let mut applied = BTreeSet::new();
        let mut moved = BTreeSet::new();
        for (sql, values) in writes {
            if sql.starts_with("INSERT INTO offsets") {
                moved.extend(values.first().map(text));
                self.position(shared, values);
            } else if sql.starts_with("INSERT INTO usage_metrics") && sql.contains("+ excluded") {
                let [tenant, _, metric, amount] = &values[..] else {
                    continue;
                };
                let mut tenants = self.tenants();
                let sums = tenants.entry(text(tenant)).or_default();
                *sums.usage.entry(text(metric)).or_default() += int(amount);
                changed.insert(text(tenant));
                if text(metric) == Metric::RecordsApplied.as_str() {
                    applied.insert(text(tenant));
                }
            }
        }
        for tenant in applied.difference(&moved) {
            shared.violated(format!(
                "positions: {tenant}: records were applied, and no position with them"
            ));
        }
        for tenant in changed {
            self.check_usage(shared, &tenant);
        }
    }

    fn position(&self, shared: &Shared, values: &[Value]) {
        let [tenant, topic, partition, next] = values else {
            return;
        };
        let (tenant, name, number) = (text(tenant), text(topic), int(partition));
        let all = self.brokers.all();
        let end = all
            .iter()
            .find(|(id, _)| id.as_str() == tenant)
            .zip(Topic::parse(&name))
            .map(|((_, topics), topic)| {
                let partition = number as u32;
                topics.end(StreamId { topic, partition })
            });
        let mut tenants = self.tenants();
        let sums = tenants.entry(tenant.clone()).or_default();
        let before = sums.positions.insert((name.clone(), number), int(next));
        if before.unwrap_or(0) > int(next) || end.is_some_and(|end| int(next) > end as i64) {
            shared.violated(format!(
                "positions: {tenant} {name}/{number} went from {before:?} to {}, the log ends at \
                 {end:?}",
                int(next)
            ));
        }
    }

    /// No more may be applied and charged than there is.
    fn check_usage(&self, shared: &Shared, tenant: &str) {
        let all = self.brokers.all();
        let Some((_, topics)) = all.iter().find(|(id, _)| id.as_str() == tenant) else {
            return;
        };
        let there = distinct(topics);
        let tenants = self.tenants();
        let Some(sums) = tenants.get(tenant) else {
            return;
        };
        let applied = sums.of(Metric::RecordsApplied);
        let charged = sums.of(Metric::EventsIngested);
        if applied > there.records || charged > there.metered {
            shared.violated(format!(
                "applied once: {tenant} has {there:?}; {applied} were applied and {charged} charged"
            ));
        }
    }
}
