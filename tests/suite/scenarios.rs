//! The gate: the engine's accuracy on our own scenarios, and that it answers the same twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kgrca_core::analyze::{self, Options};
use kgrca_core::lab::eval::{self, Outcome};
use kgrca_core::model::Time;
use kgrca_core::rca::{MAX_CAUSES, Scorer};
use kgrca_tests::repository;

fn cases(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            cases(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

fn options() -> Options {
    Options {
        top: MAX_CAUSES,
        now: Time(1_900_000_000_000_000),
        ..Options::default()
    }
}

fn all() -> Vec<PathBuf> {
    let mut found = Vec::new();
    cases(&repository().join("tests/scenarios"), &mut found);
    assert!(found.len() >= 385);
    found
}

#[test]
fn causes_are_right() {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for file in all() {
        let bytes = std::fs::read(&file).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let analysis = analyze::analyze(&name, &bytes, &options());
        assert_eq!(
            analysis.records.rejected, 0,
            "{name}: {:?}",
            analysis.rejects
        );
        assert_eq!(
            analysis.records.seen,
            analysis.records.applied + analysis.records.duplicate,
            "{name}: counts add up"
        );
        let label = eval::label(&bytes, &BTreeMap::new()).unwrap();
        for labelled in label.faults.iter().filter(|_| label.faults.len() > 1) {
            let is_named = analysis
                .causes
                .iter()
                .take(3)
                .any(|c| c.component == labelled.component && c.fault_type == labelled.fault);
            assert!(is_named, "{name}: {labelled} is not among the first 3");
        }
        outcomes.push(eval::judge(&name, &label, &analysis));
    }
    let report = eval::report(Scorer::Causal, outcomes, 0.0);
    let changes = changes(&report.outcomes);
    assert!(
        changes.is_empty(),
        "KGRCA_WRITE_SNAPSHOTS=1 takes these as the new baseline:\n{changes}"
    );
    // Whatever the baseline says.
    assert!(
        report.overall.component_at[0] >= 0.97,
        "component {}",
        report.overall.component_at[0]
    );
    assert!(
        report.overall.joint_at[0] >= 0.95,
        "joint {}",
        report.overall.joint_at[0]
    );
    let false_causes: Vec<_> = report
        .outcomes
        .iter()
        .filter(|o| o.expected.is_empty() && o.verdict == kgrca_core::rca::Verdict::Cause)
        .collect();
    assert!(
        false_causes.is_empty(),
        "healthy clusters have no cause: {false_causes:#?}"
    );
}

/// Differences between the baseline and these outcomes, as tab-separated columns: case, `right` or
/// `wrong`, answer.
fn changes(outcomes: &[Outcome]) -> String {
    let file = repository().join("tests/suite/snapshots/scenarios.tsv");
    let line = |o: &Outcome| {
        let right = if o.joint_at[0] < 1.0 {
            "wrong"
        } else {
            "right"
        };
        format!(
            "{}\t{right}\t{}",
            o.case,
            o.said.as_deref().unwrap_or("nothing")
        )
    };
    let now: Vec<String> = outcomes.iter().map(line).collect();
    if std::env::var_os("KGRCA_WRITE_SNAPSHOTS").is_some() {
        std::fs::write(&file, now.join("\n") + "\n").unwrap();
    }
    let baseline = std::fs::read_to_string(&file).unwrap();
    let before: BTreeSet<&str> = baseline.lines().collect();
    let after: BTreeSet<&str> = now.iter().map(String::as_str).collect();
    let was = before.difference(&after).map(|l| format!("- {l}\n"));
    was.chain(after.difference(&before).map(|l| format!("+ {l}\n")))
        .collect()
}

#[test]
fn the_same_records_give_the_same_bytes() {
    for file in all().iter().step_by(3) {
        let bytes = std::fs::read(file).unwrap();
        let say = || serde_json::to_string(&analyze::analyze("x", &bytes, &options())).unwrap();
        assert_eq!(say(), say(), "{}", file.display());
    }
}
