//! Pods and Services that the API server refused to create.

use super::finding::{Evidence, Finding, Strength};
use super::fixes::edit_quota;
use super::text::{find, has, quoted_after, short, word_after};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::object;
use crate::model::time::MINUTE;
use crate::model::{Alias, Episode, Kind};
use crate::trouble::{self, Class};

pub(super) fn workload(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    if !view.exists(idx) {
        return;
    }
    let refused: Vec<&Episode> = view
        .warnings(idx)
        .filter(|e| {
            matches!(
                &*e.reason,
                "FailedCreate" | "FailedUpdate" | "ReplicaSetCreateError"
            ) && view.still_holds(idx, e)
        })
        .collect();
    let condition = view
        .object(idx)
        .and_then(|o| o.workload())
        .and_then(|w| object::condition(&w.status.conditions, "ReplicaFailure"))
        .filter(|c| c.is("True"))
        .or_else(|| no_replica_set(view, idx));
    let newest = refused.iter().max_by_key(|e| e.last);
    let message = newest
        .map(|e| &*e.message)
        .or_else(|| condition.and_then(|c| c.message.as_deref()));
    let Some(message) = message else {
        no_room(view, idx, out);
        return unserved(view, idx, out);
    };
    let evidence = refused
        .iter()
        .map(|e| view.event_evidence(idx, e))
        .chain(condition.map(|c| {
            view.state_evidence(
                idx,
                format!(
                    "ReplicaFailure: {}",
                    short(c.message.as_deref().unwrap_or(""), 200)
                ),
            )
        }));
    let owner = view.top_owner(idx);
    // During a rollout, refusals other than by a quota can pass within seconds.
    let lasted = refused
        .iter()
        .any(|e| view.now.0 - e.first.0 >= super::view::GRACE)
        || view.is_healthy(idx) == Some(false);
    let Some((fault, reason_text)) = judge(view, idx, owner, message) else {
        return;
    };
    if fault == FaultId::AdmissionServiceAccountMissing && !lasted {
        return;
    }
    let blamed = match fault {
        f if f.is_quota() => quota(view, view.graph.get(idx).namespace(), message).unwrap_or(owner),
        FaultId::AdmissionWebhookUnavailable | FaultId::ServiceCertificateInvalid => {
            webhook_service(view, message).unwrap_or(owner)
        }
        _ => owner,
    };
    // The quota itself may not be known: then the namespace is blamed, whose name is another one.
    let fix = quota_name(message)
        .filter(|_| fault.is_quota())
        .map(|name| {
            let namespace = view.graph.get(idx).namespace();
            edit_quota(namespace, name)
        });
    out.push(
        view.finding(fault, blamed, idx, Strength::Proof)
            .active(true)
            .message(reason_text)
            .with(evidence)
            .fix(fix)
            .build(),
    );
}

/// Refusals of which only the namespace is known, as from an audit log: what is refused has no name
/// yet.
pub(super) fn namespace(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let name = view.graph.get(idx).name();
    let refused = view.warnings(idx).filter(|e| {
        matches!(&*e.reason, "FailedCreate" | "FailedUpdate") && view.still_holds(idx, e)
    });
    let Some(newest) = refused.max_by_key(|e| e.last) else {
        return;
    };
    let Some(quota_name) = quota_name(&newest.message) else {
        return;
    };
    let blamed = quota(view, name, &newest.message).unwrap_or(idx);
    let message = format!(
        "ResourceQuota `{quota_name}` in namespace `{name}` refuses new objects: {}",
        quota_numbers(&newest.message)
    );
    out.push(
        view.finding(quota_fault(&newest.message), blamed, idx, Strength::Proof)
            .active(true)
            .message(message)
            .with([view.event_evidence(idx, newest)])
            .fix(edit_quota(name, quota_name))
            .build(),
    );
}

/// The condition of a Deployment whose next `ReplicaSet` was refused; the current one keeps it
/// healthy.
fn no_replica_set<'a>(view: &View<'a>, idx: Idx) -> Option<&'a object::Condition> {
    let workload = view.object(idx)?.workload()?;
    object::condition(&workload.status.conditions, "Progressing")
        .filter(|c| c.is("False") && c.reason.as_deref() == Some("ReplicaSetCreateError"))
}

fn judge(view: &View<'_>, idx: Idx, owner: Idx, message: &str) -> Option<(FaultId, String)> {
    let who = view.title(owner);
    let namespace = view.graph.get(idx).namespace();
    let text = short(message, 240);
    if has(message, &["exceeded quota"]) {
        let name = word_after(message, "exceeded quota: ").unwrap_or("?");
        return Some((
            quota_fault(message),
            format!(
                "ResourceQuota `{name}` in namespace `{namespace}` blocks new pods of {who}: {}",
                quota_numbers(message)
            ),
        ));
    }
    // A quota on CPU or memory refuses pods without requests or limits.
    if has(message, &["failed quota"]) {
        return Some((
            FaultId::AdmissionQuotaObjects,
            format!(
                "{who} does not set the requests or limits that the quota of namespace \
                 `{namespace}` requires: {text}"
            ),
        ));
    }
    let rules: [(FaultId, &[&str]); 9] = [
        (
            FaultId::AdmissionWebhookUnavailable,
            &["failed calling webhook"],
        ),
        (
            FaultId::AdmissionWebhookDenied,
            &["admission webhook", "denied the request", "denied request"],
        ),
        (
            FaultId::AdmissionPodSecurity,
            &[
                "violates podsecurity",
                "podsecuritypolicy",
                "unable to validate against any security context constraint",
            ],
        ),
        (
            FaultId::AdmissionLimitRange,
            &[
                "maximum cpu usage per",
                "maximum memory usage per",
                "minimum cpu usage per",
                "minimum memory usage per",
                "max limit to request ratio",
                "limit to request ratio",
            ],
        ),
        (
            FaultId::AdmissionServiceAccountMissing,
            &["error looking up service account"],
        ),
        (
            FaultId::AdmissionPriorityClassMissing,
            &["no priorityclass with name"],
        ),
        (
            FaultId::AdmissionRuntimeClassMissing,
            &["pod rejected: runtimeclass", "runtimeclass \""],
        ),
        (
            FaultId::AdmissionRbacForbidden,
            &[
                "cannot create resource",
                "cannot get resource",
                "cannot list resource",
            ],
        ),
        (FaultId::AdmissionQuotaObjects, &["object-counts"]),
    ];
    let (fault, _) = rules.iter().find(|(_, phrases)| has(message, phrases))?;
    if *fault == FaultId::AdmissionWebhookUnavailable && rejects_certificate(message) {
        let reason = format!("The API server rejects the certificate of a webhook: {text}");
        return Some((FaultId::ServiceCertificateInvalid, reason));
    }
    let reason_text = match *fault {
        FaultId::AdmissionServiceAccountMissing => {
            let account = quoted_after(message, "serviceaccount ").unwrap_or("?");
            format!(
                "{who} uses ServiceAccount `{account}`, which does not exist in namespace \
                 `{namespace}`"
            )
        }
        _ => format!("The API server rejects pods of {who}: {text}"),
    };
    Some((*fault, reason_text))
}

/// Whether a webhook answers with a certificate that is not accepted.
fn rejects_certificate(message: &str) -> bool {
    trouble::read(message).has_any(&[
        Class::CertificateExpired,
        Class::CertificateName,
        Class::CertificateUntrusted,
    ])
}

/// The fault by the resource after `requested:`: the one that this object would exceed. The list
/// after `limited:` has all resources of the quota.
pub(super) fn quota_fault(message: &str) -> FaultId {
    let requested = find(message, "requested:")
        .and_then(|at| message.get(at..))
        .unwrap_or(message);
    let requested = find(requested, ", used:")
        .and_then(|at| requested.get(..at))
        .unwrap_or(requested);
    fault_of_resource(requested)
}

/// The fault for a quota on the named resource.
pub(super) fn fault_of_resource(resource: &str) -> FaultId {
    let rules: [(FaultId, &[&str]); 5] = [
        (
            FaultId::AdmissionQuotaStorage,
            &["storage", "persistentvolumeclaims"],
        ),
        (FaultId::AdmissionQuotaServices, &["services"]),
        (FaultId::AdmissionQuotaMemory, &["memory"]),
        (FaultId::AdmissionQuotaCpu, &["cpu"]),
        (FaultId::AdmissionQuotaPods, &["pods"]),
    ];
    rules
        .iter()
        .find(|(_, words)| has(resource, words))
        .map(|(fault, _)| *fault)
        .unwrap_or(FaultId::AdmissionQuotaObjects)
}

pub(super) fn quota_numbers(message: &str) -> String {
    let numbers = find(message, "requested:").and_then(|at| message.get(at..));
    short(numbers.unwrap_or(message), 160)
}

/// The name of the quota that a refusal is about.
fn quota_name(message: &str) -> Option<&str> {
    let mut phrases = ["exceeded quota: ", "failed quota: "].into_iter();
    phrases.find_map(|phrase| word_after(message, phrase))
}

pub(super) fn quota(view: &View<'_>, namespace: &str, message: &str) -> Option<Idx> {
    let name = quota_name(message)?;
    view.graph
        .find(Kind::ResourceQuota, namespace, name)
        .or_else(|| view.graph.find(Kind::Namespace, "", namespace))
        .or_else(|| view.graph.quotas(namespace).next())
}

pub(super) fn webhook_service(view: &View<'_>, message: &str) -> Option<Idx> {
    let alias = webhook_host(message)?;
    view.graph
        .find(Kind::Service, &alias.namespace, &alias.name)
}

/// The Service of the webhook that failed: `Post "https://NAME.NAMESPACE.svc:443/…"`.
fn webhook_host(message: &str) -> Option<Alias> {
    let host = crate::model::address::in_text(message)
        .find(|a| a.host.contains(".svc"))?
        .host;
    Some(crate::graph::derive::called(host, ""))
}

/// The Services of failing webhooks, as the refusals name them; their state need not be known.
pub fn webhooks(view: &View<'_>) -> Vec<Alias> {
    let recent = |e: &Episode| {
        view.now.0 - e.last.0 <= 15 * MINUTE && has(&e.message, &["failed calling webhook"])
    };
    let failed = view.episodes.events.iter().filter(|(_, e)| recent(e));
    failed
        .filter_map(|(_, e)| webhook_host(&e.message))
        .filter(|a| !a.namespace.is_empty())
        .collect()
}

/// Pods that were never created although a quota has no room for another one: the event of the
/// refusal is missing.
fn no_room(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(workload) = view.object(idx).and_then(|o| o.workload()) else {
        return;
    };
    let (Some(wanted), Some(made)) = (workload.spec.replicas, workload.status.replicas) else {
        return;
    };
    let makes_pods = matches!(
        view.graph.get(idx).kind(),
        Kind::ReplicaSet | Kind::StatefulSet
    );
    if !makes_pods || made >= wanted || !view.lasts(view.graph.get(idx).created) {
        return;
    }
    let owner = view.top_owner(idx);
    let Some(spec) = view.pod_spec(idx).or_else(|| view.pod_spec(owner)) else {
        return;
    };
    let namespace = view.graph.get(idx).namespace();
    for quota in view.graph.quotas(namespace) {
        let Some(q) = view.object(quota).and_then(|o| o.quota()) else {
            continue;
        };
        let short = q.hard.iter().find_map(|hard| {
            let resource = &*hard.name;
            let used = q.used.get(resource)?;
            let asked = match resource {
                "pods" | "count/pods" => 1000,
                "requests.cpu" | "cpu" => spec.requested("cpu"),
                "requests.memory" | "memory" => spec.requested("memory"),
                "limits.cpu" => spec.limited("cpu"),
                "limits.memory" => spec.limited("memory"),
                _ => return None,
            };
            (asked > 0 && used.0 + asked > hard.quantity.0).then_some(resource)
        });
        let Some(resource) = short else { continue };
        let text = |all: &crate::model::object::quantity::Quantities| {
            all.text(resource).unwrap_or("?").to_owned()
        };
        let numbers = format!("{resource}: {} used of {}", text(&q.used), text(&q.hard));
        let reason_text = format!(
            "ResourceQuota `{}` in namespace `{namespace}` has no room for another pod of {}: \
             {numbers}",
            view.graph.get(quota).name(),
            view.title(owner)
        );
        out.push(
            view.finding(fault_of_resource(resource), quota, idx, Strength::Strong)
                .active(true)
                .message(reason_text)
                .with([
                    view.state_evidence(quota, numbers),
                    view.state_evidence(idx, format!("{made} of {wanted} pods were created")),
                ])
                .fix(edit_quota(namespace, view.graph.get(quota).name()))
                .build(),
        );
        return;
    }
}

/// A workload with container ports but without a Service, in a namespace whose quota on Services is
/// used up: only the client that tried to create the Service saw the refusal.
fn unserved(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let node = view.graph.get(idx);
    if !matches!(node.kind(), Kind::Deployment | Kind::StatefulSet) {
        return;
    }
    let Some(spec) = view.pod_spec(idx) else {
        return;
    };
    let Some(labels) = view.graph.template_labels(idx) else {
        return;
    };
    let namespace = node.namespace();
    if !view.graph.selecting(namespace, labels).is_empty()
        || spec.containers.iter().all(|c| c.ports.is_empty())
        || !view.knows(&Kind::Service, namespace)
    {
        return;
    }
    let full = view.graph.quotas(namespace).find_map(|q| {
        let quota = view.object(q)?.quota()?;
        let (hard, used) = (quota.hard.get("services")?, quota.used.get("services")?);
        (used >= hard).then_some((q, quota.hard.text("services").unwrap_or("?")))
    });
    let Some((quota, hard)) = full else { return };
    let named = view.graph.find(Kind::Service, namespace, node.name());
    let has_callers =
        named.is_some_and(|s| view.graph.incoming(s).any(|(r, _)| r == Relation::Calls));
    let strength = if has_callers {
        Strength::Proof
    } else {
        Strength::Strong
    };
    let reason_text = format!(
        "ResourceQuota `{}` in namespace `{namespace}` is used up ({hard} of {hard} Services): \
         no Service selects the pods of {}",
        view.graph.get(quota).name(),
        view.title(idx)
    );
    let evidence: [Evidence; 2] = [
        view.state_evidence(quota, format!("services: {hard} used of {hard}")),
        view.state_evidence(idx, "no Service selects its pods".into()),
    ];
    out.push(
        view.finding(FaultId::AdmissionQuotaServices, quota, idx, strength)
            .active(true)
            .message(reason_text)
            .with(evidence)
            .fix(edit_quota(namespace, view.graph.get(quota).name()))
            .build(),
    );
}
