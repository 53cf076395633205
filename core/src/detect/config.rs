//! Secrets, `ConfigMap`s and keys that a container needs but that do not exist.

use std::collections::BTreeSet;

use super::finding::{Evidence, Finding, Strength};
use super::text::{has, quoted_after, short, word_after};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::object::pod::PodSpec;
use crate::model::time::MINUTE;
use crate::model::{Command, Kind, Str};

/// A reference of a pod to a Secret or ConfigMap, with the key if one is given.
struct Reference {
    kind: Kind,
    name: Str,
    key: Option<Str>,
    /// Where the spec has it: ``env `DB_URL` ``.
    location: String,
    /// Whether it is a volume, without which no container is created.
    is_volume: bool,
}

pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    if !view.exists(idx) || view.is_pod_healthy(idx) {
        return;
    }
    let before = out.len();
    missing_objects(view, idx, out);
    if out.len() == before {
        by_words(view, idx, out);
    }
    super::start_error::containers(view, idx, out);
}

/// How the kubelet says that an object exists and lacks a key.
const KEY_MISSING: [&str; 3] = [
    "couldn't find key",
    "references non-existent secret key",
    "references non-existent config key",
];

/// The command that adds what is missing.
fn add(fault: FaultId, kind: &Kind) -> Command {
    Command::of(match (fault, kind) {
        (FaultId::ConfigKeyMissing, _) => "kubectl -n <namespace> edit <kind> <name>",
        (_, Kind::Secret) => {
            "kubectl -n <namespace> create secret generic <name> --from-literal=<key>=<value>"
        }
        _ => "kubectl -n <namespace> create configmap <name> --from-literal=<key>=<value>",
    })
}

/// Compares the references of the spec with the objects that exist.
fn missing_objects(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(spec) = view.pod_spec(idx) else {
        return;
    };
    let namespace = view.graph.get(idx).namespace();
    for reference in references(spec) {
        let reported = reports(view, idx, &reference);
        let waits =
            waiting_for_config(view, idx) || reference.is_volume && waiting_for_volumes(view, idx);
        let found = view
            .graph
            .find(reference.kind.clone(), namespace, &reference.name);
        let live = found.filter(|i| view.graph.get(*i).is_live());
        let keys = live
            .and_then(|i| view.object(i))
            .and_then(|o| o.config())
            .and_then(|c| c.keys.as_ref());
        let lacks_key = reference
            .key
            .as_ref()
            .zip(keys)
            .is_some_and(|(key, keys)| !keys.contains(key));
        // Whatever was recorded: what lacks a key exists.
        let key_reported = reported.iter().any(|e| has(&e.what, &KEY_MISSING));
        let lacks_key = lacks_key || live.is_none() && key_reported;
        let absent = live.is_none()
            && !key_reported
            && (view.knows(&reference.kind, namespace) || !reported.is_empty());
        if !absent && !lacks_key || (reported.is_empty() && !waits) {
            continue;
        }
        let (fault, message) = describe(
            &reference,
            lacks_key && !absent,
            view,
            idx,
            keys.map(|k| &**k),
        );
        let owner = view.top_owner(idx);
        let mut evidence: Vec<Evidence> = reported;
        evidence.extend(waits.then(|| {
            let reason = if waiting_for_config(view, idx) {
                "CreateContainerConfigError"
            } else {
                "ContainerCreating"
            };
            view.state_evidence(idx, format!("container is waiting: {reason}"))
        }));
        let fix = add(fault, &reference.kind).fill([
            ("namespace", namespace),
            ("kind", &*reference.kind.as_str().to_lowercase()),
            ("name", &*reference.name),
        ]);
        let fix = fix.fill(reference.key.as_deref().map(|key| ("key", key)));
        out.push(
            view.finding(fault, owner, idx, Strength::Proof)
                .active(true)
                .message(message)
                .with(evidence)
                .fix(fix)
                .build(),
        );
    }
}

/// Whether a pod or an Ingress needs a Secret in a namespace whose Secrets are not known: one that
/// is missing, or lacks a key, is then found only where Kubernetes reports it.
pub fn needs_unknown_secrets(view: &View<'_>, idx: Idx) -> bool {
    let namespace = view.graph.get(idx).namespace();
    let needs = |spec| references(spec).iter().any(|r| r.kind == Kind::Secret);
    let ingress = view.object(idx).and_then(|o| o.ingress());
    let serves_tls = ingress.is_some_and(|i| !i.tls_secrets.is_empty());
    (serves_tls || view.pod_spec(idx).is_some_and(needs)) && !view.knows(&Kind::Secret, namespace)
}

fn describe(
    reference: &Reference,
    key_only: bool,
    view: &View<'_>,
    idx: Idx,
    keys: Option<&[Str]>,
) -> (FaultId, String) {
    let who = view.title(view.top_owner(idx));
    let (kind, name, location) = (&reference.kind, &reference.name, &reference.location);
    if key_only {
        let key = reference.key.as_deref().unwrap_or("");
        let has = keys
            .map(|k| {
                k.iter()
                    .map(|k| format!("`{k}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            })
            .filter(|k| !k.is_empty());
        return (
            FaultId::ConfigKeyMissing,
            format!(
                "{who} uses key `{key}` of {kind} `{name}` ({location}), which {}",
                match (&has, keys) {
                    (Some(has), _) => format!("only has {has}"),
                    (None, Some(_)) => "has no keys".to_owned(),
                    (None, None) => "does not have it".to_owned(),
                }
            ),
        );
    }
    let fault = if *kind == Kind::Secret {
        FaultId::ConfigSecretMissing
    } else {
        FaultId::ConfigConfigmapMissing
    };
    (
        fault,
        format!(
            "{who} uses {kind} `{name}` ({location}), which does not exist in namespace `{}`",
            view.graph.get(idx).namespace()
        ),
    )
}

fn waiting_for_config(view: &View<'_>, idx: Idx) -> bool {
    waiting(view, idx).any(|reason| reason == "CreateContainerConfigError")
}

/// Whether no container of a pod was created although it has had a node for a while: the kubelet
/// mounts all volumes first.
fn waiting_for_volumes(view: &View<'_>, idx: Idx) -> bool {
    let since = view.pod(idx).and_then(|pod| pod.status.start_time.0);
    let mut reasons = waiting(view, idx).peekable();
    since.is_some_and(|at| view.now.0 - at.0 >= 2 * MINUTE)
        && reasons.peek().is_some()
        && reasons.all(|reason| matches!(reason, "ContainerCreating" | "PodInitializing"))
}

/// The reasons for which the containers of a pod wait.
fn waiting<'a>(view: &View<'a>, idx: Idx) -> impl Iterator<Item = &'a str> {
    let pods = view.pod(idx).into_iter();
    let containers = pods.flat_map(|pod| pod.status.all_containers());
    containers.filter_map(|c| c.state.waiting.as_ref()?.reason.as_deref())
}

/// What the kubelet reports about this reference.
fn reports(view: &View<'_>, idx: Idx, reference: &Reference) -> Vec<Evidence> {
    let about = |m: &str| {
        let names = m.contains(&*reference.name)
            && has(
                m,
                &[
                    "not found",
                    "couldn't find key",
                    "non-existent",
                    "references non",
                ],
            );
        names
            && has(
                m,
                &[if reference.kind == Kind::Secret {
                    "secret"
                } else {
                    "configmap"
                }],
            )
    };
    let pods = view.pod(idx).into_iter();
    let waiting = pods
        .flat_map(|pod| pod.status.all_containers())
        .filter_map(|c| c.state.waiting.as_ref()?.message.as_deref())
        .find(|m| about(m));
    let events = view
        .warnings(idx)
        .filter(|e| about(&e.message))
        .map(|e| view.event_evidence(idx, e));
    events
        .chain(waiting.map(|m| view.state_evidence(idx, short(m, 200))))
        .collect()
}

/// The objects without which pods of a spec do not start: `ConfigMap`s, Secrets and claims.
pub fn references_of(spec: &PodSpec) -> BTreeSet<(Kind, Str)> {
    let named = references(spec).into_iter().map(|r| (r.kind, r.name));
    let claims = spec.volumes.iter().filter_map(|volume| {
        let claim = volume.persistent_volume_claim.as_ref()?;
        Some((Kind::PersistentVolumeClaim, claim.claim_name.clone()))
    });
    named.chain(claims).collect()
}

fn references(spec: &PodSpec) -> Vec<Reference> {
    let mut all = Vec::new();
    let mut add = |kind: Kind,
                   name: Option<&Str>,
                   key: Option<&Str>,
                   optional: Option<bool>,
                   location: String| {
        if let Some(name) = name.filter(|n| !n.is_empty() && optional != Some(true)) {
            all.push(Reference {
                kind,
                name: name.clone(),
                key: key.cloned(),
                is_volume: location.starts_with("volume"),
                location,
            });
        }
    };
    for container in spec.all_containers() {
        for env in &container.env {
            let Some(from) = &env.value_from else {
                continue;
            };
            for (kind, r) in [
                (Kind::Secret, &from.secret_key_ref),
                (Kind::ConfigMap, &from.config_map_key_ref),
            ] {
                if let Some(r) = r {
                    add(
                        kind,
                        r.name.as_ref(),
                        r.key.as_ref(),
                        r.optional,
                        format!("env `{}`", env.name),
                    );
                }
            }
        }
        for from in &container.env_from {
            for (kind, r) in [
                (Kind::Secret, &from.secret_ref),
                (Kind::ConfigMap, &from.config_map_ref),
            ] {
                if let Some(r) = r {
                    add(
                        kind,
                        r.name.as_ref(),
                        None,
                        r.optional,
                        format!("envFrom of container `{}`", container.name),
                    );
                }
            }
        }
    }
    for volume in &spec.volumes {
        let location = || format!("volume `{}`", volume.name);
        if let Some(secret) = &volume.secret {
            add(
                Kind::Secret,
                secret.secret_name.as_ref(),
                None,
                secret.optional,
                location(),
            );
        }
        if let Some(map) = &volume.config_map {
            add(
                Kind::ConfigMap,
                map.name.as_ref(),
                None,
                map.optional,
                location(),
            );
        }
    }
    all
}

/// What the kubelet says about a pod, in events or as the reason for which a container waits.
fn said<'a>(view: &View<'a>, idx: Idx) -> Vec<(&'a str, Evidence)> {
    let events = view.warnings(idx).filter(|e| view.still_holds(idx, e));
    let events = events.map(|e| (&*e.message, view.event_evidence(idx, e)));
    let containers = view.pod(idx).into_iter();
    let containers = containers.flat_map(|pod| pod.status.all_containers());
    let waiting = containers
        .filter_map(|c| c.state.waiting.as_ref()?.message.as_deref())
        .map(|m| (m, view.state_evidence(idx, short(m, 200))));
    events.chain(waiting).collect()
}

/// By the kubelet's words, for pods whose spec is not known.
fn by_words(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let said = said(view, idx);
    for (m, _) in &said {
        let name_of = |kind: &str| {
            quoted_after(m, &format!("{kind} ")).or_else(|| word_after(m, &format!("{kind} ")))
        };
        let (fault, object) = if has(m, &["couldn't find key", "references non-existent"])
            && has(m, &["secret", "configmap", "config key"])
        {
            (
                FaultId::ConfigKeyMissing,
                format!(
                    "key `{}`",
                    word_after(m, "find key ")
                        .or_else(|| word_after(m, "key: "))
                        .unwrap_or("?")
                ),
            )
        } else if has(m, &["secret \"", "secrets \""]) && has(m, &["not found"]) {
            (
                FaultId::ConfigSecretMissing,
                format!(
                    "Secret `{}`",
                    name_of("secret")
                        .or_else(|| name_of("secrets"))
                        .unwrap_or("?")
                ),
            )
        } else if has(m, &["configmap \"", "configmaps \""]) && has(m, &["not found"]) {
            (
                FaultId::ConfigConfigmapMissing,
                format!(
                    "ConfigMap `{}`",
                    name_of("configmap")
                        .or_else(|| name_of("configmaps"))
                        .unwrap_or("?")
                ),
            )
        } else if has(m, &["serviceaccounts \"", "serviceaccount \""]) && has(m, &["not found"]) {
            (
                FaultId::AdmissionServiceAccountMissing,
                format!(
                    "ServiceAccount `{}`",
                    name_of("serviceaccounts")
                        .or_else(|| name_of("serviceaccount"))
                        .unwrap_or("?")
                ),
            )
        } else {
            continue;
        };
        let owner = view.top_owner(idx);
        let sentence = format!("{} uses {object}, which does not exist", view.title(owner));
        let same = said.iter().filter(|(text, _)| text == m);
        out.push(
            view.finding(fault, owner, idx, Strength::Strong)
                .active(true)
                .message(sentence)
                .with(same.map(|(_, evidence)| evidence.clone()))
                .build(),
        );
        return;
    }
}
