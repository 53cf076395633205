//! When clusters are evaluated: once a batch is the last that waits, or every few seconds while
//! more keep coming.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kgrca_core::model::Str;

/// How long clusters wait for their evaluation while records keep coming.
const EVALUATE_EVERY: Duration = Duration::from_secs(5);
/// How long a cluster is not evaluated after a store refused the result.
const REFUSED_FOR: Duration = Duration::from_mins(5);

/// Clusters that changed since they were evaluated.
#[derive(Clone, Default)]
pub(super) struct Evaluations {
    waiting: BTreeSet<Str>,
    last: Option<Instant>,
    /// When a store last refused the result for a cluster.
    refused: BTreeMap<Str, Instant>,
    /// Waiting clusters whose last result was refused.
    doubtful: BTreeSet<Str>,
}

impl Evaluations {
    /// Marks a cluster as changed. One whose evaluation was refused waits for a change after the
    /// pause: ticks are changes, too.
    pub fn add(&mut self, cluster: Str, now: Instant) {
        if let Some(at) = self.refused.get(&cluster)
            && now.duration_since(*at) < REFUSED_FOR
        {
            return;
        }
        if self.refused.remove(&cluster).is_some() {
            self.doubtful.insert(cluster.clone());
        }
        self.waiting.insert(cluster);
    }

    /// Puts off a cluster whose result a store refused.
    pub fn refuse(&mut self, cluster: Str, now: Instant) {
        self.waiting.remove(&cluster);
        self.doubtful.remove(&cluster);
        self.refused.insert(cluster, now);
    }

    /// Whether a cluster waits whose result a store may refuse again.
    pub fn are_doubtful(&self) -> bool {
        !self.doubtful.is_empty()
    }

    /// The clusters that wait.
    pub fn waiting(&self) -> Vec<Str> {
        self.waiting.iter().cloned().collect()
    }

    /// One cluster to evaluate.
    pub fn take(&mut self, cluster: &Str) -> BTreeSet<Str> {
        self.doubtful.remove(cluster);
        self.waiting.take(cluster).into_iter().collect()
    }

    /// Whether no cluster waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The clusters to evaluate after a batch, without the doubtful ones; `None` while evaluation is
    /// put off. A batch is the `last` when no more records wait behind it.
    pub fn due(&mut self, last: bool, now: Instant) -> Option<BTreeSet<Str>> {
        let is_late = match self.last {
            Some(at) => now.duration_since(at) > EVALUATE_EVERY,
            None => true,
        };
        if !last && !is_late {
            return None;
        }
        self.last = Some(now);
        let doubtful = self.waiting.intersection(&self.doubtful).cloned().collect();
        let mut due = std::mem::replace(&mut self.waiting, doubtful);
        due.retain(|cluster| !self.doubtful.contains(cluster));
        Some(due)
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
        evaluations.add("prod".into(), start);
        assert!(evaluations.due(false, at(0)).is_some(), "the first batch");
        evaluations.add("prod".into(), start);
        assert_eq!(evaluations.due(false, at(3)), None);
        assert!(!evaluations.is_empty(), "it still waits");
        let due = evaluations.due(false, at(6)).unwrap();
        assert_eq!(due, BTreeSet::from(["prod".into()]));
        evaluations.add("stage".into(), start);
        let due = evaluations.due(true, at(7)).unwrap();
        assert_eq!(due, BTreeSet::from(["stage".into()]), "the last batch");
        assert!(evaluations.is_empty());
    }

    #[test]
    fn a_cluster_whose_evaluation_was_refused_waits_for_the_pause_and_a_change() {
        let start = Instant::now();
        let mut evaluations = Evaluations::default();
        for cluster in ["prod", "stage"] {
            evaluations.add(cluster.into(), start);
        }
        evaluations.refuse("prod".into(), start);
        assert_eq!(evaluations.waiting(), ["stage".into()], "others go on");
        evaluations.take(&"stage".into());
        let soon = start + Duration::from_secs(10);
        evaluations.add("prod".into(), soon);
        assert!(evaluations.is_empty(), "a change within the pause");
        evaluations.add("prod".into(), start + REFUSED_FOR);
        assert_eq!(evaluations.waiting(), ["prod".into()]);
        assert!(evaluations.are_doubtful());
        let due = evaluations.due(true, start + REFUSED_FOR).unwrap();
        assert!(due.is_empty(), "it is evaluated alone");
        evaluations.take(&"prod".into());
        assert!(!evaluations.are_doubtful());
        evaluations.add("prod".into(), soon);
        assert_eq!(
            evaluations.waiting(),
            ["prod".into()],
            "the pause is over for good"
        );
    }
}
