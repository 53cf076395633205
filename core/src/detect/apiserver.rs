//! The API server and etcd, by what they and their clients report.

use std::collections::BTreeSet;

use super::finding::{Evidence, Finding, Strength};
use super::text::{find, short};
use super::{FaultId, View, etcd};
use crate::graph::{Component, Idx, Relation};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};
use crate::trouble::{self, Class};

/// One of the two with the sentence that introduces its reports.
struct Subject {
    fault: FaultId,
    process: &'static str,
    sentence: &'static str,
}

/// The reports about one of the two.
#[derive(Default)]
struct Reports {
    writers: BTreeSet<Component>,
    first: Option<(Idx, String)>,
    /// Whether a member of etcd wrote the first report about its own disk.
    is_own: bool,
    evidence: Vec<Evidence>,
    /// The process itself is among the writers, or an alert names it.
    is_direct: bool,
}

/// Reports etcd if it is unhealthy, otherwise the API server if it is slow.
pub(super) fn api_server_and_etcd(view: &View<'_>, out: &mut Vec<Finding>) {
    let (mut etcd, mut server) = (Reports::default(), Reports::default());
    let recent = |at: crate::model::Time| view.now.0 - at.0 <= 15 * MINUTE;
    // A leader election slows some calls down for seconds; a minute is longer than that.
    let lasts = |first: crate::model::Time, last: crate::model::Time| {
        last.0 - first.0 >= MINUTE && recent(last)
    };
    for (idx, log) in view
        .episodes
        .logs
        .iter()
        .filter(|(_, l)| l.severity >= Severity::Warning && recent(l.last))
        .filter(|(idx, _)| !etcd::is_own(view, *idx))
    {
        for (reports, class) in [
            (&mut etcd, Class::EtcdUnhealthy),
            (&mut server, Class::ApiServerSlow),
        ] {
            // That etcd is full is a fact from the first line.
            let is_fact = log.trouble().has(Class::EtcdFull);
            let counts = lasts(log.first, log.last) || is_fact && class == Class::EtcdUnhealthy;
            if counts && log.trouble().has(class) {
                reports.is_direct |= is_fact && class == Class::EtcdUnhealthy;
                reports.add(view, *idx, &log.sample, view.log_evidence(*idx, log));
            }
        }
    }
    for (idx, event) in view
        .episodes
        .events
        .iter()
        .filter(|(_, e)| e.severity >= Severity::Warning && recent(e.last))
    {
        let trouble = trouble::read(&event.message);
        for (reports, class) in [
            (&mut etcd, Class::EtcdUnhealthy),
            (&mut server, Class::ApiServerSlow),
        ] {
            if trouble.has(class) {
                reports.add(view, *idx, &event.message, view.event_evidence(*idx, event));
            }
        }
    }
    for (idx, alert) in &view.episodes.alerts {
        let named = |words: &[&str]| words.iter().any(|w| find(&alert.name, w).is_some());
        let evidence = view.alert_evidence(*idx, alert);
        let text = evidence.what.clone();
        if named(&["etcd"]) {
            etcd.is_direct = true;
            etcd.add(view, *idx, &text, evidence);
        } else if named(&["kubeapi", "apiserver", "kube_api", "kube-api"]) {
            server.is_direct = true;
            server.add(view, *idx, &text, evidence);
        }
    }
    // A slow etcd makes the API server slow, but not the other way round.
    if !etcd.report(
        view,
        &Subject {
            fault: FaultId::ControlplaneEtcdUnhealthy,
            process: "etcd",
            sentence: "etcd is unhealthy",
        },
        out,
    ) {
        server.report(
            view,
            &Subject {
                fault: FaultId::ControlplaneApiServerSlow,
                process: "kube-apiserver",
                sentence: "The API server is slow",
            },
            out,
        );
    }
}

impl Reports {
    fn add(&mut self, view: &View<'_>, idx: Idx, text: &str, evidence: Evidence) {
        self.writers.insert(view.component(idx));
        self.is_direct |= ["etcd", "kube-apiserver"]
            .iter()
            .any(|part| is_part(view, idx, part));
        // The member whose disk is slow says so; the others only wait for it.
        let is_own = is_part(view, idx, "etcd") && find(text, "fdatasync").is_some();
        if self.first.is_none() || is_own && !self.is_own {
            self.first = Some((idx, text.to_owned()));
        }
        self.is_own |= is_own;
        if self.evidence.len() < 6 {
            self.evidence.push(evidence);
        }
    }

    /// Reports the process unless a single client is the only witness: that one may be slow itself.
    fn report(self, view: &View<'_>, subject: &Subject, out: &mut Vec<Finding>) -> bool {
        let Some((on, text)) = self
            .first
            .filter(|_| self.is_direct || self.writers.len() >= 2)
        else {
            return false;
        };
        let strength = if self.is_direct {
            Strength::Strong
        } else {
            Strength::Fair
        };
        // Without state of nodes, the process itself is all that is known.
        let is_client = !is_part(view, on, subject.process);
        let own = (!is_client || view.graph.get(on).kind() == &Kind::Node).then_some(on);
        let host = view.graph.out(on).find(|(r, _)| *r == Relation::RunsOn);
        let host = host.map(|(_, node)| node).filter(|_| self.is_own);
        let Some(blamed) = host.or_else(|| node_of(view, subject.process)).or(own) else {
            return false;
        };
        let message = format!("{}: {}", subject.sentence, short(&text, 160));
        out.push(
            view.finding(subject.fault, blamed, on, strength)
                .active(true)
                .message(message)
                .with(self.evidence)
                .build(),
        );
        true
    }
}

/// Whether a pod runs a process of the control plane: by its label, or by the name that the kubelet
/// gives a static pod, `<part>-<node>`.
fn is_part(view: &View<'_>, idx: Idx, part: &str) -> bool {
    let pod = view.graph.get(idx);
    // The component of a pod with a controller has another name than the pod.
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
    match pod.labels().get("component") {
        Some(label) => label == part,
        None => named(),
    }
}

/// The node that a process of the control plane runs on; of several, one whose pod is unhealthy.
fn node_of(view: &View<'_>, part: &str) -> Option<Idx> {
    let mut pods: Vec<Idx> = view
        .graph
        .pods("kube-system")
        .filter(|p| is_part(view, *p, part))
        .collect();
    pods.sort_by_key(|p| (!view.is_pod_unhealthy(*p), *p));
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
