//! Which resource an alert is about, where its labels name none that is known: rules count requests
//! per namespace, or know only the address that was scraped, and say the rest in words.

use crate::graph::{Graph, Idx};
use crate::model::{Alert, Kind, Str, Time};

/// Labels that may hold the name of a workload or Service, whatever kind it is of.
const NAMING: [&str; 10] = [
    "app",
    "application",
    "service",
    "service_name",
    "workload",
    "deployment",
    "job",
    "container",
    "component",
    "backend",
];

/// The kinds that a name in a label or text may be of; one application has the same name in
/// several of them.
const KINDS: [Kind; 5] = [
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::CronJob,
    Kind::Service,
];

/// A shorter name is as likely a word.
const MIN_NAME: usize = 4;

/// The known resource that an alert is about.
pub(super) fn resolve(graph: &Graph, alert: &Alert, now: Time) -> Option<Idx> {
    let subject = &alert.subject;
    let direct = graph.resolve(subject, now);
    let is_known = |idx: &Idx| graph.get(*idx).object.is_some();
    if let Some(idx) = direct
        .filter(is_known)
        .filter(|_| subject.kind != Kind::Namespace)
    {
        return Some(idx);
    }
    by_label(graph, alert)
        .or_else(|| by_public_name(graph, alert))
        .or_else(|| by_address(graph, alert))
        .or_else(|| by_text(graph, alert))
        .or(direct)
}

fn by_label(graph: &Graph, alert: &Alert) -> Option<Idx> {
    let namespaces = namespaces(graph, alert);
    NAMING
        .iter()
        .filter_map(|label| alert.labels.get(label))
        .find_map(|name| named(graph, &namespaces, name))
}

/// The Ingress of the host that a prober asks.
fn by_public_name(graph: &Graph, alert: &Alert) -> Option<Idx> {
    let host = Some(&alert.subject.name).filter(|_| alert.subject.kind == Kind::External)?;
    let serves = |idx: &Idx| {
        let object = graph.get(*idx).object.as_ref();
        object.is_some_and(|o| o.ingress().is_some_and(|i| i.hosts.contains(host)))
    };
    graph.of_kind(&Kind::Ingress).find(serves)
}

/// The node or pod that was scraped.
fn by_address(graph: &Graph, alert: &Alert) -> Option<Idx> {
    let instance = alert.labels.get("instance")?;
    let (host, _) = instance.rsplit_once(':').unwrap_or((instance, ""));
    graph.by_address(host.trim_matches(['[', ']']))
}

/// The application that the alert is named after, as in `BillingApiErrors`, else the first one that
/// its annotations mention.
fn by_text(graph: &Graph, alert: &Alert) -> Option<Idx> {
    let namespaces = namespaces(graph, alert);
    let words = kebab(&alert.name);
    let ends = words.match_indices('-').map(|(at, _)| at);
    let mut prefixes: Vec<&str> = ends.map(|at| &words[..at]).collect();
    prefixes.push(&words);
    let by_name = prefixes
        .into_iter()
        .rev()
        .filter(|prefix| prefix.len() >= MIN_NAME)
        .find_map(|prefix| named(graph, &namespaces, prefix));
    by_name.or_else(|| {
        let texts = ["summary", "description", "message"];
        let mut words = texts
            .iter()
            .filter_map(|name| alert.annotations.get(name))
            .flat_map(|text| text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')))
            .filter(|word| word.len() >= MIN_NAME);
        words.find_map(|word| named(graph, &namespaces, word))
    })
}

/// The namespace that an alert names, else all of them.
fn namespaces(graph: &Graph, alert: &Alert) -> Vec<Str> {
    let own = match alert.subject.kind {
        Kind::Namespace => &alert.subject.name,
        _ => &alert.subject.namespace,
    };
    if own.is_empty() {
        graph.namespaces()
    } else {
        vec![own.clone()]
    }
}

/// The workload or Service of a name, if only one namespace has one.
fn named(graph: &Graph, namespaces: &[Str], name: &str) -> Option<Idx> {
    let mut found = namespaces.iter().filter_map(|namespace| {
        let mut kinds = KINDS.iter();
        kinds.find_map(|kind| graph.find_live(kind.clone(), namespace, name))
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// `BillingApi5xx` as `billing-api-5xx`.
fn kebab(name: &str) -> String {
    let mut text = String::new();
    let mut before = ' ';
    for c in name.chars() {
        let starts = c.is_ascii_uppercase() && !before.is_ascii_uppercase()
            || c.is_ascii_digit() && before.is_ascii_lowercase();
        if starts && !text.is_empty() {
            text.push('-');
        }
        text.push(if c == '_' {
            '-'
        } else {
            c.to_ascii_lowercase()
        });
        before = c;
    }
    text
}
