//! A cluster's live state and how one record changes it.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize, io};

use super::admission::Sequences;
use crate::detect::Finding;
use crate::episode::{Episodes, Folded};
use crate::graph::{Graph, Idx};
use crate::incident::Registry;
use crate::model::object::Object;
use crate::model::{Body, Kind, Op, Record, Str, Time};

pub(super) type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It changed the state.
    Applied,
    /// It had been seen.
    Duplicate,
}

/// Everything the engine knows of one cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterState {
    /// The cluster's name.
    pub name: Str,
    /// Who is tied to whom.
    pub graph: Graph,
    /// What happened in the window.
    pub episodes: Episodes,
    /// Incidents that are live or not long over.
    pub incidents: Registry,
    /// The newest event time.
    pub watermark: Time,
    /// The newest event time of what a sender sent; ticks do not count.
    pub last_record: Time,
    /// Highest `seq` of each sender's stream, and when it was met.
    sequences: Sequences,
    /// Start of the listing that is going on, per kind.
    listings: Map<Kind, Time>,
    pub(super) found: Map<Idx, Vec<Finding>>,
    pub(super) unwell: BTreeSet<Idx>,
    /// Services that want pods and have none.
    pub(super) idle: BTreeSet<Idx>,
    pub(super) last_prune: Time,
    /// Whether changes are kept for the graph store.
    pub(super) journal: bool,
    /// Resources that became well or unwell since changes were taken.
    pub(super) turned: Vec<(Idx, bool)>,
}

impl ClusterState {
    /// An empty cluster.
    pub fn new(name: impl Into<Str>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// What the log alone cannot rebuild within its retention, as JSON.
    pub fn save(&self) -> String {
        let saved = Saved {
            incidents: self.incidents.clone(),
            sequences: self
                .sequences
                .0
                .iter()
                .map(|(k, (n, at))| (k.to_string(), Numbered::At(*n, at.0)))
                .collect(),
            watermark: self.watermark,
            last_record: Some(self.last_record),
        };
        // Maps with text keys and plain values always serialize.
        serde_json::to_string(&saved).unwrap_or_default()
    }

    /// Takes back what [`ClusterState::save`] wrote, after the log was replayed.
    ///
    /// # Errors
    /// When the text was not written by this format.
    pub fn restore(&mut self, saved: &str) -> Result<(), serde_json::Error> {
        let saved: Saved = serde_json::from_str(saved)?;
        self.incidents = saved.incidents;
        self.watermark = self.watermark.max(saved.watermark);
        let place = |numbered: &Numbered| match numbered {
            Numbered::At(number, at) => (*number, Time(*at)),
            Numbered::Once(number) => (*number, self.watermark),
        };
        let sequences = saved.sequences.iter();
        self.sequences = Sequences(
            sequences
                .map(|(k, v)| (Str::from(k.as_str()), place(v)))
                .collect(),
        );
        self.last_record = self.last_record.max(saved.last_record.unwrap_or_default());
        Ok(())
    }

    /// Everything but what [`ClusterState::save`] writes, as bytes: what a restart would else read
    /// from the log again.
    ///
    /// # Errors
    /// None that a program can cause: bytes are written to memory.
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
        self.unwell.serialize(&mut out)?;
        self.graph.save(&mut out)?;
        self.episodes.save(&mut out)?;
        Ok(out)
    }

    /// Reads what [`ClusterState::snapshot`] wrote.
    ///
    /// # Errors
    /// When the bytes are cut, damaged or of another format.
    pub fn from_snapshot(bytes: &[u8]) -> io::Result<Self> {
        let input = &mut &*bytes;
        let (name, watermark, last_record, last_prune) = BorshDeserialize::deserialize(input)?;
        let listings = Vec::<(Kind, Time)>::deserialize(input)?
            .into_iter()
            .collect();
        let sequences = Vec::<(Str, (u64, Time))>::deserialize(input)?;
        let sequences = Sequences(sequences.into_iter().collect());
        let unwell = BTreeSet::<Idx>::deserialize(input)?;
        let (graph, episodes) = (Graph::load(input)?, Episodes::load(input)?);
        if unwell.iter().any(|idx| !graph.has(*idx)) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a resource is not well that is not there",
            ));
        }
        if !input.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} bytes too many", input.len()),
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
            unwell,
            last_prune,
            ..Self::default()
        })
    }

    /// Whether a record with a sender's `seq` is new on its stream; records without one always are.
    /// To be asked in the order in which the records lie in the log.
    pub fn admit(&mut self, topic: crate::model::Topic, record: &Record) -> bool {
        let at = self.watermark.max(record.at);
        self.sequences.admit(topic, record, at)
    }

    /// Forgets streams that ended: of a node's logs every file is one. Whoever sends something
    /// again does so within a day.
    pub(super) fn forget_streams(&mut self, now: Time) {
        self.sequences.forget(now.plus(-STREAMS_KEPT));
    }

    /// Applies one record. Nothing but records changes the state.
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
                self.graph.sync(&kind, since, record.at);
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
            Body::Tick => Applied::Applied,
            Body::Act(act) => {
                self.incidents.act(&act, record.at);
                Applied::Applied
            }
        }
    }

    fn object(&mut self, op: Op, at: Time, object: Box<Object>) -> Applied {
        if op == Op::Delete {
            self.graph.delete(at, &object.meta);
            return Applied::Applied;
        }
        if !self.listings.contains_key(&object.meta.kind) {
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
        self.graph.upsert(at, object);
        Applied::Applied
    }
}

/// For how long a sender's stream is known after its last record, in microseconds.
const STREAMS_KEPT: i64 = 26 * 60 * crate::model::time::MINUTE;

/// How far a stream is: its number and when it was met, or, as earlier versions wrote it, the
/// number alone.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Numbered {
    At(u64, i64),
    Once(u64),
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Saved {
    incidents: Registry,
    sequences: std::collections::BTreeMap<String, Numbered>,
    watermark: Time,
    #[serde(default)]
    last_record: Option<Time>,
}

fn folded(folded: Folded) -> Applied {
    match folded {
        Folded::New => Applied::Applied,
        Folded::Known => Applied::Duplicate,
    }
}
