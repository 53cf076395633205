//! A tenant as files, to move it to another installation, whatever its stores are.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::GraphPart;
use crate::model::Time;
use crate::rca::Scorer;

/// Version of the file format.
pub const FORMAT: u32 = 1;

/// A file of an archive: JSON, one row per line.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The records from which live state is rebuilt: the newest of each live object, and those of
    /// the last hour.
    Records,
    /// Stored engine state of each cluster.
    Clusters,
    /// Incidents with their transitions and answers.
    Incidents,
    /// Incidents as the graph stores them, with symptoms and causes.
    Causes,
    /// Edges of the topology.
    Edges,
    /// Episodes.
    Episodes,
    /// Resources.
    Resources,
}

impl Part {
    /// All parts in the order of export: what a row refers to is exported after it, so that it is
    /// complete even if records are processed meanwhile.
    pub const EXPORTED: [Self; 7] = [
        Self::Records,
        Self::Clusters,
        Self::Incidents,
        Self::Causes,
        Self::Episodes,
        Self::Edges,
        Self::Resources,
    ];
    /// All parts in the order of import: what a row refers to is imported before it. Episodes come
    /// after causes, which contain earlier states of some episodes.
    pub const LOADED: [Self; 7] = [
        Self::Resources,
        Self::Edges,
        Self::Causes,
        Self::Episodes,
        Self::Incidents,
        Self::Clusters,
        Self::Records,
    ];

    /// The name used on the wire and in file names.
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

    /// The corresponding part of the graph, if any.
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

/// An incident with everything the metadata has of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IncidentCopy {
    /// The number in its id.
    pub number: i64,
    /// The engine's key, in hexadecimal.
    pub key: String,
    /// Its row as stored; `None` while only its number is reserved.
    pub row: Option<Box<RawValue>>,
    /// Its transitions, in order.
    pub events: Vec<Box<RawValue>>,
    /// Its answers, by scorer and time.
    pub answers: Vec<AnswerCopy>,
}

/// An answer of an incident.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnswerCopy {
    /// The scorer that ranked the causes.
    pub scorer: Scorer,
    /// From when on it is valid.
    pub at: Time,
    /// The answer as stored.
    pub answer: Box<RawValue>,
}

/// A record of the log, without its tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordCopy {
    /// Name of its topic.
    pub topic: String,
    /// Its key: the object id on compacted topics, else the cluster.
    pub key: String,
    /// When it was received.
    pub received_at: Time,
    /// The record as JSON.
    pub value: Box<RawValue>,
}

/// A file in the manifest of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFile {
    /// File name.
    pub file: String,
    /// The part it contains.
    pub part: Part,
    /// Number of rows.
    pub rows: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// The contents of an archive's `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the file format.
    pub format: u32,
    /// The version of kgrca that wrote them.
    pub version: String,
    /// The exported tenant.
    pub client_id: String,
    /// Customer name.
    pub name: String,
    /// Name of the plan.
    pub plan: String,
    /// Start of the export.
    pub exported_at: Time,
    /// Whether the tenant was in service during the export.
    pub was_served: bool,
    /// Which records are missing because the log was damaged, as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
    /// The files.
    pub files: Vec<PartFile>,
}
