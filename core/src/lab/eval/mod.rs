//! Measures how right the engine is on labelled cases.

mod figures;
mod judge;
mod label;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use figures::{Figures, Judged, Reliability};
pub use judge::{Candidate, Hits, Outcome, hits, judge};
pub use label::{Label, LabelledFault, label};

/// A group with at least so many cases counts as large: the figures of a smaller one move in steps
/// that mean little.
pub const LARGE: usize = 5;

/// The result of a run over many cases.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The scorer, `causal` or `weighted`.
    pub scorer: String,
    /// Figures per group, by name.
    pub groups: BTreeMap<String, Figures>,
    /// Mean over the groups.
    pub mean: Figures,
    /// Mean over the groups of at least [`LARGE`] cases.
    #[serde(default)]
    pub large: Figures,
    /// Figures over all cases.
    pub overall: Figures,
    /// Cases per second.
    pub cases_per_second: f64,
    /// Every case.
    pub outcomes: Vec<Outcome>,
}

/// Builds the report of a run that took so many seconds.
pub fn report(scorer: crate::rca::Scorer, outcomes: Vec<Outcome>, seconds: f64) -> Report {
    let names: BTreeSet<&str> = outcomes.iter().map(|o| &*o.group).collect();
    let groups: BTreeMap<String, Figures> = names
        .into_iter()
        .map(|name| {
            let own = outcomes.iter().filter(|o| o.group == name);
            (name.to_owned(), Figures::over(own))
        })
        .collect();
    let overall = Figures::over(outcomes.iter());
    let mean = Figures::mean_of(groups.values(), &overall);
    let large = Figures::mean_of(groups.values().filter(|g| g.cases >= LARGE), &overall);
    let cases_per_second = if seconds > 0.0 {
        (outcomes.len() as f64 / seconds * 10.0).round() / 10.0
    } else {
        0.0
    };
    Report {
        scorer: scorer.as_str().to_owned(),
        groups,
        mean,
        large,
        overall,
        cases_per_second,
        outcomes,
    }
}
