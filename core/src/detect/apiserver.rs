//! The API server and its store, as their clients and they themselves tell.

use std::collections::BTreeSet;

use super::finding::{Evidence, Finding, Strength};
use super::log_class::LogClass;
use super::text::{find, has, short};
use super::{FaultId, View};
use crate::graph::{Component, Idx, Relation};
use crate::model::Severity;
use crate::model::time::MINUTE;

/// What the store summary of itself, and what the API server passes on from it.
pub(super) const ETCD_UNHEALTHY: [&str; 7] = [
    "etcdserver: mvcc: database space exceeded",
    "etcdserver: request timed out",
    "etcdserver: no leader",
    "etcdserver: too many requests",
    "apply request took too long",
    "slow fdatasync",
    "failed to send out heartbeat on time",
];

/// What clients of a slow API server are told.
pub(super) const SLOW: [&str; 5] = [
    "unable to return a response in the time allotted",
    "client rate limiter wait returned an error: context deadline exceeded",
    "the server was unable to return a response",
    "the server has received too many requests and has asked us to try again later",
    "failed to update lock: timed out",
];

/// What was told of one of the two.
#[derive(Default)]
struct Told {
    writers: BTreeSet<Component>,
    first: Option<(Idx, String)>,
    evidence: Vec<Evidence>,
    /// The part itself is among the writers, or an alert names it.
    by_itself: bool,
}

/// Says what is known of both parts.
pub(super) fn parts(view: &View<'_>, out: &mut Vec<Finding>) {
    let (mut store, mut server) = (Told::default(), Told::default());
    let recent = |at: crate::model::Time| view.now.0 - at.0 <= 15 * MINUTE;
    // A change of leader is over in seconds and makes some calls slow; what goes on for a minute is
    // no such moment.
    let lasts = |first: crate::model::Time, last: crate::model::Time| {
        last.0 - first.0 >= MINUTE && recent(last)
    };
    for (idx, log) in view
        .episodes
        .logs
        .iter()
        .filter(|(_, l)| l.severity >= Severity::Warning && lasts(l.first, l.last))
    {
        let class = LogClass::of(log);
        for (told, summary) in [
            (&mut store, class.is_etcd_unhealthy()),
            (&mut server, class.is_api_server_slow()),
        ] {
            if summary {
                told.add(view, *idx, &log.sample, view.log_evidence(*idx, log));
            }
        }
    }
    for (idx, event) in view
        .episodes
        .events
        .iter()
        .filter(|(_, e)| e.severity >= Severity::Warning && recent(e.last))
    {
        for (told, words) in [(&mut store, &ETCD_UNHEALTHY[..]), (&mut server, &SLOW[..])] {
            if has(&event.message, words) {
                told.add(view, *idx, &event.message, view.event_evidence(*idx, event));
            }
        }
    }
    for (idx, alert) in &view.episodes.alerts {
        let named = |words: &[&str]| words.iter().any(|w| find(&alert.name, w).is_some());
        let evidence = view.alert_evidence(*idx, alert);
        let text = evidence.what.clone();
        if named(&["etcd"]) {
            store.by_itself = true;
            store.add(view, *idx, &text, evidence);
        } else if named(&["kubeapi", "apiserver", "kube_api", "kube-api"]) {
            server.by_itself = true;
            server.add(view, *idx, &text, evidence);
        }
    }
    // A slow store makes a slow server; the other way round nothing follows.
    if !store.say(
        view,
        (
            FaultId::ControlplaneEtcdUnhealthy,
            "etcd",
            "etcd is not well",
        ),
        out,
    ) {
        server.say(
            view,
            (
                FaultId::ControlplaneApiServerSlow,
                "kube-apiserver",
                "The API server does not answer in time",
            ),
            out,
        );
    }
}

impl Told {
    fn add(&mut self, view: &View<'_>, idx: Idx, text: &str, evidence: Evidence) {
        self.writers.insert(view.component(idx));
        self.by_itself |= ["etcd", "kube-apiserver"]
            .iter()
            .any(|part| is_part(view, idx, part));
        self.first.get_or_insert_with(|| (idx, text.to_owned()));
        if self.evidence.len() < 6 {
            self.evidence.push(evidence);
        }
    }

    /// One client alone may be slow itself.
    fn say(
        self,
        view: &View<'_>,
        (fault, part, what): (FaultId, &str, &str),
        out: &mut Vec<Finding>,
    ) -> bool {
        let Some((on, text)) = self
            .first
            .filter(|_| self.by_itself || self.writers.len() >= 2)
        else {
            return false;
        };
        let strength = if self.by_itself {
            Strength::Strong
        } else {
            Strength::Fair
        };
        // Of a cluster whose nodes nobody sent, the part itself is all that is known.
        let own = is_part(view, on, part).then_some(on);
        let Some(blamed) = node_of(view, part).or(own) else {
            return false;
        };
        let summary = format!("{what}: {}", short(&text, 160));
        out.push(
            view.finding(fault, blamed, on, strength)
                .active(true)
                .message(summary)
                .with(self.evidence)
                .build(),
        );
        true
    }
}

/// By its label, or, where only its name is known, by what the kubelet calls a static pod:
/// `<part>-<node>`.
fn is_part(view: &View<'_>, idx: Idx, part: &str) -> bool {
    let pod = view.graph.get(idx);
    // Of a pod that a controller made, the component is called otherwise than the pod.
    let is_static = || *view.component(idx).name == *pod.name();
    let of_node = |rest: &str| {
        rest.strip_prefix('-').is_some_and(|node| {
            let nodes = view.nodes();
            nodes.is_empty() || nodes.iter().any(|n| view.graph.get(*n).name() == node)
        })
    };
    let named = || {
        pod.namespace() == "kube-system"
            && pod.name().strip_prefix(part).is_some_and(of_node)
            && is_static()
    };
    pod.labels()
        .get("component")
        .map_or_else(named, |label| label == part)
}

/// The node a part of the control plane runs on: of several the one whose pod is not well, else the
/// first.
fn node_of(view: &View<'_>, part: &str) -> Option<Idx> {
    let mut pods: Vec<Idx> = view
        .graph
        .pods("kube-system")
        .filter(|p| is_part(view, *p, part))
        .collect();
    pods.sort_by_key(|p| (!view.is_pod_unwell(*p), *p));
    let host = pods.first().and_then(|p| {
        view.graph
            .out(*p)
            .find(|(r, _)| *r == Relation::RunsOn)
            .map(|(_, n)| n)
    });
    host.or_else(|| {
        view.nodes()
            .into_iter()
            .find(|n| super::scheduling::is_control_plane(view, *n))
    })
}
