//! The weights of the causal score and its calibration: one data file, fitted by `kgrca eval fit`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// The common name of the four strengths of evidence.
pub(crate) const EVIDENCE: &str = "evidence";
/// The name of what a fault without a name loses.
pub(super) const UNTYPED: &str = "untyped";

/// A part of the score of a hypothesis. How much of each it has are its [`Features`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// 1 if the best finding is a [`Hint`](crate::detect::Strength::Hint).
    Hint,
    /// 1 if the best finding is [`Fair`](crate::detect::Strength::Fair).
    Fair,
    /// 1 if the best finding is [`Strong`](crate::detect::Strength::Strong).
    Strong,
    /// 1 if the best finding is a [`Proof`](crate::detect::Strength::Proof).
    Proof,
    /// `log2` of the number of pieces of evidence.
    Support,
    /// `log2` of one more than the number of other affected components that it explains.
    Explains,
    /// 1 if it began before the first symptom of any other component.
    Before,
    /// 1 if a cause upstream with better evidence explains it.
    Explained,
    /// 1 if it is a failure mode that a root cause of the same component explains.
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

    /// The name in explanations, where the four strengths are one part.
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

    /// The name in the weights file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Fair => "fair",
            Self::Strong => "strong",
            Self::Proof => "proof",
            _ => self.name(),
        }
    }

    /// One sentence for the weights file.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Hint => "The best finding is a hint.",
            Self::Fair => {
                "The best finding is typical of this fault, but other faults show it too."
            }
            Self::Strong => "The best finding is a message of Kubernetes or of the program itself.",
            Self::Proof => "The best finding compares specs, and something is broken now.",
            Self::Support => "Further pieces of evidence, per doubling.",
            Self::Explains => "Other affected components that it explains, per doubling.",
            Self::Before => "It began before the first symptom of any other component.",
            Self::Explained => "A cause upstream with better evidence explains it.",
            Self::Specific => "A root cause of the same component explains this failure mode.",
        }
    }

    /// Whether it can only lower the score.
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
        ("untyped", true) => "it names a fault",
        ("untyped", false) => "it names no fault",
        (_, _) => "it names only a failure mode",
    }
}

/// How much of each part a hypothesis has; an absent part is 0.
pub type Features = BTreeMap<Part, f64>;

/// The weights of the causal score and its calibration. `weights.yaml` holds those that are shipped
/// and the meaning of each.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Shown with every answer.
    pub version: String,
    /// Maximum number of causes per incident; fitting keeps all.
    #[serde(skip, default = "max_causes")]
    pub max_causes: usize,
    /// Below this confidence the verdict is `inconclusive`.
    pub threshold: f64,
    /// Points per unit of each part.
    pub points: BTreeMap<Part, f64>,
    /// From score and lead to the confidence.
    pub calibration: Calibration,
}

impl Weights {
    /// The weights that this build ships.
    pub fn shipped() -> Self {
        static SHIPPED: LazyLock<Weights> = LazyLock::new(|| {
            let read = serde_yaml::from_str(include_str!("weights.yaml"));
            // A test reads the file, so that it cannot be invalid here.
            read.unwrap_or_else(|_| Weights {
                version: String::new(),
                max_causes: max_causes(),
                threshold: 1.0,
                points: BTreeMap::new(),
                calibration: Calibration::default(),
            })
        });
        SHIPPED.clone()
    }

    /// Checks that the numbers make sense.
    ///
    /// # Errors
    /// Names the first one that does not.
    pub fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.threshold) {
            return Err(format!(
                "threshold must be between 0 and 1, got {}",
                self.threshold
            ));
        }
        let c = &self.calibration;
        let calibration = [("bias", c.bias), ("score", c.score), ("margin", c.margin)];
        let points = self.points.iter().map(|(part, v)| (part.key(), *v));
        match points.chain(calibration).find(|(_, v)| !v.is_finite()) {
            Some((name, v)) => Err(format!("{name} must be a finite number, got {v}")),
            None => Ok(()),
        }
    }

    /// The points for so much of a part.
    pub fn points(&self, part: Part, size: f64) -> f64 {
        self.points.get(&part).copied().unwrap_or_default() * size
    }

    /// The score of a hypothesis with these features.
    pub fn score(&self, features: &Features) -> f64 {
        features
            .iter()
            .map(|(part, size)| self.points(*part, *size))
            .sum()
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self::shipped()
    }
}

/// Platt's map: `1 / (1 + exp(-(bias + score * total + margin * lead)))`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Log-odds at a score of 0 without a lead.
    pub bias: f64,
    /// Log-odds per point of the score.
    pub score: f64,
    /// Log-odds per point of the lead over the next cause.
    pub margin: f64,
}

fn max_causes() -> usize {
    super::MAX_CAUSES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_is_valid_and_better_evidence_weighs_more() {
        let weights: Weights = serde_yaml::from_str(include_str!("weights.yaml")).unwrap();
        weights.check().unwrap();
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

    #[test]
    fn a_number_that_makes_no_sense_is_named() {
        let threshold = Weights {
            threshold: 1.5,
            ..Weights::shipped()
        };
        assert_eq!(
            threshold.check().unwrap_err(),
            "threshold must be between 0 and 1, got 1.5"
        );
        let mut points = Weights::shipped();
        points.points.insert(Part::Hint, f64::NAN);
        assert_eq!(
            points.check().unwrap_err(),
            "hint must be a finite number, got NaN"
        );
    }
}
