//! Evaluating a cluster of the live state, and collecting what changed in it.

use kgrca_core::detect::{Pace, Phase, Watch};
use kgrca_core::engine::{ClusterState, Evaluation};
use kgrca_core::model::Str;
use kgrca_core::storage::{ClusterCounts, ClusterRow};
use kgrca_core::tenancy::TenantId;

use super::evaluations::{COMPARE_FOR, INSPECT_FOR, RANK_FOR, Spent};
use super::outcome::Outcome;
use super::{Live, Rules, reporter};
use crate::clock::{instant, since};
use crate::telemetry;

/// What may end an evaluation early.
#[derive(Clone, Copy)]
pub(super) struct Signals<'a> {
    /// Whether the worker is stopping.
    pub is_stopping: &'a dyn Fn() -> bool,
    /// Whether a tenant waits for the place in which this one works.
    pub gives_way: &'a dyn Fn() -> bool,
}

impl Live {
    /// Evaluates a cluster, and puts off the next evaluation by what this one took. `None` when the
    /// worker is stopping, or without such a cluster.
    pub fn evaluate(
        &mut self,
        tenant: &TenantId,
        cluster: &Str,
        signals: Signals<'_>,
    ) -> Option<Evaluation> {
        let state = self.clusters.get_mut(cluster)?;
        let started = instant();
        let evaluation = evaluate(tenant, state, &self.rules, signals);
        match &evaluation {
            Some(evaluation) => {
                let spent = Spent {
                    time: since(started),
                    is_partial: evaluation.is_partial,
                };
                self.evaluations.spent(cluster, spent, instant());
            }
            None => self.evaluations.called_off(cluster.clone()),
        }
        evaluation
    }

    /// Collects what changed in a cluster. A batch is the `last` when no more records wait.
    pub fn collect(
        &mut self,
        cluster: &Str,
        evaluation: Option<&Evaluation>,
        is_last: bool,
        outcome: &mut Outcome,
    ) {
        let Some(state) = self.clusters.get_mut(cluster) else {
            return;
        };
        // Also of clusters that are not evaluated: what people did is reported at once.
        reporter::report(state, evaluation, &mut self.reported, outcome);
        outcome.changes.extend(state.take_changes());
        outcome.clusters.push(ClusterRow {
            cluster: state.name.to_string(),
            state: state.save(),
            last_record: state.last_record,
            last_arrival: outcome.last_arrival(cluster),
            // An evaluation may have to wait.
            counts: (evaluation.is_some() || is_last).then(|| counts(state)),
        });
    }
}

fn counts(state: &ClusterState) -> ClusterCounts {
    ClusterCounts {
        resources: state.graph.live(),
        edges: state.graph.edge_count(),
        episodes: state.episodes.len(),
        incidents: state.incidents.iter().filter(|i| i.is_live()).count(),
    }
}

/// Evaluates a cluster for a limited time, half of it while other tenants wait; `None` when the
/// worker is stopping.
fn evaluate(
    tenant: &TenantId,
    state: &mut ClusterState,
    rules: &Rules,
    signals: Signals<'_>,
) -> Option<Evaluation> {
    let started = instant();
    let pace = |phase| {
        let limit = match phase {
            Phase::Inspection => INSPECT_FOR,
            Phase::Comparison => COMPARE_FOR,
            Phase::Ranking => RANK_FOR,
        };
        let spent = since(started);
        if (signals.is_stopping)() {
            Pace::Abort
        } else if spent > limit || spent > limit / 2 && (signals.gives_way)() {
            Pace::EndPhase
        } else {
            Pace::Continue
        }
    };
    let now = state.watermark;
    let watch = Watch::new(&pace);
    let evaluation = state.evaluate_within(watch, now, &rules.weights, &rules.catalogue)?;
    let causes = evaluation.ranked.iter().map(|r| r.causal.len()).sum();
    telemetry::ClusterEvaluated {
        seconds: since(started).as_secs_f64(),
        causes,
    }
    .emit();
    for panic in &evaluation.panics {
        telemetry::DetectorPanicked {
            tenant,
            cluster: &state.name,
            panic,
        }
        .emit();
    }
    if evaluation.is_partial {
        telemetry::EvaluationPartial {
            tenant,
            cluster: &state.name,
        }
        .emit();
    }
    Some(evaluation)
}
