//! Reads horizontal pod autoscalers.

use serde::Deserialize;

use super::Reject;
use super::object_kinds::Part;
use crate::model::Str;
use crate::model::object::{Condition, Hpa, List};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    scale_target_ref: Target,
    max_replicas: Option<i64>,
    metrics: List<Metric>,
    #[serde(rename = "targetCPUUtilizationPercentage")]
    target_cpu: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Target {
    kind: Option<Str>,
    name: Option<Str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    current_replicas: Option<i64>,
    desired_replicas: Option<i64>,
    conditions: List<Condition>,
    current_metrics: List<Metric>,
    #[serde(rename = "currentCPUUtilizationPercentage")]
    current_cpu: Option<i64>,
}

/// A metric of the spec, with a target, or of the status, with its current value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Metric {
    resource: Option<Resource>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    name: Str,
    target: Value,
    current: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Value {
    average_utilization: Option<i64>,
}

pub(super) fn read(spec: &Part<'_>, status: &Part<'_>) -> Result<Hpa, Reject> {
    let (spec, status): (Spec, Status) = (spec.read()?, status.read()?);
    let load = load(&spec, &status);
    Ok(Hpa {
        target_kind: spec.scale_target_ref.kind,
        target_name: spec.scale_target_ref.name,
        max_replicas: spec.max_replicas,
        current_replicas: status.current_replicas,
        desired_replicas: status.desired_replicas,
        conditions: status.conditions,
        load,
    })
}

/// The utilization that is highest above its target, in percent of it.
fn load(spec: &Spec, status: &Status) -> Option<i64> {
    let resources = |metrics: &List<Metric>| -> Vec<Resource> {
        let all = metrics.iter().filter_map(|m| m.resource.clone());
        all.collect()
    };
    let wanted = resources(&spec.metrics);
    let current = resources(&status.current_metrics);
    let share =
        |current: i64, target: i64| (target > 0).then(|| current.saturating_mul(100) / target);
    let of_metrics = current.iter().filter_map(|now| {
        let target = wanted.iter().find(|w| w.name == now.name)?;
        let target = target.target.average_utilization?;
        share(now.current.average_utilization?, target)
    });
    let of_cpu = status.current_cpu.zip(spec.target_cpu);
    let of_cpu = of_cpu.and_then(|(current, target)| share(current, target));
    of_metrics.chain(of_cpu).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spec: &str, status: &str) -> Option<i64> {
        let spec: Spec = serde_json::from_str(spec).unwrap();
        load(&spec, &serde_json::from_str(status).unwrap())
    }

    #[test]
    fn the_load_is_relative_to_the_target() {
        let spec = r#"{"metrics":[{"type":"Resource","resource":{"name":"cpu",
            "target":{"type":"Utilization","averageUtilization":60}}}]}"#;
        let status = r#"{"currentMetrics":[{"type":"Resource","resource":{"name":"cpu",
            "current":{"averageUtilization":96}}}]}"#;
        assert_eq!(of(spec, status), Some(160));
        let old = r#"{"targetCPUUtilizationPercentage":50}"#;
        let now = r#"{"currentCPUUtilizationPercentage":40}"#;
        assert_eq!(of(old, now), Some(80));
        assert_eq!(of(spec, "{}"), None);
    }
}
