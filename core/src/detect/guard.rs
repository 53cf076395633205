//! Runs detectors so that one that panics costs its own findings only, and is reported.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Finding, View, Watch};
use crate::graph::Idx;

/// A detector that panicked: a bug, after which its findings are missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DetectorPanic {
    /// Path of its function, such as `scheduling::pod`.
    pub detector: &'static str,
    /// The resource that was inspected, as `Kind/namespace/name`; empty for a detector that
    /// compares resources.
    pub resource: String,
    /// The panic's message.
    pub message: String,
}

/// Collects what detectors find, and which of them panic.
#[derive(Debug)]
pub struct Findings<'a> {
    /// What was found.
    pub found: Vec<Finding>,
    /// The detectors that panicked.
    pub panics: Vec<DetectorPanic>,
    /// Whether a detector did not run, or not to its end, for lack of time.
    pub are_partial: bool,
    watch: Watch<'a>,
}

impl<'a> Findings<'a> {
    /// No findings yet.
    pub fn new(watch: Watch<'a>) -> Self {
        Self {
            found: Vec::new(),
            panics: Vec::new(),
            are_partial: false,
            watch,
        }
    }

    /// Runs a detector that inspects one resource.
    pub(super) fn inspect<D>(&mut self, detector: D, view: &View<'_>, idx: Idx)
    where
        D: Fn(&View<'_>, Idx, &mut Vec<Finding>),
    {
        let name = || view.graph.get(idx).alias.to_string();
        self.run(name_of::<D>(), name, |found| detector(view, idx, found));
    }

    /// Runs a detector that compares resources.
    pub(super) fn compare(&mut self, detector: &'static str, run: impl FnOnce(&mut Vec<Finding>)) {
        self.run(detector, String::new, run);
    }

    fn run(
        &mut self,
        detector: &'static str,
        resource: impl FnOnce() -> String,
        run: impl FnOnce(&mut Vec<Finding>),
    ) {
        if self.watch.ends() {
            self.are_partial = true;
            return;
        }
        let before = self.found.len();
        // The findings that a panic leaves behind are cut off; a detector changes nothing else.
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&mut self.found)));
        if let Err(payload) = outcome {
            self.found.truncate(before);
            self.panics.push(DetectorPanic {
                detector,
                resource: resource(),
                message: message(&*payload),
            });
        } else if self.watch.ends() {
            // It may have ended early, with conclusions from what it did not see.
            self.found.truncate(before);
            self.are_partial = true;
        }
    }
}

/// The path of a function below this module.
fn name_of<D>() -> &'static str {
    let path = std::any::type_name::<D>();
    path.split_once("detect::")
        .map(|(_, name)| name)
        .unwrap_or(path)
}

fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "panicked without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detector_that_panics_is_reported_and_the_others_still_run() {
        let none: Vec<Finding> = Vec::new();
        let mut findings = Findings::new(Watch::UNLIMITED);
        findings.compare("node::shared", |found| found.push(none[7].clone()));
        findings.compare("proxy::clock", |_| {});
        let [panic] = findings.panics.as_slice() else {
            panic!("one panic: {:?}", findings.panics)
        };
        assert_eq!(panic.detector, "node::shared");
        assert!(
            panic.message.contains("index out of bounds"),
            "{}",
            panic.message
        );
        assert!(findings.found.is_empty());
    }

    #[test]
    fn a_detector_is_named_by_its_path() {
        fn name<D: Fn(&View<'_>, Idx, &mut Vec<Finding>)>(_: D) -> &'static str {
            name_of::<D>()
        }
        assert_eq!(name(super::super::scheduling::pod), "scheduling::pod");
    }
}
