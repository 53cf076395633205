//! Answers hold when cases are disturbed: `kgrca eval gates` on our own scenarios.

use std::collections::BTreeMap;
use std::path::Path;

use kgrca_core::analyze::Options;
use kgrca_core::lab::eval;
use kgrca_core::lab::gates::{self, Case, Gate};
use kgrca_core::model::Time;
use kgrca_core::rca::MAX_CAUSES;
use kgrca_tests::{repository, soak};

/// Every how manieth scenario is disturbed, unless all are.
const STEP: usize = 24;

fn cases(folder: &Path, found: &mut Vec<Case>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            cases(&path, found);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        found.push(Case {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            label: eval::label(&bytes, &BTreeMap::new()).unwrap(),
            bytes,
        });
    }
}

/// The share of the disturbed cases whose answer has to hold, in thousandths. Below 1000 where
/// what is taken away would have excused someone: then no answer is better than a guess, and
/// kgrca still makes some.
fn minimum(gate: Gate) -> f64 {
    let thousandths = match gate {
        Gate::Duplication | Gate::Permutation => 1000,
        Gate::Scramble => 990,
        Gate::Mutation => 970,
        Gate::Kinds | Gate::Noise | Gate::Partial | Gate::Time => 950,
        Gate::TwoFaults => 880,
    };
    f64::from(thousandths) / 1000.0
}

fn holds(gate: Gate) {
    let mut all = Vec::new();
    cases(&repository().join("tests/scenarios"), &mut all);
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let step = match gate {
        _ if soak() => 1,
        // One answer for two cases: of fewer, a single one would decide.
        Gate::TwoFaults => STEP / 6,
        _ => STEP,
    };
    let some: Vec<Case> = all.into_iter().step_by(step).collect();
    let options = Options {
        top: MAX_CAUSES,
        now: Time(1_900_000_000_000_000),
        ..Options::default()
    };
    let tally = gates::run(gate, &some, &BTreeMap::new(), &options);
    assert!(tally.cases > some.len() / 2 && tally.variants > 0);
    assert!(
        tally.held() >= minimum(gate),
        "{}: only {:.4} of {} answers hold: {:#?}",
        gate.as_str(),
        tally.held(),
        tally.variants,
        tally.broken
    );
}

#[test]
fn an_answer_without_its_evidence_is_no_other() {
    holds(Gate::Mutation);
}

#[test]
fn part_of_the_records_leads_to_no_other_cause() {
    holds(Gate::Kinds);
    holds(Gate::Partial);
}

#[test]
fn unrelated_records_change_nothing() {
    holds(Gate::Noise);
}

#[test]
fn names_change_nothing() {
    holds(Gate::Scramble);
}

#[test]
fn order_and_repetition_change_nothing() {
    holds(Gate::Permutation);
    holds(Gate::Duplication);
}

#[test]
fn an_answer_lasts() {
    holds(Gate::Time);
}

#[test]
fn each_of_two_faults_is_found() {
    holds(Gate::TwoFaults);
}
