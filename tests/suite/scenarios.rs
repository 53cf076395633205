//! The gate: how right the engine is on our own scenarios, and that it says the same twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kgrca_core::model::Time;
use kgrca_core::rca::{KEPT, Scorer};
use kgrca_core::service::analyze::{self, Options};
use kgrca_core::service::eval::{self, Outcome};
use kgrca_tests::repository;

fn cases(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { cases(&path, found) } else { found.push(path) }
    }
    found.sort();
}

fn options() -> Options {
    Options { top: KEPT, now: Time(1_900_000_000_000_000), ..Options::default() }
}

fn all() -> Vec<PathBuf> {
    let mut found = Vec::new();
    cases(&repository().join("tests/scenarios"), &mut found);
    assert!(found.len() >= 280);
    found
}

#[test]
fn causes_are_right() {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for file in all() {
        let bytes = std::fs::read(&file).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let analysis = analyze::analyze(&name, &bytes, &options());
        assert_eq!(analysis.records.rejected, 0, "{name}: {:?}", analysis.rejects);
        assert_eq!(analysis.records.seen, analysis.records.applied + analysis.records.duplicate, "{name}: counts add up");
        outcomes.push(eval::judge(&name, &eval::label(&bytes, &BTreeMap::new()).unwrap(), &analysis));
    }
    let report = eval::report(Scorer::Causal, outcomes, 0.0);
    let misses: Vec<_> =
        report.outcomes.iter().filter(|o| o.joint_at[0] < 1.0).map(|o| (&o.case, &o.said, &o.expected)).collect();
    assert!(report.overall.component_at[0] >= 0.97, "component {}: {misses:#?}", report.overall.component_at[0]);
    assert!(report.overall.joint_at[0] >= 0.95, "joint {}: {misses:#?}", report.overall.joint_at[0]);
    let false_causes: Vec<_> =
        report.outcomes.iter().filter(|o| o.expected.is_empty() && o.verdict == kgrca_core::rca::Verdict::Cause).collect();
    assert!(false_causes.is_empty(), "healthy clusters have no cause: {false_causes:#?}");
}

#[test]
fn the_same_records_give_the_same_bytes() {
    for file in all().iter().step_by(3) {
        let bytes = std::fs::read(file).unwrap();
        let say = || serde_json::to_string(&analyze::analyze("x", &bytes, &options())).unwrap();
        assert_eq!(say(), say(), "{}", file.display());
    }
}
