//! A cluster's live state and how one record changes it.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize, io};

use super::admission::Sequences;
use super::inspect::{HealthChange, Inspected};
use crate::change::{History, ObjectChange};
use crate::episode::{Episodes, Folded};
use crate::graph::{Graph, Idx};
use crate::incident::Registry;
use crate::model::object::Object;
use crate::model::{Body, Kind, Op, Record, Str, Time};

pub(super) type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// The outcome of applying a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It changed the state.
    Applied,
    /// It was seen before.
    Duplicate,
}

/// Everything the engine knows about one cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterState {
    /// Name of the cluster.
    pub name: Str,
    /// Its resources and how they depend on each other.
    pub graph: Graph,
    /// Events, log patterns and alerts of the last hour.
    pub episodes: Episodes,
    /// Incidents that are live or were resolved within the last day.
    pub incidents: Registry,
    /// What was changed on objects within the last day.
    pub history: History,
    /// The newest event time; ticks advance it.
    pub watermark: Time,
    /// The newest event time of a sender's record; ticks do not advance it.
    pub last_record: Time,
    /// Highest `seq` of each sender's stream, and when it was seen.
    pub(super) sequences: Sequences,
    /// Start of the current listing of each kind.
    pub(super) listings: Map<Kind, Time>,
    pub(super) inspected: Inspected,
    /// Incidents for whose causes the last evaluation had no time.
    pub(super) unranked: BTreeSet<u64>,
    pub(super) last_prune: Time,
    /// Whether changes are recorded for the graph store.
    pub(super) journal: bool,
    /// Resources that became healthy or unhealthy since changes were last taken.
    pub(super) health_changes: Vec<HealthChange>,
    /// Changes of objects that the graph store does not have yet.
    pub(super) noted: Vec<ObjectChange>,
    /// When the graph was known to be as it was given, in a comparison of two states.
    pub(super) baseline: Option<Time>,
}

impl ClusterState {
    /// An empty cluster.
    pub fn new(name: impl Into<Str>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// What cannot be rebuilt from the log within its retention, as JSON.
    pub fn save(&self) -> String {
        let saved = Saved {
            incidents: self.incidents.clone(),
            history: self.history.clone(),
            sequences: self
                .sequences
                .0
                .iter()
                .map(|(k, (n, at))| (k.to_string(), Numbered::At(*n, at.0)))
                .collect(),
            watermark: self.watermark,
            last_record: Some(self.last_record),
            listed: self
                .graph
                .listed()
                .map(|(kind, since)| (kind.as_str().to_owned(), since))
                .collect(),
        };
        // Maps with text keys and plain values always serialize.
        serde_json::to_string(&saved).unwrap_or_default()
    }

    /// Restores what [`ClusterState::save`] wrote, after the log was replayed.
    ///
    /// # Errors
    /// When the text does not have the format of `save`.
    pub fn restore(&mut self, saved: &str) -> Result<(), serde_json::Error> {
        let saved: Saved = serde_json::from_str(saved)?;
        self.incidents = saved.incidents;
        // The log may have lost versions that they were found by.
        self.history = saved.history;
        self.watermark = self.watermark.max(saved.watermark);
        let position = |numbered: &Numbered| match numbered {
            Numbered::At(number, at) => (*number, Time(*at)),
            Numbered::Once(number) => (*number, self.watermark),
        };
        let sequences = saved.sequences.iter();
        self.sequences = Sequences(
            sequences
                .map(|(k, v)| (Str::from(k.as_str()), position(v)))
                .collect(),
        );
        self.last_record = self.last_record.max(saved.last_record.unwrap_or_default());
        for (kind, since) in saved.listed {
            self.graph.sync_again(&Kind::parse(&kind), since);
        }
        Ok(())
    }

    /// Everything but what [`ClusterState::save`] writes, as bytes: it saves a restart from reading
    /// the log again.
    ///
    /// # Errors
    /// None in practice: the bytes are written to memory.
    pub fn snapshot(&self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        (
            &self.name,
            self.watermark,
            self.last_record,
            self.last_prune,
        )
            .serialize(&mut out)?;
        let mut listings: Vec<(&Kind, &Time)> = self.listings.iter().collect();
        listings.sort();
        listings.serialize(&mut out)?;
        let mut sequences: Vec<(&Str, &(u64, Time))> = self.sequences.0.iter().collect();
        sequences.sort();
        sequences.serialize(&mut out)?;
        self.inspected.unhealthy.serialize(&mut out)?;
        self.graph.save(&mut out)?;
        self.episodes.save(&mut out)?;
        Ok(out)
    }

    /// Reads what [`ClusterState::snapshot`] wrote.
    ///
    /// # Errors
    /// When the bytes are truncated, damaged or in another format.
    pub fn from_snapshot(bytes: &[u8]) -> io::Result<Self> {
        let input = &mut &*bytes;
        let (name, watermark, last_record, last_prune) = BorshDeserialize::deserialize(input)?;
        let listings = Vec::<(Kind, Time)>::deserialize(input)?
            .into_iter()
            .collect();
        let sequences = Vec::<(Str, (u64, Time))>::deserialize(input)?;
        let sequences = Sequences(sequences.into_iter().collect());
        let unhealthy = BTreeSet::<Idx>::deserialize(input)?;
        let (graph, episodes) = (Graph::load(input)?, Episodes::load(input)?);
        if unhealthy.iter().any(|idx| !graph.has(*idx)) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "an unhealthy resource is missing from the graph",
            ));
        }
        if !input.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} trailing bytes", input.len()),
            ));
        }
        Ok(Self {
            name,
            graph,
            episodes,
            watermark,
            last_record,
            sequences,
            listings,
            inspected: Inspected::with_unhealthy(unhealthy),
            last_prune,
            ..Self::default()
        })
    }

    /// Whether a record is new by its sender's `seq`; records without one always are. Must be
    /// called in the order of the log.
    pub fn admit(&mut self, topic: crate::model::Topic, record: &Record) -> bool {
        let at = self.watermark.max(record.at);
        self.sequences.admit(topic, record, at)
    }

    /// Drops streams that ended: each log file of a node is one. Senders that repeat a record do so
    /// within a day.
    pub(super) fn prune_streams(&mut self, now: Time) {
        self.sequences.prune(now.plus(-STREAM_RETENTION));
    }

    /// Applies one record. Only records change what is known about the cluster.
    pub fn apply(&mut self, record: Record) -> Applied {
        self.watermark = self.watermark.max(record.at);
        if !matches!(record.body, Body::Tick | Body::Act(_)) {
            self.last_record = self.last_record.max(record.at);
        }
        match record.body {
            Body::State(op, object) => self.object(op, record.at, object),
            Body::Sync { kind, since } => {
                let first = self.listings.remove(&kind).unwrap_or(record.at);
                let since = since.unwrap_or(first);
                for idx in self.graph.sync(&kind, since, record.at) {
                    self.note_end(idx, record.at);
                }
                Applied::Applied
            }
            Body::Topology(op, edge) => {
                self.graph.state_edge(op, record.at, &edge);
                Applied::Applied
            }
            Body::Event(event) => folded(self.episodes.event(*event)),
            Body::Log(line) => {
                self.episodes.log(*line, record.at);
                Applied::Applied
            }
            Body::Alert(alert) => folded(self.episodes.alert(*alert)),
            Body::Change(change) => {
                self.note_reported(record.at, &change);
                Applied::Applied
            }
            Body::Tick => Applied::Applied,
            Body::Act(act) => {
                self.incidents.act(&act, record.at);
                Applied::Applied
            }
        }
    }

    fn object(&mut self, op: Op, at: Time, object: Box<Object>) -> Applied {
        if op == Op::Delete {
            if let Some(idx) = self.graph.delete(at, &object.meta) {
                self.note_end(idx, at);
            }
            return Applied::Applied;
        }
        if self.listings.len() < MAX_KINDS && !self.listings.contains_key(&object.meta.kind) {
            self.listings.insert(object.meta.kind.clone(), at);
        }
        let known = object
            .meta
            .uid
            .as_ref()
            .and_then(|uid| self.graph.find_uid(uid))
            .map(|i| self.graph.get(i));
        let is_known = known.is_some_and(|k| {
            let version = k.object.as_deref().and_then(|o| o.meta.version);
            k.is_live() && k.updated >= at && version.is_some() && object.meta.version == version
        });
        if is_known {
            return Applied::Duplicate;
        }
        self.note_version(at, &object);
        self.graph.upsert(at, object);
        Applied::Applied
    }
}

/// Of how many kinds listings are followed. A sender that states when a listing began needs none.
const MAX_KINDS: usize = 1000;
/// How long a sender's stream is kept after its last record, in microseconds.
const STREAM_RETENTION: i64 = 26 * 60 * crate::model::time::MINUTE;

/// Position of a stream: its highest number and when it was seen, or the number alone as earlier
/// versions wrote it.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Numbered {
    At(u64, i64),
    Once(u64),
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Saved {
    incidents: Registry,
    #[serde(default, skip_serializing_if = "History::is_empty")]
    history: History,
    sequences: std::collections::BTreeMap<String, Numbered>,
    watermark: Time,
    #[serde(default)]
    last_record: Option<Time>,
    /// When the last listing of each kind began. The log may have lost its end: of a day it keeps
    /// the one that was appended last, which need not be the one that reaches furthest.
    #[serde(default)]
    listed: std::collections::BTreeMap<String, Time>,
}

fn folded(folded: Folded) -> Applied {
    match folded {
        Folded::New => Applied::Applied,
        Folded::Known => Applied::Duplicate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Topic;
    use crate::parse::{Context, parse};

    fn apply(state: &mut ClusterState, text: &str) {
        let mut records = Vec::new();
        let context = Context {
            received_at: Time::parse("2026-01-01T10:00:00Z").unwrap_or_default(),
            ..Context::default()
        };
        parse(Topic::Resource, text.as_bytes(), &context, &mut records).unwrap();
        state.apply(records.remove(0));
    }

    fn pod(at: &str, name: &str) -> String {
        format!(
            r#"{{"at":"2026-01-01T{at}Z","cluster":"prod","kind":"Pod","namespace":"n",
            "name":"{name}","uid":"{name}"}}"#
        )
    }

    fn listing(at: &str, since: &str) -> String {
        format!(
            r#"{{"op":"SYNC","at":"2026-01-01T{at}Z","since":"2026-01-01T{since}Z",
            "cluster":"prod","kind":"Pod"}}"#
        )
    }

    /// The log keeps one end of a listing of each kind and day: that which was appended last.
    #[test]
    fn a_late_end_of_an_earlier_listing_replaces_no_later_one() {
        let mut state = ClusterState::new("prod");
        apply(&mut state, &pod("08:00:00", "gone"));
        apply(&mut state, &pod("09:30:00", "kept"));
        let late = listing("07:01:00", "07:00:00");
        apply(&mut state, &listing("09:01:00", "09:00:00"));
        apply(&mut state, &late);
        assert_eq!(state.graph.live(), 1);
        let saved = state.save();
        let rebuilt = |with_late: bool| {
            let mut rebuilt = ClusterState::new("prod");
            apply(&mut rebuilt, &pod("08:00:00", "gone"));
            apply(&mut rebuilt, &pod("09:30:00", "kept"));
            if with_late {
                apply(&mut rebuilt, &late);
            }
            rebuilt.restore(&saved).unwrap();
            rebuilt
        };
        for with_late in [false, true] {
            let rebuilt = rebuilt(with_late);
            assert_eq!(rebuilt.graph.live(), 1, "{with_late}");
            assert_eq!(rebuilt.save(), saved, "{with_late}");
        }
    }

    #[test]
    fn an_object_that_came_late_stays_when_the_log_has_lost_nothing() {
        let mut state = ClusterState::new("prod");
        apply(&mut state, &listing("09:01:00", "09:00:00"));
        apply(&mut state, &pod("08:00:00", "late"));
        let live = state.graph.live();
        let saved = state.save();
        state.restore(&saved).unwrap();
        assert_eq!(state.graph.live(), live);
    }

    #[test]
    fn what_an_earlier_version_saved_is_readable() {
        let mut state = ClusterState::new("prod");
        let old =
            r#"{"incidents":{"incidents":{}},"sequences":{},"watermark":"1970-01-01T00:00:00Z"}"#;
        state.restore(old).unwrap();
    }
}
