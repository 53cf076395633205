//! When clusters are evaluated: once a batch is the last that waits, or every few seconds while
//! more keep coming; and for how long, so that no cluster takes the processor from the others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kgrca_core::model::Str;

/// How long clusters wait for their evaluation while records keep coming.
const EVALUATE_EVERY: Duration = Duration::from_secs(5);
/// How long a cluster is not evaluated after a store refused the result.
const REFUSED_FOR: Duration = Duration::from_mins(5);
/// Until when detectors inspect resources in an evaluation, and compare them.
pub(super) const INSPECT_FOR: Duration = Duration::from_secs(6);
pub(super) const COMPARE_FOR: Duration = Duration::from_secs(8);
/// How long an evaluation lasts before the remaining incidents wait for the next one.
pub(super) const RANK_FOR: Duration = Duration::from_secs(10);
/// An evaluation that lasts longer than this is followed by a pause, which is so many times as
/// long. The second number is for an evaluation that had to end early.
const SHORT: Duration = Duration::from_secs(2);
const PAUSE: u32 = 4;
const PAUSE_AFTER_PARTIAL: u32 = 20;

/// Clusters that changed since they were evaluated.
#[derive(Clone, Default)]
pub(super) struct Evaluations {
    waiting: BTreeSet<Str>,
    last: Option<Instant>,
    /// When a store last refused the result for a cluster.
    refused: BTreeMap<Str, Instant>,
    /// Waiting clusters whose last result was refused.
    doubtful: BTreeSet<Str>,
    /// Until when a cluster is not evaluated, because its last evaluation took long.
    resting: BTreeMap<Str, Instant>,
}

/// How an evaluation went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    pub time: Duration,
    /// Whether it had to end early.
    pub is_partial: bool,
}

impl Evaluations {
    /// Puts off the next evaluation of a cluster by what the last one took. One that had to end
    /// early is continued after the pause.
    pub fn spent(&mut self, cluster: &Str, spent: Spent, now: Instant) {
        if spent.is_partial {
            self.waiting.insert(cluster.clone());
        }
        let times = if spent.is_partial {
            PAUSE_AFTER_PARTIAL
        } else {
            PAUSE
        };
        if spent.time > SHORT {
            self.resting
                .insert(cluster.clone(), now + spent.time * times);
        }
    }

    /// Marks a cluster whose evaluation was called off.
    pub fn called_off(&mut self, cluster: Str) {
        self.waiting.insert(cluster);
    }

    fn can_start(&self, cluster: &Str, now: Instant) -> bool {
        match self.resting.get(cluster) {
            Some(until) => now >= *until,
            None => true,
        }
    }

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

    /// The clusters that wait and can be evaluated now.
    pub fn waiting(&self, now: Instant) -> Vec<Str> {
        let waiting = self.waiting.iter();
        waiting
            .filter(|cluster| self.can_start(cluster, now))
            .cloned()
            .collect()
    }

    /// One cluster to evaluate.
    pub fn take(&mut self, cluster: &Str) -> BTreeSet<Str> {
        self.doubtful.remove(cluster);
        self.waiting.take(cluster).into_iter().collect()
    }

    /// Whether no cluster can be evaluated now.
    pub fn is_empty(&self, now: Instant) -> bool {
        !self.waiting.iter().any(|c| self.can_start(c, now))
    }

    /// When the pause of the first waiting cluster ends.
    pub fn next_at(&self) -> Option<Instant> {
        let waiting = self.waiting.iter();
        waiting.filter_map(|c| self.resting.get(c).copied()).min()
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
        self.resting.retain(|_, until| now < *until);
        let (resting, doubtful) = (&self.resting, &self.doubtful);
        let can_start =
            |cluster: &Str| !resting.contains_key(cluster) && !doubtful.contains(cluster);
        Some(self.waiting.extract_if(.., can_start).collect())
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
        assert!(!evaluations.is_empty(at(3)), "it still waits");
        let due = evaluations.due(false, at(6)).unwrap();
        assert_eq!(due, BTreeSet::from(["prod".into()]));
        evaluations.add("stage".into(), start);
        let due = evaluations.due(true, at(7)).unwrap();
        assert_eq!(due, BTreeSet::from(["stage".into()]), "the last batch");
        assert!(evaluations.is_empty(at(7)));
    }

    #[test]
    fn a_cluster_whose_evaluation_took_long_waits_in_proportion_and_others_do_not() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let spent = |seconds, is_partial| Spent {
            time: Duration::from_secs(seconds),
            is_partial,
        };
        let mut evaluations = Evaluations::default();
        evaluations.spent(&"prod".into(), spent(3, false), at(3));
        evaluations.spent(&"test".into(), spent(1, false), at(3));
        for cluster in ["prod", "stage", "test"] {
            evaluations.add(cluster.into(), at(4));
        }
        let others = BTreeSet::from(["stage".into(), "test".into()]);
        assert_eq!(evaluations.due(true, at(14)), Some(others));
        assert!(
            evaluations.is_empty(at(14)),
            "nothing to do until the pause ends"
        );
        assert_eq!(evaluations.next_at(), Some(at(15)));
        assert_eq!(evaluations.waiting(at(15)), ["prod".into()]);
        let due = evaluations.due(true, at(15)).unwrap();
        assert_eq!(due, BTreeSet::from(["prod".into()]));
        evaluations.spent(&"prod".into(), spent(10, true), at(25));
        assert!(evaluations.is_empty(at(224)), "the rest waits, too");
        let due = evaluations.due(true, at(225)).unwrap();
        assert_eq!(due, BTreeSet::from(["prod".into()]), "without a new record");
        assert!(evaluations.is_empty(at(300)));
    }

    #[test]
    fn a_cluster_whose_evaluation_was_refused_waits_for_the_pause_and_a_change() {
        let start = Instant::now();
        let mut evaluations = Evaluations::default();
        for cluster in ["prod", "stage"] {
            evaluations.add(cluster.into(), start);
        }
        evaluations.refuse("prod".into(), start);
        let waiting = evaluations.waiting(start);
        assert_eq!(waiting, ["stage".into()], "others go on");
        evaluations.take(&"stage".into());
        let soon = start + Duration::from_secs(10);
        evaluations.add("prod".into(), soon);
        assert!(evaluations.is_empty(soon), "a change within the pause");
        evaluations.add("prod".into(), start + REFUSED_FOR);
        assert_eq!(evaluations.waiting(soon), ["prod".into()]);
        assert!(evaluations.are_doubtful());
        let due = evaluations.due(true, start + REFUSED_FOR).unwrap();
        assert!(due.is_empty(), "it is evaluated alone");
        evaluations.take(&"prod".into());
        assert!(!evaluations.are_doubtful());
        evaluations.add("prod".into(), soon);
        assert_eq!(
            evaluations.waiting(soon),
            ["prod".into()],
            "the pause is over for good"
        );
    }
}
