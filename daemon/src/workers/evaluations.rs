//! When clusters are evaluated: once a batch is the last that waits, or every few seconds while
//! more keep coming.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kgrca_core::model::Str;

/// How long clusters wait for their evaluation while records keep coming.
const EVALUATE_EVERY: Duration = Duration::from_secs(5);

/// Clusters that changed since they were evaluated.
#[derive(Clone, Default)]
pub(super) struct Evaluations {
    waiting: BTreeSet<Str>,
    last: Option<Instant>,
}

impl Evaluations {
    /// Marks a cluster as changed.
    pub fn add(&mut self, cluster: Str) {
        self.waiting.insert(cluster);
    }

    /// Whether no cluster waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The clusters to evaluate after a batch; `None` while evaluation is put off. A batch is the
    /// `last` when no more records wait behind it.
    pub fn due(&mut self, last: bool, now: Instant) -> Option<BTreeSet<Str>> {
        let is_late = match self.last {
            Some(at) => now.duration_since(at) > EVALUATE_EVERY,
            None => true,
        };
        if !last && !is_late {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluation_is_put_off_while_records_keep_coming_but_not_for_long() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut evaluations = Evaluations::default();
        evaluations.add("prod".into());
        assert!(evaluations.due(false, at(0)).is_some(), "the first batch");
        evaluations.add("prod".into());
        assert_eq!(evaluations.due(false, at(3)), None);
        assert!(!evaluations.is_empty(), "it still waits");
        let due = evaluations.due(false, at(6)).unwrap();
        assert_eq!(due, BTreeSet::from(["prod".into()]));
        evaluations.add("stage".into());
        let due = evaluations.due(true, at(7)).unwrap();
        assert_eq!(due, BTreeSet::from(["stage".into()]), "the last batch");
        assert!(evaluations.is_empty());
    }
}
