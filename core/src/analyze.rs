//! Records in, causes out: one input is one or more clusters at one instant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::engine::{Applied, ClusterState};
use crate::model::{Body, Record, Str, Time, Topic};
use crate::parse::{self, Context, Reason};
use crate::rca::{self, Cause, EngineInfo, Scorer, Verdict};

/// How an input is read and judged.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The instant to look at; the newest record's time when absent.
    pub at: Option<Time>,
    /// Only causes of this namespace, and of things outside namespaces.
    pub namespace: Option<String>,
    /// Which formula ranks.
    pub scorer: Scorer,
    /// Most causes to keep.
    pub top: usize,
    /// When the input was read: stands in for missing times.
    pub now: Time,
}

/// What became of the input's records; `seen = applied + duplicate + rejected`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Counts {
    /// Records that were read.
    pub seen: u64,
    /// Records that changed the state.
    pub applied: u64,
    /// Records that had been seen.
    pub duplicate: u64,
    /// Records that could not be taken.
    pub rejected: u64,
}

/// A record that could not be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rejected {
    /// Line or item, from 1.
    pub line: u64,
    /// Word of the reason.
    pub reason: String,
    /// What is wrong.
    pub message: String,
}

/// An incident of the input in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IncidentSummary {
    /// Number within this input, `inc-<n>`.
    pub incident_id: String,
    /// The cluster.
    pub cluster: String,
    /// Onset of its first symptom.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Time,
    /// The worst severity of its symptoms.
    pub severity: crate::model::Severity,
    /// How many symptoms belong to it.
    pub symptoms: usize,
    /// Its first cause, as `component fault`.
    pub cause: Option<String>,
    /// Its own ranking; told as one with those of the others.
    #[serde(skip)]
    pub causes: Vec<Cause>,
}

/// The answer for one input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Analysis {
    /// What was read.
    pub input: String,
    /// The verdict over all incidents.
    pub verdict: Verdict,
    /// The causes over all incidents in one ranking.
    pub causes: Vec<Cause>,
    /// The incidents.
    pub incidents: Vec<IncidentSummary>,
    /// What would raise the confidence.
    pub missing_evidence: Vec<String>,
    /// What became of the records.
    pub records: Counts,
    /// The first hundred records that could not be taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<Rejected>,
    /// Which engine answered.
    pub engine: EngineInfo,
}

/// Reads JSON lines, or one JSON document over several lines.
pub fn analyze(input: &str, bytes: &[u8], options: &Options) -> Analysis {
    let mut reader = Reader {
        options,
        records: Vec::new(),
        counts: Counts::default(),
        rejects: Vec::new(),
    };
    if let Some(documents) = documents(bytes) {
        for (i, document) in documents.iter().enumerate() {
            reader.document(i as u64 + 1, document.get().as_bytes());
        }
    } else {
        for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
            reader.line(i as u64 + 1, line);
        }
    }
    reader.finish(input)
}

/// JSON values that span lines, as one or more runs of `kubectl -o json` print them; `None` when
/// the input is lines.
fn documents(bytes: &[u8]) -> Option<Vec<&RawValue>> {
    let first = bytes
        .split(|b| *b == b'\n')
        .map(<[u8]>::trim_ascii)
        .find(|l| !l.is_empty())
        .unwrap_or_default();
    let spans_lines = matches!(first.first(), Some(b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(first).is_err();
    spans_lines.then(|| {
        serde_json::Deserializer::from_slice(bytes)
            .into_iter()
            .collect::<Result<_, _>>()
            .ok()
    })?
}

struct Reader<'a> {
    options: &'a Options,
    records: Vec<Record>,
    counts: Counts,
    rejects: Vec<Rejected>,
}

/// Stands for the cluster of records that name none until the input's only cluster is known.
const UNNAMED: &str = "\u{0}";

impl Reader<'_> {
    fn document(&mut self, number: u64, bytes: &[u8]) {
        if let Ok(items) = serde_json::from_slice::<Vec<&RawValue>>(bytes) {
            for (i, item) in items.iter().enumerate() {
                self.line(i as u64 + 1, item.get().as_bytes());
            }
        } else {
            self.line(number, bytes);
        }
    }

    fn line(&mut self, number: u64, line: &[u8]) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        // Files have no arrival: only an explicit `--at` says what lies in the future.
        let context = Context {
            received_at: self.options.at.unwrap_or(self.options.now),
            cluster: Some(UNNAMED),
            client_id: None,
        };
        let before = self.records.len();
        let mut inner = Vec::new();
        match parse::parse_any(line, &context, &mut self.records, &mut inner) {
            Ok(None) => {}
            Ok(Some(_)) => self.counts.seen += (self.records.len() - before) as u64,
            Err(reject) => inner.push(reject),
        }
        for reject in inner {
            self.reject(number, reject.reason, reject.message);
        }
    }

    fn reject(&mut self, line: u64, reason: Reason, message: String) {
        self.counts.seen += 1;
        self.counts.rejected += 1;
        if self.rejects.len() < 100 {
            self.rejects.push(Rejected {
                line,
                reason: reason.as_str().to_owned(),
                message,
            });
        }
    }

    /// Gives records without a cluster the input's only one; of several nobody can tell which.
    fn settle_clusters(&mut self) {
        let mut named: Vec<Str> = self
            .records
            .iter()
            .map(|r| r.cluster.clone())
            .filter(|c| &**c != UNNAMED)
            .collect();
        named.sort();
        named.dedup();
        if named.len() <= 1 {
            let only = named.pop().unwrap_or_else(|| "default".into());
            self.records
                .iter_mut()
                .filter(|r| &*r.cluster == UNNAMED)
                .for_each(|r| r.cluster = only.clone());
            return;
        }
        let before = self.records.len();
        self.records.retain(|r| &*r.cluster != UNNAMED);
        for _ in self.records.len()..before {
            self.counts.seen -= 1;
            self.reject(
                0,
                Reason::ClusterMissing,
                "the record names no cluster and the input has several".into(),
            );
        }
    }

    fn finish(mut self, input: &str) -> Analysis {
        self.settle_clusters();
        let stamp = self.options.at.unwrap_or(self.options.now);
        // A record without a time was stamped with the reading; it belongs to the newest instant
        // that the input knows.
        let newest = self
            .records
            .iter()
            .map(|r| r.at)
            .filter(|t| *t != stamp)
            .max();
        let now = self.options.at.or(newest).unwrap_or(stamp);
        for record in self.records.iter_mut().filter(|r| r.at == stamp) {
            record.at = now;
        }
        let mut clusters: BTreeMap<Str, ClusterState> = BTreeMap::new();
        self.admit(&mut clusters);
        self.records.sort_by_key(|a| (a.at, topic(a)));
        for record in std::mem::take(&mut self.records) {
            let state = clusters
                .entry(record.cluster.clone())
                .or_insert_with(|| ClusterState::new(record.cluster.clone()));
            match state.apply(record) {
                Applied::Applied => self.counts.applied += 1,
                Applied::Duplicate => self.counts.duplicate += 1,
            }
        }
        let (mut causes, mut incidents, mut missing, mut hurts) =
            (Vec::new(), Vec::new(), Vec::new(), false);
        for state in clusters.values_mut() {
            let evaluation = state.evaluate(now);
            hurts |= evaluation.symptoms > 0;
            missing.extend(evaluation.missing_evidence);
            for ranked in evaluation.ranked {
                let found = self.pick(ranked.causes(self.options.scorer));
                causes.extend(found.iter().cloned());
                incidents.push(summary(state, ranked.key, found));
            }
        }
        incidents.sort_by(|a: &IncidentSummary, b| {
            (a.started_at, &a.cluster).cmp(&(b.started_at, &b.cluster))
        });
        for (i, incident) in incidents.iter_mut().enumerate() {
            incident.incident_id = format!("inc-{}", i + 1);
        }
        let mut causes = rca::merge(causes);
        if self.options.top > 0 {
            causes.truncate(self.options.top);
        }
        missing.sort();
        missing.dedup();
        // What could not be read may hurt: that nothing else does, says nothing then.
        let unread = self.counts.rejected > self.counts.seen - self.counts.rejected;
        if unread {
            missing.push(format!(
                "{} of {} records could not be read",
                self.counts.rejected, self.counts.seen
            ));
        }
        let verdict = rca::verdict(&causes, hurts || unread);
        Analysis {
            input: input.to_owned(),
            verdict,
            causes,
            incidents,
            missing_evidence: missing,
            records: self.counts,
            rejects: self.rejects,
            engine: EngineInfo::this(self.options.scorer),
        }
    }

    /// Leaves out what a sender's stream has brought before, in the order of the input.
    fn admit(&mut self, clusters: &mut BTreeMap<Str, ClusterState>) {
        let before = self.records.len();
        self.records.retain(|record| {
            let name = &record.cluster;
            clusters
                .entry(name.clone())
                .or_insert_with(|| ClusterState::new(name.clone()))
                .admit(topic(record), record)
        });
        self.counts.duplicate += (before - self.records.len()) as u64;
    }

    fn pick(&self, causes: &[Cause]) -> Vec<Cause> {
        let wanted = |c: &&Cause| {
            self.options
                .namespace
                .as_deref()
                .is_none_or(|n| c.namespace.is_empty() || c.namespace == n)
        };
        causes.iter().filter(wanted).cloned().collect()
    }
}

/// The topic a record travels on; records of one instant are applied in the order of topics.
fn topic(record: &Record) -> Topic {
    match record.body {
        Body::State(..) | Body::Sync { .. } => Topic::Resource,
        Body::Topology(..) => Topic::Topology,
        Body::Event(_) => Topic::Events,
        Body::Log(_) => Topic::Logs,
        Body::Alert(_) => Topic::Alerts,
        Body::Tick | Body::Act(_) => Topic::Control,
    }
}

fn summary(state: &ClusterState, key: u64, causes: Vec<Cause>) -> IncidentSummary {
    let incident = state.incidents.get(key);
    IncidentSummary {
        incident_id: String::new(),
        cluster: state.name.to_string(),
        started_at: incident.map(|i| i.started).unwrap_or_default(),
        severity: incident
            .map(crate::incident::Incident::severity)
            .unwrap_or_default(),
        symptoms: incident.map_or(0, |i| i.members.len()),
        cause: causes
            .first()
            .map(|c| format!("{} {}", c.component, c.fault_type)),
        causes,
    }
}
