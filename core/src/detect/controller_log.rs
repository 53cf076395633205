//! Lines of controllers that are about another object.

use super::finding::{Finding, Strength};
use super::polarity;
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::{Component, Idx};
use crate::model::object::Object;
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};

/// Reports objects that a controller's errors name: the scaler of KEDA, the reconciler of an
/// operator.
pub(super) fn named(view: &View<'_>, found: &[Finding], out: &mut Vec<Finding>) {
    for (writer, log) in &view.episodes.logs {
        let is_recent = view.now.0 - log.last.0 <= 15 * MINUTE;
        // A program's own lines may be about pods as well.
        let is_controller =
            *view.graph.get(*writer).kind() == Kind::Node || !view.is_pod_unhealthy(*writer);
        if !is_recent || log.severity < Severity::Error || !is_controller {
            continue;
        }
        // A write that came too late is tried again at once.
        if has(&log.sample, &["object has been modified"]) {
            continue;
        }
        let Some(object) = about(view, &log.sample).filter(|o| o != writer) else {
            continue;
        };
        let title = view.title(object);
        let fault = match view.graph.get(object).kind().as_str() {
            "ScaledObject" | "ScaledJob" => FaultId::AutoscalingTriggerFailing,
            _ => FaultId::OperatorConditionFailed,
        };
        // A scaler that fails leaves its object ready; a reconciler does not.
        let conditions = view.object(object).map(Object::reported_conditions);
        if fault == FaultId::OperatorConditionFailed
            && conditions.is_some_and(|c| c.iter().any(polarity::is_good_summary))
        {
            continue;
        }
        let component: Component = view.component(object);
        // The object's own state says more than a line about it.
        let is_known = |f: &Finding| f.on == object || view.component(f.blamed) == component;
        if found.iter().any(is_known) {
            continue;
        }
        let message = format!(
            "{} reports about {title}: {}",
            view.title(view.top_owner(*writer)),
            short(&log.sample, 240)
        );
        out.push(
            view.finding(fault, object, object, Strength::Strong)
                .active(true)
                .message(message)
                .with([view.log_evidence(*writer, log)])
                .build(),
        );
    }
}

/// The custom object that a structured line is about, or the pod that is not ready.
pub(super) fn about(view: &View<'_>, line: &str) -> Option<Idx> {
    let scaled = || {
        let name = value(line, "scaledObject.Name")?;
        Some(("ScaledObject", value(line, "scaledObject.Namespace")?, name))
    };
    // controller-runtime: `"controllerKind": "Widget", … "namespace": "lab", "name": "one"`
    let reconciled = || {
        let kind = value(line, "controllerKind")?;
        Some((
            kind,
            value(line, "namespace").unwrap_or(""),
            value(line, "name")?,
        ))
    };
    // klog: `pod="shop/web-0"`, which the kubelet, the scheduler and plug-ins write.
    let of_pod = || {
        let (namespace, name) = value(line, "pod")?.split_once('/')?;
        Some(("Pod", namespace, name))
    };
    // cert-manager: `resource_name="a" resource_namespace="b" resource_kind="Challenge"`
    let handled = || {
        let kind = value(line, "resource_kind")?;
        let namespace = value(line, "resource_namespace").unwrap_or("");
        Some((kind, namespace, value(line, "resource_name")?))
    };
    let named = scaled().or_else(reconciled).or_else(handled);
    let (kind, namespace, name) = named.or_else(of_pod)?;
    let kind = Kind::parse(kind);
    let is_custom = matches!(kind, Kind::Other(_));
    let found = view.graph.find_live(kind, namespace, name)?;
    let is_meant = if is_custom {
        view.object(found).is_some()
    } else {
        *view.graph.get(found).kind() == Kind::Pod && view.is_pod_unhealthy(found)
    };
    is_meant.then_some(found)
}

/// The text of a key of a structured line: `"key": "text"`, `"key":"text"` or `key="text"`.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let found = line.match_indices(key).find_map(|(at, _)| {
        let before = line[..at].chars().next_back();
        let starts = before
            .map(|c| !c.is_ascii_alphanumeric() && c != '.')
            .unwrap_or(true);
        let rest = line[at + key.len()..].trim_start_matches('"');
        let rest = rest.trim_start().strip_prefix([':', '='])?;
        let rest = rest.trim_start().strip_prefix('"')?;
        rest.split('"').next().filter(|_| starts)
    });
    found.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn values_of_structured_lines_are_found() {
        let line = r#"ERROR x {"scaledObject.Namespace": "shop", "scaledObject.Name":"w"}"#;
        assert_eq!(value(line, "scaledObject.Name"), Some("w"));
        assert_eq!(value(line, "scaledObject.Namespace"), Some("shop"));
        assert_eq!(
            value("level=error namespace=\"a\" name=\"b\"", "name"),
            Some("b")
        );
        assert_eq!(value("the name of it", "name"), None);
    }
}
