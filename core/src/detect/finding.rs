//! What a detector reports.

use super::FaultId;
use crate::graph::Idx;
use crate::model::{Command, Time};

/// How strong a finding's evidence for its fault is on its own. `rca/weights.yaml` has the weight
/// of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Possible; needs other evidence.
    Hint,
    /// Typical of this fault, but other faults show it as well.
    Fair,
    /// Kubernetes or the program reports this fault, or a comparison has hardly another
    /// explanation.
    Strong,
    /// A comparison of specs that proves the fault, with something broken now.
    Proof,
}

/// A fact that supports a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// ID of the event, log template or alert, else of the object.
    pub id: String,
    /// When it was observed.
    pub at: Time,
    /// The resource on which it was observed.
    pub resource: Idx,
    /// The fact as text.
    pub what: String,
}

/// Evidence for one fault of one resource.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The fault type.
    pub fault: FaultId,
    /// The resource whose spec or state has to change to fix it.
    pub blamed: Idx,
    /// The resource that shows it.
    pub on: Idx,
    /// How strong the evidence is.
    pub strength: Strength,
    /// Time of the oldest evidence.
    pub since: Time,
    /// Whether something is broken now because of it; otherwise the fault is latent.
    pub active: bool,
    /// One sentence with the objects, the fact and the numbers.
    pub message: String,
    /// The Service port that it is about, if it is about one of several.
    pub port: Option<i64>,
    /// The facts that support it, oldest first.
    pub evidence: Vec<Evidence>,
    /// A command that fixes it, more specific than the catalogue's.
    pub fix: Option<Command>,
}
