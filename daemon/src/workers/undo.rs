//! What a part of a batch changes in the live state, so that it can be undone when a store refuses
//! what follows from it. Only clusters that the part reaches are copied.

use std::collections::{BTreeMap, HashMap};

use kgrca_core::engine::ClusterState;
use kgrca_core::model::Str;

use super::Live;
use super::evaluations::Evaluations;
use super::reporter::Reported;

/// The live state before a part of a batch.
pub(super) struct Before {
    /// The clusters that were reached since; `None` for those that did not exist.
    clusters: BTreeMap<Str, Option<ClusterState>>,
    reported: HashMap<u64, Reported>,
    evaluations: Evaluations,
}

impl Live {
    /// From now on changes can be undone.
    pub fn begin(&mut self) {
        self.before = Some(Before {
            clusters: BTreeMap::new(),
            reported: self.reported.clone(),
            evaluations: self.evaluations.clone(),
        });
    }

    /// Copies a cluster before its first change.
    pub fn remember(&mut self, name: &Str) {
        let Some(before) = &mut self.before else {
            return;
        };
        if !before.clusters.contains_key(name) {
            let state = self.clusters.get(name).cloned();
            before.clusters.insert(name.clone(), state);
        }
    }

    /// Keeps what changed.
    pub fn keep(&mut self) {
        self.before = None;
    }

    /// Takes back what changed since [`Live::begin`].
    pub fn undo(&mut self) {
        let Some(before) = self.before.take() else {
            return;
        };
        for (name, state) in before.clusters {
            match state {
                Some(state) => self.clusters.insert(name, state),
                None => self.clusters.remove(&name),
            };
        }
        self.reported = before.reported;
        self.evaluations = before.evaluations;
    }

    /// Keeps what changed, except for which incidents count as written.
    pub fn keep_unreported(&mut self) {
        if let Some(before) = self.before.take() {
            self.reported = before.reported;
        }
    }
}

#[cfg(test)]
mod tests {
    use kgrca_core::model::Time;

    use super::*;

    #[test]
    fn only_what_was_reached_is_copied_and_restored() {
        let mut live = Live::default();
        for name in ["a", "b"] {
            live.cluster(&name.into()).watermark = Time(1);
        }
        live.begin();
        live.cluster(&"b".into()).watermark = Time(2);
        live.cluster(&"c".into()).watermark = Time(2);
        assert_eq!(live.before.as_ref().unwrap().clusters.len(), 2);
        live.undo();
        let names: Vec<&str> = live.clusters.keys().map(|name| &**name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(live.clusters["b"].watermark, Time(1));
        live.begin();
        live.cluster(&"b".into()).watermark = Time(3);
        live.keep();
        live.undo();
        assert_eq!(live.clusters["b"].watermark, Time(3));
    }
}
