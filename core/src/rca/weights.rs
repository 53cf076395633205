//! The weights of the causal score and its calibration: one data file, fitted by `kgrca eval fit`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// What the strengths of the best finding are called together.
pub(super) const EVIDENCE: &str = "evidence";

/// What a hypothesis is judged by. How much of each it has are its [`Features`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Its best finding is a hint: 1 or 0.
    Hint,
    /// Its best finding has other readings as well.
    Fair,
    /// Its best finding are Kubernetes' own words.
    Strong,
    /// Its best finding is a comparison of what is wanted with what is.
    Proof,
    /// Doublings of the pieces of evidence.
    Support,
    /// Doublings of the other components whose symptoms it reaches.
    Explains,
    /// It was there before the first symptom of anybody else: 1 or 0.
    Before,
    /// A cause upstream with better evidence explains it: 1 or 0.
    Explained,
    /// A reason of the same component explains this manner of failing: 1 or 0.
    Specific,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 9] = [
        Self::Hint,
        Self::Fair,
        Self::Strong,
        Self::Proof,
        Self::Support,
        Self::Explains,
        Self::Before,
        Self::Explained,
        Self::Specific,
    ];

    /// What the explanation calls it: the four strengths are one part there.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hint | Self::Fair | Self::Strong | Self::Proof => EVIDENCE,
            Self::Support => "support",
            Self::Explains => "explains",
            Self::Before => "before",
            Self::Explained => "explained",
            Self::Specific => "specific",
        }
    }

    /// Its name in the file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Fair => "fair",
            Self::Strong => "strong",
            Self::Proof => "proof",
            _ => self.name(),
        }
    }

    /// What it says, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Hint => "The best finding is a hint.",
            Self::Fair => "The best finding is usual for this fault, and seen with others, too.",
            Self::Strong => "The best finding are Kubernetes' or the program's own words.",
            Self::Proof => "The best finding is a comparison of specs, with something broken now.",
            Self::Support => "Further pieces of evidence, per doubling.",
            Self::Explains => "Other components whose symptoms it reaches, per doubling.",
            Self::Before => "It was there before the first symptom of anybody else.",
            Self::Explained => "A cause upstream with better evidence explains it.",
            Self::Specific => "A reason of the same component explains this manner of failing.",
        }
    }

    /// Whether it can only speak against a hypothesis.
    pub fn is_against(self) -> bool {
        matches!(self, Self::Explained | Self::Specific)
    }
}

/// Why a cause ranks above or below another one: the meaning of more or less points for a part, by
/// the part's name.
pub(super) fn reason(name: &str, is_more: bool) -> &'static str {
    match (name, is_more) {
        ("evidence", true) => "its evidence is stronger",
        ("evidence", false) => "its evidence is weaker",
        ("support", true) => "it has more pieces of evidence",
        ("support", false) => "it has fewer pieces of evidence",
        ("explains", true) => "it explains more of the affected components",
        ("explains", false) => "it explains fewer of the affected components",
        ("before", true) => "it started before the other symptoms",
        ("before", false) => "it did not start before the other symptoms",
        ("explained", true) => "no upstream cause explains it",
        ("explained", false) => "an upstream cause explains it better",
        ("specific", true) => "it names a root cause, not only a failure mode",
        (_, _) => "it names only a failure mode",
    }
}

/// How much of each part a hypothesis has; what is absent is 0.
pub type Features = BTreeMap<Part, f64>;

/// Weights and calibration; meaning and units stand in `weights.yaml`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Told with every answer.
    pub version: String,
    /// Most causes that an answer keeps; who fits weights keeps all.
    #[serde(skip, default = "kept")]
    pub kept: usize,
    /// Below this confidence the verdict is inconclusive.
    pub threshold: f64,
    /// Points per unit of each part.
    pub points: BTreeMap<Part, f64>,
    /// From the ranking to the confidence.
    pub calibration: Calibration,
}

impl Weights {
    /// Whether the numbers can be meant.
    ///
    /// # Errors
    /// Names the one that cannot.
    pub fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.threshold) {
            return Err(format!(
                "threshold: {} lies not between 0 and 1",
                self.threshold
            ));
        }
        let c = &self.calibration;
        let named = [("bias", c.bias), ("score", c.score), ("margin", c.margin)];
        let points = self.points.iter().map(|(part, v)| (part.key(), *v));
        match points.chain(named).find(|(_, v)| !v.is_finite()) {
            Some((name, v)) => Err(format!("{name}: {v} is no number")),
            None => Ok(()),
        }
    }

    /// The points that a part of this size makes.
    pub fn points(&self, part: Part, size: f64) -> f64 {
        self.points.get(&part).copied().unwrap_or_default() * size
    }

    /// The whole score of a hypothesis.
    pub fn score(&self, features: &Features) -> f64 {
        features
            .iter()
            .map(|(part, size)| self.points(*part, *size))
            .sum()
    }
}

/// Platt's map: `1 / (1 + exp(-(bias + score * total + margin * lead)))`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Log-odds of a score of 0 without a lead.
    pub bias: f64,
    /// Per point of the score.
    pub score: f64,
    /// Per point of the lead before the next candidate.
    pub margin: f64,
}

fn kept() -> usize {
    super::KEPT
}

static WEIGHTS: OnceLock<Weights> = OnceLock::new();

/// The weights that this process judges by: those that the build ships, unless others were
/// installed.
pub fn get() -> &'static Weights {
    WEIGHTS.get_or_init(shipped)
}

/// The weights that this build ships.
pub fn shipped() -> Weights {
    // A test reads the file, so that it cannot be wrong here.
    serde_yaml::from_str(include_str!("weights.yaml")).unwrap_or_default()
}

/// Judges by other weights from the process's start on, as experiments do. False when something was
/// judged already.
pub fn install(weights: Weights) -> bool {
    WEIGHTS.set(weights).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_and_better_evidence_weighs_more() {
        let weights: Weights = serde_yaml::from_str(include_str!("weights.yaml")).unwrap();
        let point = |part| weights.points(part, 1.0);
        assert!(
            Part::ALL.iter().all(|p| weights.points.contains_key(p)),
            "each part has its weight"
        );
        assert!(point(Part::Hint) < point(Part::Fair) && point(Part::Fair) < point(Part::Strong));
        assert!(point(Part::Strong) <= point(Part::Proof));
        assert!(Part::ALL.iter().all(|p| if p.is_against() {
            point(*p) <= 0.0
        } else {
            point(*p) >= 0.0
        }));
    }
}
