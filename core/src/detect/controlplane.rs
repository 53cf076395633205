//! The scheduler and the controller manager, by their leases and by their silence.

use super::finding::{Evidence, Finding, Strength};
use super::text::has;
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::time::{MINUTE, SECOND};
use crate::model::{Kind, Time};

/// The scheduler reacts within seconds; after this time without an event it has not seen the pod.
/// In microseconds.
const SILENCE: i64 = 60 * SECOND;

/// Leader leases of control-plane processes, which are renewed every 2 s and expire after 15 s.
pub(super) fn lease(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let node = view.graph.get(idx);
    let fault = match node.name() {
        "kube-scheduler" => FaultId::ControlplaneSchedulerDown,
        "kube-controller-manager" => FaultId::ControlplaneControllerManagerDown,
        _ => return,
    };
    let Some(renewed) = view
        .object(idx)
        .and_then(|o| o.lease())
        .and_then(|l| l.renew_time.0)
    else {
        return;
    };
    let newest = view
        .graph
        .of_kind(&Kind::Lease)
        .filter_map(|i| view.object(i)?.lease()?.renew_time.0)
        .max()
        .unwrap_or(renewed);
    let age = newest.0 - renewed.0;
    if age <= SILENCE {
        return;
    }
    let blamed = holder(view, idx).unwrap_or(idx);
    let message = format!(
        "`{}` has not renewed its lease for {} s",
        node.name(),
        age / SECOND
    );
    out.push(
        view.finding(fault, blamed, idx, Strength::Proof)
            .active(true)
            .message(message)
            .with([Evidence {
                at: renewed,
                ..view.state_evidence(idx, format!("last renewed at {renewed}"))
            }])
            .build(),
    );
}

/// The node of a leader lease's holder, `<host>_<uuid>`.
fn holder(view: &View<'_>, lease: Idx) -> Option<Idx> {
    let identity = view.object(lease)?.lease()?.holder_identity.as_deref()?;
    let host = identity.split('_').next()?;
    view.graph.find(Kind::Node, "", host)
}

/// Pods that are Pending without a single event of the scheduler, while other events arrive.
pub(super) fn scheduler(view: &View<'_>, out: &mut Vec<Finding>) {
    let waiting: Vec<(Idx, Option<Time>)> = view
        .unhealthy_pods()
        .filter(|p| is_unseen(view, *p))
        .map(|p| (p, view.graph.get(p).created))
        .collect();
    let Some(oldest) = waiting
        .iter()
        .filter_map(|(_, t)| *t)
        .min()
        .or_else(|| waiting.first().map(|_| view.now))
    else {
        return;
    };
    // Missing events mean something only if other events arrive, and a scheduler that has placed
    // other pods since then works.
    let events_arrive = view
        .episodes
        .events
        .iter()
        .any(|(_, e)| view.now.0 - e.last.0 <= 30 * MINUTE);
    let works = view.episodes.events.iter().any(|(_, e)| {
        matches!(&*e.reason, "Scheduled" | "FailedScheduling") && e.last > oldest.plus(SILENCE)
    }) || placed_since(view, oldest.plus(SILENCE));
    if !events_arrive || works {
        return;
    }
    let lease = view
        .graph
        .find(Kind::Lease, "kube-system", "kube-scheduler");
    let elected = view
        .episodes
        .events
        .iter()
        .rev()
        .find(|(_, e)| &*e.reason == "LeaderElection" && &*e.subject.name == "kube-scheduler")
        .and_then(|(_, e)| {
            let host = e.message.split('_').next()?;
            view.graph.find(Kind::Node, "", host)
        });
    let control_plane = view
        .nodes()
        .into_iter()
        .find(|n| super::scheduling::is_control_plane(view, *n));
    let own_pod = view
        .graph
        .pods("kube-system")
        .find(|p| has(view.graph.get(*p).name(), &["kube-scheduler"]));
    let its_node = own_pod.and_then(|p| {
        view.graph
            .out(p)
            .find(|(r, _)| *r == Relation::RunsOn)
            .map(|(_, n)| n)
    });
    let Some(blamed) = lease
        .and_then(|l| holder(view, l))
        .or(elected)
        .or(its_node)
        .or(control_plane)
    else {
        return;
    };
    let message = format!(
        "{} Pending without scheduler activity",
        if waiting.len() == 1 {
            "1 pod is".to_owned()
        } else {
            format!("{} pods are", waiting.len())
        }
    );
    let mut evidence: Vec<Evidence> = waiting
        .iter()
        .take(5)
        .map(|(p, since)| Evidence {
            at: since.unwrap_or(view.now),
            ..view.state_evidence(*p, "Pending, no scheduling event".into())
        })
        .collect();
    if let Some(pod) = own_pod {
        evidence.extend(view.warnings(pod).map(|e| view.event_evidence(pod, e)));
    }
    out.push(
        view.finding(
            FaultId::ControlplaneSchedulerDown,
            blamed,
            waiting[0].0,
            Strength::Proof,
        )
        .active(true)
        .message(message)
        .with(evidence)
        .build(),
    );
}

/// Whether a pod is Pending and nothing shows that the scheduler has seen it.
fn is_unseen(view: &View<'_>, idx: Idx) -> bool {
    let Some(pod) = view.pod(idx) else {
        return false;
    };
    let spec = pod.spec.as_ref();
    let is_not_its_own = pod.node_name.is_some()
        || spec.is_some_and(|s| {
            !s.scheduling_gates.is_empty()
                || s.scheduler_name
                    .as_deref()
                    .is_some_and(|n| n != "default-scheduler")
        });
    let has_event = view
        .events(idx)
        .any(|e| matches!(&*e.reason, "FailedScheduling" | "Scheduled"));
    let has_condition = crate::model::object::condition(&pod.status.conditions, "PodScheduled")
        .is_some_and(|c| c.reason.is_some());
    pod.status.phase.as_deref() == Some("Pending")
        && !is_not_its_own
        && !has_event
        && !has_condition
        && view.lasts(view.graph.get(idx).created)
        && view.exists(idx)
        && !super::scheduling::is_explained(view, idx)
}

/// Whether a pod that was created after a time has a node: that shows a working scheduler without
/// events.
fn placed_since(view: &View<'_>, since: Time) -> bool {
    let late = |idx: Idx| view.graph.get(idx).created.is_some_and(|t| t > since);
    let recent = view.graph.recent_pods(since);
    recent.into_iter().any(|p| {
        late(p) && view.pod(p).is_some_and(|p| p.node_name.is_some()) && view.top_owner(p) != p
    })
}

/// The Service of cluster DNS: every distribution labels it `k8s-app=kube-dns` in `kube-system`.
pub(super) fn dns_service(view: &View<'_>) -> Option<Idx> {
    view.graph
        .services("kube-system")
        .find(|i| view.graph.get(*i).labels().get("k8s-app") == Some("kube-dns"))
}
