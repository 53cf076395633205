//! Gates: what an answer has to withstand. Each gate disturbs labelled cases in one way and states
//! what the answer must still be.

mod demand;
mod lines;
mod noise;
mod taken_away;
mod variants;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::eval::{self, Label};
use crate::analyze::{Analysis, Options, analyze};
use demand::{Demand, is_right};

/// A way to disturb cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Without the lines that the answer depends on most: it may become weaker, or be none where
    /// nothing else showed the fault, but never another.
    Mutation,
    /// Without one kind of object, event, log or alert: nor may the cluster be called healthy.
    Kinds,
    /// State, events, logs or alerts only, and one pod only.
    Partial,
    /// Among 10,000 unrelated records and five workloads that have been broken for days.
    Noise,
    /// With other names.
    Scramble,
    /// With the lines in another order.
    Permutation,
    /// With every line twice.
    Duplication,
    /// Asked a minute, ten minutes and a day later.
    Time,
    /// Together with the next case, in one cluster at the same time.
    TwoFaults,
}

impl Gate {
    /// All gates.
    pub const ALL: [Self; 9] = [
        Self::Mutation,
        Self::Kinds,
        Self::Partial,
        Self::Noise,
        Self::Scramble,
        Self::Permutation,
        Self::Duplication,
        Self::Time,
        Self::TwoFaults,
    ];

    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mutation => "mutation",
            Self::Kinds => "kinds",
            Self::Partial => "partial",
            Self::Noise => "noise",
            Self::Scramble => "scramble",
            Self::Permutation => "permutation",
            Self::Duplication => "duplication",
            Self::Time => "time",
            Self::TwoFaults => "two-faults",
        }
    }
}

/// A labelled case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Its records, as lines.
    pub bytes: Vec<u8>,
    /// The right answer.
    pub label: Label,
}

/// An answer that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Broken {
    /// Name of the case.
    pub case: String,
    /// How the case was disturbed.
    pub variant: String,
    /// The answer, as `verdict component fault`.
    pub answer: String,
}

/// The result of one gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The gate.
    pub gate: Gate,
    /// How many cases were disturbed: those whose undisturbed answer is right.
    pub cases: usize,
    /// How many disturbed cases were evaluated.
    pub variants: usize,
    /// The answers that did not hold.
    pub broken: Vec<Broken>,
}

impl Tally {
    /// Share of the variants whose answer held.
    pub fn held(&self) -> f64 {
        1.0 - self.broken.len() as f64 / self.variants.max(1) as f64
    }
}

/// A case with its undisturbed answer.
struct Subject<'a> {
    case: &'a Case,
    words: &'a BTreeMap<String, String>,
    options: &'a Options,
    before: Analysis,
}

/// A disturbed case.
struct Variant {
    what: String,
    bytes: Vec<u8>,
    /// The right answer, where that has changed.
    label: Option<Label>,
    options: Options,
    demand: Demand,
}

/// Runs one gate over the cases whose undisturbed answer is right; `words` translates labels, as in
/// [`eval::label`].
pub fn run(
    gate: Gate,
    cases: &[Case],
    words: &BTreeMap<String, String>,
    options: &Options,
) -> Tally {
    let mut tally = Tally {
        gate,
        cases: 0,
        variants: 0,
        broken: Vec::new(),
    };
    let mut subjects = Vec::new();
    for case in cases.iter().filter(|c| c.label.faults.len() < 2) {
        let before = analyze(&case.name, &case.bytes, options);
        if is_right(&case.label, &before) {
            subjects.push(Subject {
                case,
                words,
                options,
                before,
            });
        }
    }
    for (i, subject) in subjects.iter().enumerate() {
        tally.cases += 1;
        let variants = match gate {
            Gate::Mutation => {
                taken_away::check(subject, &mut tally);
                continue;
            }
            Gate::TwoFaults => {
                let next = &subjects[(i + 1) % subjects.len()];
                variants::together(subject, next).into_iter().collect()
            }
            _ => variants::of(gate, subject),
        };
        for variant in &variants {
            tally.add(subject, variant);
        }
    }
    tally
}

impl Tally {
    /// Evaluates a disturbed case; returns the answer.
    fn add(&mut self, subject: &Subject<'_>, variant: &Variant) -> Analysis {
        self.variants += 1;
        let after = analyze(&subject.case.name, &variant.bytes, &variant.options);
        let label = variant.label.as_ref().unwrap_or(&subject.case.label);
        if !variant.demand.holds(label, &subject.before, &after) {
            self.broken.push(Broken {
                case: subject.case.name.clone(),
                variant: variant.what.clone(),
                answer: said(&after),
            });
        }
        after
    }
}

/// An answer in a few words.
fn said(analysis: &Analysis) -> String {
    let verdict = analysis.verdict.as_str();
    match analysis.causes.first() {
        Some(c) => format!(
            "{verdict} {} {} {:.2}",
            c.component, c.fault_type, c.confidence
        ),
        None => verdict.to_owned(),
    }
}

impl Subject<'_> {
    /// A variant with the label of the case.
    fn variant(&self, what: impl Into<String>, bytes: Vec<u8>, demand: Demand) -> Variant {
        Variant {
            what: what.into(),
            bytes,
            label: None,
            options: self.options.clone(),
            demand,
        }
    }

    /// The label that these bytes carry.
    fn label_of(&self, bytes: &[u8]) -> Option<Label> {
        eval::label(bytes, self.words).ok()
    }
}
