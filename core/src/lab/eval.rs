//! How right the engine is on labelled cases.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::analyze::Analysis;
use crate::rca::Verdict;

/// What a case's label says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// Component and fault of each fault that is there; none for a healthy cluster.
    pub faults: Vec<(String, String)>,
    /// By what cases are grouped.
    pub group: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LabelWire {
    component: Option<String>,
    fault_type: Option<String>,
    fault_object: Option<String>,
    root_cause: Option<String>,
    causes: Vec<LabelWire>,
    healthy: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CaseWire {
    case: Option<String>,
    system: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Line<'a> {
    topic: String,
    #[serde(borrow)]
    value: &'a serde_json::value::RawValue,
}

/// Reads the label of a recorded case; `map` turns `root_cause` words into fault ids.
///
/// # Errors
/// Says what is missing: no label, or a word that the map does not have.
pub fn label(bytes: &[u8], map: &BTreeMap<String, String>) -> Result<Label, String> {
    let lines = || {
        bytes
            .split(|b| *b == b'\n')
            .filter_map(|l| serde_json::from_slice::<Line<'_>>(l).ok())
    };
    let wire: LabelWire = lines()
        .find(|l| l.topic == "label")
        .and_then(|l| serde_json::from_str(l.value.get()).ok())
        .ok_or("it has no `label` line")?;
    let case: CaseWire = lines()
        .find(|l| l.topic == "case")
        .and_then(|l| serde_json::from_str(l.value.get()).ok())
        .unwrap_or_default();
    if wire.healthy {
        return Ok(Label {
            faults: Vec::new(),
            group: "healthy".into(),
        });
    }
    let parts: Vec<&LabelWire> = if wire.causes.is_empty() {
        vec![&wire]
    } else {
        wire.causes.iter().collect()
    };
    let faults = parts
        .iter()
        .map(|w| fault(w, map))
        .collect::<Result<Vec<_>, String>>()?;
    let system = case
        .system
        .or_else(|| {
            case.case
                .as_deref()
                .and_then(|c| c.split('/').next())
                .map(str::to_owned)
        })
        .unwrap_or_default();
    let group = if faults.len() > 1 {
        "several faults".to_owned()
    } else {
        format!("{system} {}", faults[0].1)
    };
    Ok(Label { faults, group })
}

fn fault(wire: &LabelWire, map: &BTreeMap<String, String>) -> Result<(String, String), String> {
    let component = wire
        .component
        .clone()
        .or_else(|| wire.fault_object.clone())
        .ok_or("its label has no `component`")?;
    let fault = match (&wire.fault_type, &wire.root_cause) {
        (Some(fault), _) => fault.clone(),
        (None, Some(word)) => map
            .get(word)
            .cloned()
            .ok_or_else(|| format!("the label map does not have `{word}`"))?,
        (None, None) => return Err("its label has no `fault_type`".into()),
    };
    Ok((component, fault))
}

/// How a case went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The case's name.
    pub case: String,
    /// By what it is grouped.
    pub group: String,
    /// What was right, as `component fault`.
    pub expected: Vec<String>,
    /// What was said first, as `component fault`.
    pub said: Option<String>,
    /// Confidence of the first cause.
    pub confidence: f64,
    /// The verdict.
    pub verdict: Verdict,
    /// Chance that the component is among the first k distinct ones, for k = 1, 3, 5; ties count in
    /// expectation.
    pub component_at: [f64; 3],
    /// Chance that component and fault are among the first k causes, for k = 1, 3.
    pub joint_at: [f64; 2],
    /// One over the component's place; 0 when it is not named.
    pub reciprocal: f64,
    /// What the first cause rests on, when it is not right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
}

/// Candidates as they are ranked: component, fault and score, the best first.
pub type Ranking<'a> = Vec<(&'a str, &'a str, f64)>;

/// Where the right answers stand in a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Places {
    /// See [`Outcome::component_at`].
    pub component_at: [f64; 3],
    /// See [`Outcome::joint_at`].
    pub joint_at: [f64; 2],
    /// See [`Outcome::reciprocal`].
    pub reciprocal: f64,
}

/// Looks up the faults that were there. For several every figure is the mean over them, each looked
/// for among the first k + n - 1.
pub fn places(ranking: &Ranking<'_>, faults: &[(String, String)]) -> Places {
    let slack = faults.len().saturating_sub(1);
    let components = distinct(ranking, |(c, ..)| (*c, ""));
    let joints = distinct(ranking, |(c, f, _)| (*c, *f));
    let mean = |f: &dyn Fn(&(String, String)) -> f64| {
        faults.iter().map(f).sum::<f64>() / faults.len().max(1) as f64
    };
    let first = |c: &str| components.iter().position(|((name, _), _)| *name == c);
    Places {
        component_at: [1, 3, 5]
            .map(|k| mean(&|(c, _)| chance(&components, (c.as_str(), ""), k + slack))),
        joint_at: [1, 3]
            .map(|k| mean(&|(c, f)| chance(&joints, (c.as_str(), f.as_str()), k + slack))),
        reciprocal: mean(&|(c, _)| first(c).map_or(0.0, |p| 1.0 / (p + 1) as f64)),
    }
}

/// Judges one answer; that of a healthy cluster is right when no cause is said.
pub fn judge(case: &str, label: &Label, analysis: &Analysis) -> Outcome {
    let causes = &analysis.causes;
    let ranking = causes
        .iter()
        .map(|c| (c.component.as_str(), c.fault_type.as_str(), c.scores.total))
        .collect();
    let mut places = places(&ranking, &label.faults);
    if label.faults.is_empty() {
        let silent = f64::from(u8::from(analysis.verdict != Verdict::Cause));
        places = Places {
            component_at: [silent; 3],
            joint_at: [silent; 2],
            reciprocal: silent,
        };
    }
    let rests = causes
        .iter()
        .take(1)
        .flat_map(|c| c.evidence.iter().take(5))
        .map(|e| e.what.clone());
    let evidence = if places.joint_at[0] < 1.0 {
        rests.collect()
    } else {
        Vec::new()
    };
    Outcome {
        case: case.to_owned(),
        group: label.group.clone(),
        expected: label
            .faults
            .iter()
            .map(|(c, f)| format!("{c} {f}"))
            .collect(),
        said: causes
            .first()
            .map(|c| format!("{} {}", c.component, c.fault_type)),
        confidence: causes.first().map_or(0.0, |c| c.confidence),
        verdict: analysis.verdict,
        component_at: places.component_at,
        joint_at: places.joint_at,
        reciprocal: places.reciprocal,
        evidence,
    }
}

type Named<'a> = ((&'a str, &'a str), f64);

/// The distinct names in ranking order with their best score.
fn distinct<'a>(
    ranking: &Ranking<'a>,
    name: impl Fn(&(&'a str, &'a str, f64)) -> (&'a str, &'a str),
) -> Vec<Named<'a>> {
    let mut seen = BTreeSet::new();
    ranking
        .iter()
        .map(|c| (name(c), c.2))
        .filter(|(n, _)| seen.insert(*n))
        .collect()
}

/// The chance that `wanted` is among the first `k` when ties are broken at random.
fn chance(ranked: &[Named<'_>], wanted: (&str, &str), k: usize) -> f64 {
    let Some((_, score)) = ranked.iter().find(|(n, _)| *n == wanted) else {
        return 0.0;
    };
    let above = ranked.iter().filter(|(_, s)| *s > score + 1e-9).count();
    let tied = ranked
        .iter()
        .filter(|(_, s)| (s - score).abs() < 1e-9)
        .count();
    if above >= k {
        0.0
    } else {
        ((k - above) as f64 / tied as f64).min(1.0)
    }
}

/// Figures over a set of cases.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// How many cases.
    pub cases: usize,
    /// Component among the first 1, 3, 5.
    pub component_at: [f64; 3],
    /// Where the share of right first components lies with a chance of 95 % (Wilson 1927).
    #[serde(default)]
    pub interval: [f64; 2],
    /// Component and fault among the first 1, 3.
    pub joint_at: [f64; 2],
    /// Mean reciprocal rank of the component.
    pub mrr: f64,
    /// Share of cases with a verdict.
    pub coverage: f64,
    /// Expected calibration error over ten bins.
    pub ece: f64,
    /// Mean squared distance of confidence and outcome.
    pub brier: f64,
    /// Chance that a right answer has more confidence than a wrong one; absent without both.
    pub auroc: Option<f64>,
}

/// Figures over outcomes.
pub fn figures<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Figures {
    let all: Vec<&Outcome> = outcomes.collect();
    let n = all.len();
    if n == 0 {
        return Figures::default();
    }
    let mean =
        |f: &dyn Fn(&Outcome) -> f64| round(all.iter().map(|o| f(o)).sum::<f64>() / n as f64);
    // Of a healthy cluster any cause is a wrong one, whatever the verdict.
    let is_right = |o: &Outcome| {
        if o.expected.is_empty() {
            0.0
        } else {
            o.joint_at[0]
        }
    };
    let told = all
        .iter()
        .filter(|o| !o.expected.is_empty() || o.said.is_some());
    let believed: Vec<(f64, f64)> = told.map(|o| (o.confidence, is_right(o))).collect();
    let belief = belief(&believed);
    Figures {
        cases: n,
        component_at: [0, 1, 2].map(|i| mean(&|o| o.component_at[i])),
        interval: interval(mean(&|o| o.component_at[0]), n),
        joint_at: [0, 1].map(|i| mean(&|o| o.joint_at[i])),
        mrr: mean(&|o| o.reciprocal),
        coverage: mean(&|o| f64::from(u8::from(o.verdict == Verdict::Cause))),
        ece: belief.ece,
        brier: belief.brier,
        auroc: belief.auroc,
    }
}

fn interval(share: f64, of: usize) -> [f64; 2] {
    const Z: f64 = 1.96;
    let n = of as f64;
    let middle = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    [middle - spread, middle + spread].map(|edge| round((edge / (1.0 + Z * Z / n)).clamp(0.0, 1.0)))
}

/// How far confidence means what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Belief {
    /// Expected calibration error over ten bins.
    pub ece: f64,
    /// Mean squared distance of confidence and outcome.
    pub brier: f64,
    /// Chance that a right answer has more confidence than a wrong one; absent without both.
    pub auroc: Option<f64>,
}

/// Judges pairs of a confidence and whether it was right, 0 to 1.
pub fn belief(pairs: &[(f64, f64)]) -> Belief {
    Belief {
        ece: round(calibration_error(pairs)),
        brier: round(
            pairs.iter().map(|(p, y)| (p - y).powi(2)).sum::<f64>() / pairs.len().max(1) as f64,
        ),
        auroc: auroc(pairs).map(round),
    }
}

fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

fn calibration_error(pairs: &[(f64, f64)]) -> f64 {
    let mut bins = [(0.0, 0.0, 0_usize); 10];
    for (p, y) in pairs {
        let bin = &mut bins[((p * 10.0) as usize).min(9)];
        *bin = (bin.0 + p, bin.1 + y, bin.2 + 1);
    }
    bins.iter()
        .filter(|b| b.2 > 0)
        .map(|(p, y, _)| (p - y).abs())
        .sum::<f64>()
        / pairs.len().max(1) as f64
}

fn auroc(pairs: &[(f64, f64)]) -> Option<f64> {
    let (right, wrong): (Vec<_>, Vec<_>) = pairs.iter().partition(|(_, y)| *y >= 0.5);
    if right.is_empty() || wrong.is_empty() {
        return None;
    }
    let wins: f64 = right
        .iter()
        .flat_map(|(r, _)| {
            wrong.iter().map(move |(w, _)| {
                if r > w {
                    1.0
                } else if (r - w).abs() < 1e-12 {
                    0.5
                } else {
                    0.0
                }
            })
        })
        .sum();
    Some(wins / (right.len() * wrong.len()) as f64)
}

/// A group of so many cases is no accident.
pub const LARGE: usize = 5;

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Which formula ranked.
    pub scorer: String,
    /// Figures per group, by name.
    pub groups: BTreeMap<String, Figures>,
    /// Mean over the groups.
    pub mean: Figures,
    /// Mean over the groups of at least [`LARGE`] cases: a small one moves in steps that say
    /// little.
    #[serde(default)]
    pub large: Figures,
    /// Figures over all cases.
    pub overall: Figures,
    /// Cases per second.
    pub cases_per_second: f64,
    /// Every case.
    pub outcomes: Vec<Outcome>,
}

/// Puts outcomes together; `seconds` is how long the run took.
pub fn report(scorer: crate::rca::Scorer, outcomes: Vec<Outcome>, seconds: f64) -> Report {
    let names: BTreeSet<&str> = outcomes.iter().map(|o| &*o.group).collect();
    let groups: BTreeMap<String, Figures> = names
        .iter()
        .map(|g| {
            (
                (*g).to_owned(),
                figures(outcomes.iter().filter(|o| o.group == *g)),
            )
        })
        .collect();
    let overall = figures(outcomes.iter());
    let mean = mean_of(groups.values(), &overall);
    let large = mean_of(groups.values().filter(|g| g.cases >= LARGE), &overall);
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

/// Every group counts the same; how far answers are believed is told over all cases.
fn mean_of<'a>(groups: impl Iterator<Item = &'a Figures>, overall: &Figures) -> Figures {
    let groups: Vec<&Figures> = groups.collect();
    let mean = |f: &dyn Fn(&Figures) -> f64| {
        round(groups.iter().map(|g| f(g)).sum::<f64>() / groups.len().max(1) as f64)
    };
    Figures {
        cases: groups.iter().map(|g| g.cases).sum(),
        component_at: [0, 1, 2].map(|i| mean(&|g| g.component_at[i])),
        interval: [0.0; 2],
        joint_at: [0, 1].map(|i| mean(&|g| g.joint_at[i])),
        mrr: mean(&|g| g.mrr),
        ..overall.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_in_expectation() {
        let ranked = [(("a", ""), 2.0), (("b", ""), 1.0), (("c", ""), 1.0)];
        assert!((chance(&ranked, ("b", ""), 2) - 0.5).abs() < 1e-9);
        assert!((chance(&ranked, ("a", ""), 1) - 1.0).abs() < 1e-9);
        assert!(chance(&ranked, ("d", ""), 3).abs() < 1e-9);
    }

    #[test]
    fn few_cases_leave_much_open() {
        let shown = |share, of| interval(share, of).map(|edge| format!("{edge:.2}"));
        assert_eq!(shown(1.0, 3), ["0.44", "1.00"]);
        assert_eq!(shown(0.5, 100), ["0.40", "0.60"]);
    }

    #[test]
    fn auroc_needs_both() {
        assert_eq!(auroc(&[(0.9, 1.0)]), None);
        assert_eq!(auroc(&[(0.9, 1.0), (0.1, 0.0)]), Some(1.0));
    }
}
