//! Which resource an alert is about, where its labels name none that is known: rules count requests
//! per namespace, or know only the address that was scraped, and say the rest in words.

use std::cell::OnceCell;

use hashbrown::hash_map::Entry;

use crate::graph::{Graph, Idx};
use crate::model::{Alert, Kind, Time};

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

/// An alert's texts are read so many words far.
const MAX_WORDS: usize = 64;

type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// What the alerts of an evaluation can be about.
pub(super) struct Subjects<'a> {
    graph: &'a Graph,
    /// The workloads and Services by name, where only one namespace has one.
    of_all: OnceCell<Map<&'a str, Option<Idx>>>,
}

impl<'a> Subjects<'a> {
    pub(super) fn new(graph: &'a Graph) -> Self {
        Self {
            graph,
            of_all: OnceCell::new(),
        }
    }

    /// The known resources that alerts are about, in their order.
    pub(super) fn resolve_all(&self, alerts: &[&Alert], now: Time) -> Vec<Option<Idx>> {
        alerts.iter().map(|a| self.resolve(a, now)).collect()
    }

    fn resolve(&self, alert: &Alert, now: Time) -> Option<Idx> {
        let subject = &alert.subject;
        let direct = self.graph.resolve(subject, now);
        let is_known = |idx: &Idx| self.graph.get(*idx).object.is_some();
        let is_precise = subject.kind != Kind::Namespace;
        if let Some(idx) = direct.filter(is_known).filter(|_| is_precise) {
            return Some(idx);
        }
        let by_address = || self.by_address(alert);
        if subject.kind == Kind::Node {
            // A prober asks for an address that may be outside the cluster.
            let outside = || self.graph.find(Kind::External, "", &subject.name);
            return by_address().or_else(outside).or(direct);
        }
        self.by_kind(alert)
            .or_else(|| self.by_label(alert))
            .or_else(by_address)
            .or_else(|| self.by_text(alert))
            .or(direct)
    }

    /// The custom object after whose kind a label is called: `workflow`, `cron_workflow`.
    fn by_kind(&self, alert: &Alert) -> Option<Idx> {
        let namespace = match alert.subject.kind {
            Kind::Namespace => &alert.subject.name,
            _ => &alert.subject.namespace,
        };
        alert.labels.iter().find_map(|(label, name)| {
            let kind = camel(label);
            let found = self.graph.find_live(Kind::parse(&kind), namespace, name);
            found.filter(|idx| {
                let resource = self.graph.get(*idx);
                matches!(resource.kind(), Kind::Other(_)) && resource.object.is_some()
            })
        })
    }

    fn by_label(&self, alert: &Alert) -> Option<Idx> {
        NAMING
            .iter()
            .filter_map(|label| alert.labels.get(label))
            .find_map(|name| self.named(alert, name))
    }

    /// The node or pod that was scraped.
    fn by_address(&self, alert: &Alert) -> Option<Idx> {
        let instance = alert.labels.get("instance")?;
        let (host, _) = instance.rsplit_once(':').unwrap_or((instance, ""));
        self.graph.by_address(host.trim_matches(['[', ']']))
    }

    /// The application that the alert is named after, as in `BillingApiErrors`, else the first one
    /// that its annotations mention.
    fn by_text(&self, alert: &Alert) -> Option<Idx> {
        let words = kebab(&alert.name);
        let ends = words.match_indices('-').map(|(at, _)| at);
        let mut prefixes: Vec<&str> = ends.take(MAX_WORDS).map(|at| &words[..at]).collect();
        prefixes.push(&words);
        let by_name = prefixes
            .into_iter()
            .rev()
            .filter(|prefix| prefix.len() >= MIN_NAME)
            .find_map(|prefix| self.named(alert, prefix));
        by_name.or_else(|| {
            let texts = ["summary", "description", "message"];
            let mut words = texts
                .iter()
                .filter_map(|name| alert.annotations.get(name))
                .flat_map(|text| text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')))
                .filter(|word| word.len() >= MIN_NAME)
                .take(MAX_WORDS);
            words.find_map(|word| self.named(alert, word))
        })
    }

    /// The workload or Service of a name in the namespace that an alert names, else the only one
    /// in all namespaces.
    fn named(&self, alert: &Alert, name: &str) -> Option<Idx> {
        let namespace = match alert.subject.kind {
            Kind::Namespace => &alert.subject.name,
            _ => &alert.subject.namespace,
        };
        if namespace.is_empty() {
            return self
                .of_all
                .get_or_init(|| index(self.graph))
                .get(name)
                .copied()?;
        }
        let mut kinds = KINDS.iter();
        kinds.find_map(|kind| self.graph.find_live(kind.clone(), namespace, name))
    }
}

fn index(graph: &Graph) -> Map<&str, Option<Idx>> {
    let mut found: Map<&str, Option<Idx>> = Map::default();
    // The last kind is the one that counts least.
    for idx in KINDS.iter().rev().flat_map(|kind| graph.of_kind(kind)) {
        let resource = graph.get(idx);
        let is_of_same = |other: &Idx| graph.get(*other).namespace() == resource.namespace();
        match found.entry(resource.name()) {
            Entry::Vacant(slot) => {
                slot.insert(Some(idx));
            }
            Entry::Occupied(mut slot) => {
                let same = slot.get().filter(is_of_same).map(|_| idx);
                slot.insert(same);
            }
        }
    }
    found
}

/// `cron_workflow` as `CronWorkflow`.
fn camel(label: &str) -> String {
    let words = label.split('_');
    words
        .filter_map(|word| {
            let first = word.chars().next()?.to_ascii_uppercase();
            Some(format!("{first}{}", &word[first.len_utf8()..]))
        })
        .collect()
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
