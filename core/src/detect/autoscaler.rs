//! Horizontal pod autoscalers that have no metrics, cannot scale or are at their limit.

use super::finding::{Finding, Strength};
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::Episode;
use crate::model::object::{self, Hpa};

/// The load in percent of the target up to which an autoscaler leaves things as they are.
const TOLERATED: i64 = 110;

pub(super) fn autoscaler(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    if !view.exists(idx) {
        return;
    }
    let Some(hpa) = view.object(idx).and_then(|o| o.hpa()) else {
        return said(view, idx, idx, out);
    };
    let target = view
        .graph
        .out(idx)
        .find(|(r, _)| *r == Relation::Scales)
        .map(|(_, t)| t)
        .unwrap_or(idx);
    let condition = |kind: &str, status: &str| {
        object::condition(&hpa.conditions, kind).filter(|c| c.is(status))
    };
    if let Some(c) = condition("ScalingActive", "False")
        .filter(|c| c.reason.as_deref() != Some("ScalingDisabled"))
    {
        let message = format!(
            "HPA `{}` has no metrics: {}",
            view.graph.get(idx).name(),
            short(c.message.as_deref().unwrap_or(""), 240)
        );
        out.push(
            view.finding(
                FaultId::PerformanceAutoscalerNoMetrics,
                target,
                idx,
                Strength::Strong,
            )
            .active(view.lasts(c.last_transition_time.0))
            .message(message)
            .with([view.state_evidence(idx, "ScalingActive is False".into())])
            .build(),
        );
    }
    if object::condition(&hpa.conditions, "ScalingActive").is_none() {
        said(view, idx, target, out);
    }
    if let Some(c) = condition("AbleToScale", "False") {
        let said = short(c.message.as_deref().unwrap_or(""), 160);
        let name = view.graph.get(idx).name();
        out.push(
            view.finding(
                FaultId::PerformanceAutoscalerCannotScale,
                target,
                idx,
                Strength::Strong,
            )
            .active(true)
            .message(format!("HPA `{name}` cannot scale its target: {said}"))
            .with([view.state_evidence(idx, format!("AbleToScale is False: {said}"))])
            .with(view.warnings(idx).map(|e| view.event_evidence(idx, e)))
            .build(),
        );
    }
    at_limit(view, idx, hpa, target, out);
}

/// Reports an autoscaler without metrics by its events, where its conditions are not known. While
/// pods start, they have none either.
fn said(view: &View<'_>, idx: Idx, target: Idx, out: &mut Vec<Finding>) {
    let fails = |e: &&Episode| {
        let reason = &*e.reason;
        let is_about_metrics = reason == "FailedComputeMetricsReplicas"
            || reason.starts_with("FailedGet") && reason.ends_with("Metric");
        is_about_metrics
            && view.still_holds(idx, e)
            && !has(&e.message, &["for any ready pods", "unready pods"])
    };
    let events: Vec<&Episode> = view.warnings(idx).filter(fails).collect();
    let Some(last) = events.last() else { return };
    let message = format!(
        "HPA `{}` has no metrics: {}",
        view.graph.get(idx).name(),
        short(&last.message, 240)
    );
    let fault = FaultId::PerformanceAutoscalerNoMetrics;
    let finding = view.finding(fault, target, idx, Strength::Strong);
    let finding = finding.active(true).message(message);
    let events = events.into_iter().map(|e| view.event_evidence(idx, e));
    out.push(finding.with(events).build());
}

/// Reports an autoscaler at its maximum. That it is there is usual; that the load is above its
/// target as well is a lack.
fn at_limit(view: &View<'_>, idx: Idx, hpa: &Hpa, target: Idx, out: &mut Vec<Finding>) {
    let limited = object::condition(&hpa.conditions, "ScalingLimited");
    let limited = limited
        .filter(|c| c.is("True") && c.reason.as_deref() == Some("TooManyReplicas"))
        .and_then(|c| c.message.as_deref());
    let is_at_maximum = hpa.max_replicas.is_some() && hpa.current_replicas >= hpa.max_replicas;
    let load = hpa.load.filter(|load| is_at_maximum && *load > TOLERATED);
    if limited.is_none() && load.is_none() {
        return;
    }
    let name = view.graph.get(idx).name();
    let (maximum, state) = (
        hpa.max_replicas.unwrap_or(0),
        limited.unwrap_or("it has maxReplicas replicas"),
    );
    let above = load
        .map(|load| format!(", and its load is {load} % of the target"))
        .unwrap_or_default();
    out.push(
        view.finding(
            FaultId::PerformanceAutoscalerAtLimit,
            target,
            idx,
            Strength::Fair,
        )
        .active(load.is_some())
        .message(format!(
            "HPA `{name}` is capped at maxReplicas {maximum}{above}"
        ))
        .with([view.state_evidence(idx, format!("ScalingLimited: {state}"))])
        .build(),
    );
}
