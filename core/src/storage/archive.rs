//! A tenant as files: what leaves one installation and enters another, whatever its stores are.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::GraphPart;
use crate::model::Time;
use crate::rca::Scorer;

/// Version of the files.
pub const FORMAT: u32 = 1;

/// A file of an archive: JSON, one row a line.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// What the live state is rebuilt from: the newest record of each living object, and what came
    /// within the last hour.
    Records,
    /// What the engine keeps of each cluster.
    Clusters,
    /// Incidents with what happened to them and all answers.
    Incidents,
    /// Incidents as the graph has them, with symptoms and causes.
    Causes,
    /// Edges of the topology.
    Edges,
    /// Episodes.
    Episodes,
    /// Resources.
    Resources,
}

impl Part {
    /// All parts, in the order in which they are exported: what a row refers to is copied after it,
    /// so that it is there also when the tenant is served meanwhile.
    pub const EXPORTED: [Self; 7] = [
        Self::Records,
        Self::Clusters,
        Self::Incidents,
        Self::Causes,
        Self::Episodes,
        Self::Edges,
        Self::Resources,
    ];
    /// All parts, in the order in which they are loaded: what a row refers to is there before it.
    /// Episodes come after the causes, which hold some of them as they were earlier.
    pub const LOADED: [Self; 7] = [
        Self::Resources,
        Self::Edges,
        Self::Causes,
        Self::Episodes,
        Self::Incidents,
        Self::Clusters,
        Self::Records,
    ];

    /// The word used on the wire and in names of files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Clusters => "clusters",
            Self::Incidents => "incidents",
            Self::Causes => "causes",
            Self::Edges => "edges",
            Self::Episodes => "episodes",
            Self::Resources => "resources",
        }
    }

    /// The part of the graph that it is, if it is one.
    pub fn of_graph(self) -> Option<GraphPart> {
        match self {
            Self::Resources => Some(GraphPart::Resources),
            Self::Edges => Some(GraphPart::Edges),
            Self::Episodes => Some(GraphPart::Episodes),
            Self::Causes => Some(GraphPart::Incidents),
            Self::Records | Self::Clusters | Self::Incidents => None,
        }
    }
}

/// An incident with all that the metadata knows of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IncidentCopy {
    /// The number of its human id.
    pub number: i64,
    /// The engine's key, in hexadecimal.
    pub key: String,
    /// Its row as it is stored; absent while only its number is reserved.
    pub row: Option<Box<RawValue>>,
    /// What happened to it, in order.
    pub events: Vec<Box<RawValue>>,
    /// Its answers, by scorer and time.
    pub answers: Vec<AnswerCopy>,
}

/// An answer of an incident.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnswerCopy {
    /// Which formula ranked.
    pub scorer: Scorer,
    /// From when on it holds.
    pub at: Time,
    /// The answer as it is stored.
    pub answer: Box<RawValue>,
}

/// A record of the log, without the tenant it came from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordCopy {
    /// The topic.
    pub topic: String,
    /// Its key there: the object on topics of state, else the cluster.
    pub key: String,
    /// When the door took it.
    pub received_at: Time,
    /// The record.
    pub value: Box<RawValue>,
}

/// What an archive says of one of its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFile {
    /// Its name.
    pub file: String,
    /// What it holds.
    pub part: Part,
    /// How many rows.
    pub rows: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// What `manifest.json` says of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the files.
    pub format: u32,
    /// The version of kgrca that wrote them.
    pub version: String,
    /// The tenant they are of.
    pub client_id: String,
    /// What it is called.
    pub name: String,
    /// Its plan.
    pub plan: String,
    /// When the export began.
    pub exported_at: Time,
    /// Whether records may have come in meanwhile.
    pub was_served: bool,
    /// The files.
    pub files: Vec<PartFile>,
}
