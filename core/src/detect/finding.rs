//! What a detector says.

use super::FaultId;
use crate::graph::Idx;
use crate::model::Time;

/// How much a finding says for its fault, before anything else is known. The weight of each lies in
/// `rca/weights.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Could be; needs company.
    Hint,
    /// Usual for this fault, also seen with others.
    Fair,
    /// Kubernetes' or the program's own words for this fault, or a comparison that hardly has
    /// another reading.
    Strong,
    /// A comparison of specs that proves it, with something broken now.
    Proof,
}

/// One piece of what a finding rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Identity of the episode, else of the object.
    pub id: String,
    /// When it was seen.
    pub at: Time,
    /// The resource it was seen on.
    pub resource: Idx,
    /// What was seen.
    pub what: String,
}

/// Evidence for one fault of one resource.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The catalogue's id of the fault.
    pub fault: FaultId,
    /// Whose spec or state has to change to repair it.
    pub blamed: Idx,
    /// Where it shows.
    pub on: Idx,
    /// How much it says.
    pub strength: Strength,
    /// Since when.
    pub since: Time,
    /// Whether something wanted is missing now because of it; otherwise the defect is latent.
    pub active: bool,
    /// One sentence with the names and values that differ.
    pub message: String,
    /// The Service port that it is about, if it is about one of several.
    pub port: Option<i64>,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// A command that repairs it, when the names in it are known.
    pub fix: Option<String>,
}
