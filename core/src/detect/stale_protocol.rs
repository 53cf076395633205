//! Annotations of a Service that say which of its ports speak a protocol, and that name ports which
//! it has no more: what stands in front of it speaks another protocol to the port that it has.

use super::finding::{Evidence, Finding, Strength};
use super::service::pods_behind;
use super::text::short;
use super::{FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::object::Service;
use crate::model::{Kind, Severity};
use crate::trouble::Class;

/// How many lines of either side are evidence.
const MAX_LINES: usize = 3;

/// Reports Services whose annotations name none of their ports, where a side complains.
pub(super) fn annotations(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut complaints: Option<Vec<(Idx, &LogTemplate)>> = None;
    for idx in view.graph.of_kind(&Kind::Service) {
        let Some(service) = view.object(idx).and_then(|o| o.service()) else {
            continue;
        };
        let stale = service
            .protocols
            .iter()
            .find(|(_, value)| names_no_port(service, value));
        let Some((key, value)) = stale.filter(|_| view.exists(idx)) else {
            continue;
        };
        let all = complaints.get_or_insert_with(|| mismatches(view));
        out.extend(finding(view, idx, (key, value), all));
    }
}

/// The lines of today about another protocol.
fn mismatches<'a>(view: &View<'a>) -> Vec<(Idx, &'a LogTemplate)> {
    let is_meant = |(writer, log): &&(Idx, &'a LogTemplate)| {
        log.severity >= Severity::Warning
            && log.trouble().has(Class::ProtocolMismatch)
            && view.is_current(*writer, log)
    };
    view.episodes
        .logs
        .iter()
        .filter(is_meant)
        .copied()
        .collect()
}

fn finding(
    view: &View<'_>,
    idx: Idx,
    (key, value): (&str, &str),
    all: &[(Idx, &LogTemplate)],
) -> Option<Finding> {
    let own = view.component_id(idx);
    let is_own = |(writer, _): &&(Idx, &LogTemplate)| view.component_id(*writer) == own;
    let by_server = all.iter().filter(is_own).take(MAX_LINES);
    let by_others = all.iter().filter(|line| !is_own(line)).take(MAX_LINES);
    let lines: Vec<&(Idx, &LogTemplate)> = by_others.chain(by_server).collect();
    let (on, first) = lines.first()?;
    let ports = view.object(idx)?.service()?.ports.iter();
    let ports: Vec<String> = ports.map(|p| p.port.to_string()).collect();
    let message = format!(
        "Annotation `{key}: {value}` of Service `{}` does not fit its ports ({}): {}",
        view.graph.get(idx).name(),
        ports.join(", "),
        short(&first.sample, 160)
    );
    let strength = if pods_behind(view, idx).is_empty() {
        Strength::Fair
    } else {
        Strength::Proof
    };
    let lines = lines
        .iter()
        .map(|(writer, log)| view.log_evidence(*writer, log));
    let evidence: Vec<Evidence> = lines.collect();
    Some(
        view.finding(FaultId::ServiceProtocolMismatch, idx, *on, strength)
            .active(true)
            .message(message)
            .with([view.state_evidence(idx, format!("`{key}: {value}`"))])
            .with(evidence)
            .fix(
                view.command(
                    "kubectl -n <namespace> annotate service <name> --overwrite <key>=<port>",
                    idx,
                )
                .fill([("key", key)]),
            )
            .build(),
    )
}

/// Whether a list of ports has none of those of a Service, neither by number nor by name.
fn names_no_port(service: &Service, value: &str) -> bool {
    const PROTOCOLS: [&str; 6] = ["HTTP", "HTTPS", "HTTP2", "GRPC", "TCP", "TLS"];
    let words = value.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let mut named = words
        .filter(|word| !word.is_empty() && !PROTOCOLS.contains(word))
        .peekable();
    let has = |word: &str| {
        let mut ports = service.ports.iter();
        word == "true"
            || word == "*"
            || ports.any(|p| p.port.to_string() == word || p.name.as_deref() == Some(word))
    };
    named.peek().is_some() && !service.ports.is_empty() && !named.any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_stale_when_it_names_no_port() {
        let service: Service = serde_json::from_value(serde_json::json!({
            "ports": [{"name": "grpc", "port": 50051}, {"name": "web", "port": 80}],
        }))
        .unwrap();
        assert!(names_no_port(&service, "9000"));
        assert!(names_no_port(&service, "9000,9001"));
        assert!(!names_no_port(&service, "9000,50051"));
        assert!(!names_no_port(&service, r#"{"web":"HTTP2"}"#));
        assert!(names_no_port(&service, r#"{"https":"HTTPS"}"#));
        assert!(!names_no_port(&service, ""));
        assert!(!names_no_port(&Service::default(), "9000"));
    }
}
