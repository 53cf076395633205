//! What the errors of all callers show together about the servers that they call.

use std::collections::{BTreeMap, BTreeSet};

use super::caller_errors::{CallError, CallFailure};
use super::finding::{Evidence, Finding, Strength};
use super::service::{offers, setting_with_host};
use super::text::has;
use super::{FaultId, View, dns, handshake, protocol};
use crate::graph::{Component, Idx, derive};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};
use crate::trouble::Class;

/// Judges the call errors target by target.
pub(super) fn called(
    view: &View<'_>,
    errors: &[CallError],
    found: &[Finding],
    out: &mut Vec<Finding>,
) {
    dns::cluster_dns(view, errors, found, out);
    let mut by_target: BTreeMap<Idx, Vec<&CallError>> = BTreeMap::new();
    for error in errors {
        if let Some(target) = error.target {
            by_target.entry(target).or_default().push(error);
        }
    }
    for (target, all) in by_target {
        if wrong_target_port(view, target, &all, found, out) {
            continue;
        }
        if handshake::judge(view, target, &all, out) {
            continue;
        }
        // A name that does not resolve shows nothing about the resource of that name.
        let reached: Vec<&CallError> = all
            .iter()
            .copied()
            .filter(|c| {
                c.failure != CallFailure::Unresolved
                    || !(view.exists(target) || is_unknown(view, c))
            })
            .collect();
        if !wrong_address(view, target, &all, out) && !reached.is_empty() {
            down(view, target, &reached, found, out);
        }
    }
    unknown_hosts(view, errors, out);
    handshake::unknown_servers(view, errors, out);
    protocol::unknown_servers(view, errors, out);
    dns::single_workload(view, errors, out);
}

/// The log lines of the first six errors.
pub(super) fn evidence(view: &View<'_>, all: &[&CallError]) -> Vec<Evidence> {
    all.iter()
        .take(6)
        .map(|c| view.log_evidence(c.caller, view.episodes.logs[c.log].1))
        .collect()
}

/// Confirms a target port that no container declares if callers of that port report errors.
fn wrong_target_port(
    view: &View<'_>,
    target: Idx,
    all: &[&CallError],
    found: &[Finding],
    out: &mut Vec<Finding>,
) -> bool {
    // A caller that names no port may mean any of them.
    let concerns = |latent: &Finding, error: &CallError| match (latent.port, error.port) {
        (Some(service_port), Some(called)) => service_port == i64::from(called),
        _ => true,
    };
    let mut any = false;
    for latent in found
        .iter()
        .filter(|f| f.fault == FaultId::ServicePortMismatch && f.blamed == target)
    {
        let errors: Vec<&CallError> = all
            .iter()
            .copied()
            .filter(|e| concerns(latent, e) && !has_answered(view, e))
            .collect();
        if errors.is_empty() {
            continue;
        }
        let mut finding = Finding {
            strength: Strength::Proof,
            active: true,
            ..latent.clone()
        };
        finding.evidence.extend(evidence(view, &errors));
        out.push(finding);
        any = true;
    }
    any
}

/// Whether the other side answered before the call failed: then something listens on the port.
fn has_answered(view: &View<'_>, error: &CallError) -> bool {
    let trouble = view.episodes.logs[error.log].1.trouble();
    let answers = [Class::Disconnected, Class::LoginRefused, Class::NotServing];
    matches!(
        error.failure,
        CallFailure::CertificateRejected | CallFailure::ProtocolMismatch
    ) || error.failure == CallFailure::Failed && trouble.has_any(&answers)
}

/// A caller that uses a port the Service does not have.
fn wrong_address(view: &View<'_>, target: Idx, all: &[&CallError], out: &mut Vec<Finding>) -> bool {
    let Some(service) = view.object(target).and_then(|o| o.service()) else {
        return false;
    };
    // A caller without the address in its settings only repeats the error of one that has it.
    let is_known = all.iter().any(|e| setting(view, e).is_some());
    let mut any = false;
    for error in all {
        let owner = view.top_owner(error.caller);
        let name = view.graph.get(target).name();
        let setting = setting(view, error);
        if is_known && setting.is_none() {
            continue;
        }
        let configured = setting.and_then(|(_, p)| p);
        // Who passes on the error of another one has another port in its settings.
        let is_relayed = configured.is_some_and(|p| error.port.is_some_and(|port| p != port));
        let Some(port) = error.port.or(configured).filter(|_| !is_relayed) else {
            continue;
        };
        if offers(service, port) {
            continue;
        }
        let ports: Vec<String> = service.ports.iter().map(|p| p.port.to_string()).collect();
        let fault = if service.ports.iter().any(|p| is_database_port(p.port)) {
            FaultId::DependencyPortWrong
        } else {
            FaultId::ServiceAddressWrong
        };
        let message = format!(
            "{} calls Service `{name}` on port {port}{}, but the Service has port {}",
            view.title(owner),
            in_variable(setting),
            ports.join(", ")
        );
        out.push(
            view.finding(fault, owner, error.caller, Strength::Proof)
                .active(true)
                .message(message)
                .with(evidence(view, &[error]))
                .build(),
        );
        any = true;
    }
    any
}

/// `` (env `DB_URL`)``, if the address comes from an environment variable.
fn in_variable(setting: Option<(&str, Option<u16>)>) -> String {
    match setting {
        Some((variable, _)) => format!(" (env `{variable}`)"),
        None => String::new(),
    }
}

/// The well-known ports of databases, caches and message brokers.
pub(super) fn is_database_port(port: i64) -> bool {
    matches!(
        port,
        3306 | 5432 | 6379 | 27017 | 9092 | 5672 | 1433 | 1521 | 9042 | 11211 | 2379
    )
}

/// A target that callers report errors about although it shows no fault of its own.
fn down(
    view: &View<'_>,
    target: Idx,
    all: &[&CallError],
    found: &[Finding],
    out: &mut Vec<Finding>,
) {
    let component = view.component(target);
    // Any other finding about the target is more specific.
    let explained = found
        .iter()
        .filter(|f| f.active && f.fault != FaultId::RuntimeReadinessFailing)
        .any(|f| view.component(f.blamed) == component);
    // A server that does not exist is not down.
    let is_missing = |c: &&CallError| {
        !view.graph.get(target).is_live() && setting(view, c).is_some() && is_unknown(view, c)
    };
    if all.iter().any(is_missing) {
        return;
    }
    // A caller that is still retrying has not failed yet.
    let retries = all.iter().all(|c| {
        let log = view.episodes.logs[c.log].1;
        let is_over = view.now.0 - log.last.0 > 2 * MINUTE && view.is_pod_healthy(c.caller);
        (log.severity < Severity::Error || is_over)
            && has(&log.sample, &["retry", "retrying", "attempt "])
    });
    // Where a namespace or the callers are being deleted, connections end.
    let namespace = view.graph.get(target).namespace();
    let namespace = view.graph.find(Kind::Namespace, "", namespace);
    let leave = namespace.is_some_and(|n| view.graph.get(n).is_leaving())
        || all.iter().all(|c| view.graph.get(c.caller).is_leaving());
    let callers: BTreeSet<Component> = all.iter().map(|c| view.component(c.caller)).collect();
    if explained || leave || retries || callers.contains(&component) {
        return;
    }
    let lines: u64 = all.iter().map(|c| c.count).sum();
    // What does not even accept connections from outside the cluster's network does not run.
    let is_unreachable = *view.graph.get(target).kind() == Kind::External
        && all.iter().all(|c| {
            let trouble = view.episodes.logs[c.log].1.trouble();
            trouble.has(Class::ConnectTimedOut)
        });
    let slow = !is_unreachable && all.iter().all(|c| c.failure == CallFailure::TimedOut);
    let fault = if slow {
        FaultId::DependencySlow
    } else {
        FaultId::DependencyDown
    };
    // One caller may be wrong itself, unless it cannot go on without the server.
    let is_needed = all.iter().any(|c| view.is_healthy(c.caller) == Some(false));
    let strength = if callers.len() >= 2 || is_needed {
        Strength::Fair
    } else {
        Strength::Hint
    };
    let name = view.graph.get(target).name();
    let workloads = if callers.len() == 1 {
        "1 workload reports".to_owned()
    } else {
        format!("{} workloads report", callers.len())
    };
    let message = format!(
        "{workloads} errors calling `{name}` ({lines} log lines); `{name}` itself shows no fault"
    );
    out.push(
        view.finding(fault, target, all[0].caller, strength)
            .active(true)
            .message(message)
            .with(evidence(view, all))
            .build(),
    );
}

/// Host names of which no Service exists: the caller's settings have a wrong name.
fn unknown_hosts(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    let dns_is_down = out.iter().any(|f| f.fault == FaultId::ControlplaneDnsDown);
    for error in errors {
        let named = error.target.map(|t| (t, view.graph.get(t)));
        let is_known = named
            .as_ref()
            .is_some_and(|(_, n)| n.is_live() || *n.kind() == Kind::External);
        let owner = view.top_owner(error.caller);
        if dns_is_down {
            continue;
        }
        let is_outside = named
            .as_ref()
            .is_some_and(|(_, n)| *n.kind() == Kind::External);
        if is_outside && error.failure == CallFailure::Unresolved {
            outside_name(view, errors, error, out);
            continue;
        }
        if is_known {
            continue;
        }
        let meant = derive::called(&error.name, view.graph.get(error.caller).namespace());
        let lacks = if view.is_namespace_absent(&meant.namespace) {
            format!("there is no namespace `{}`", meant.namespace)
        } else {
            format!("namespace `{}` has no such Service", meant.namespace)
        };
        let setting = setting(view, error);
        let unresolved = error.failure == CallFailure::Unresolved;
        // Some clients report a time-out when a name does not resolve.
        let timed_out = error.failure == CallFailure::TimedOut && setting.is_some();
        if (unresolved || timed_out) && is_unknown(view, error) {
            let strength = match (unresolved, setting.is_some()) {
                (true, true) => Strength::Proof,
                (false, true) => Strength::Strong,
                _ => Strength::Fair,
            };
            let message = format!(
                "{} calls `{}`{}, but {lacks}",
                view.title(owner),
                error.name,
                in_variable(setting)
            );
            out.push(
                view.finding(FaultId::ServiceAddressWrong, owner, error.caller, strength)
                    .active(true)
                    .message(message)
                    .with(evidence(view, &[error]))
                    .build(),
            );
        }
    }
}

/// A name outside the cluster that does not resolve: its holder's setting, unless others complain
/// about other names.
fn outside_name(view: &View<'_>, errors: &[CallError], error: &CallError, out: &mut Vec<Finding>) {
    let names: BTreeSet<&str> = errors
        .iter()
        .filter(|e| e.failure == CallFailure::Unresolved)
        .map(|e| &*e.name)
        .collect();
    if names.len() > 1 {
        return;
    }
    let owner = view.top_owner(error.caller);
    let setting = setting(view, error);
    let message = format!(
        "{} calls `{}`{}, a name outside the cluster that does not resolve",
        view.title(owner),
        error.name,
        in_variable(setting)
    );
    // A name that its settings lack may come from a record of the DNS.
    let strength = match setting {
        Some(_) => Strength::Fair,
        None => Strength::Hint,
    };
    out.push(
        view.finding(FaultId::ServiceAddressWrong, owner, error.caller, strength)
            .active(true)
            .message(message)
            .with(evidence(view, &[error]))
            .build(),
    );
}

/// The environment variable that has the address which a caller reports, with its port.
fn setting<'a>(view: &View<'a>, c: &CallError) -> Option<(&'a str, Option<u16>)> {
    let by_name = |name: &str| {
        setting_with_host(view, c.caller, name)
            .or_else(|| setting_with_host(view, view.top_owner(c.caller), name))
    };
    // The error may have the address of a Service, and the settings its name.
    let target = c.target.map(|t| view.graph.get(t).name());
    by_name(&c.name).or_else(|| by_name(target?))
}

/// Whether a name has the form of a Service name in a namespace that does not exist or whose
/// Services are known, and neither a Service nor a workload there has it.
fn is_unknown(view: &View<'_>, c: &CallError) -> bool {
    let meant = derive::called(&c.name, view.graph.get(c.caller).namespace());
    let is_cluster_name = !c.name.contains('.') || c.name.contains(".svc");
    is_cluster_name
        && (view.is_absent(&Kind::Service, &meant.namespace, &meant.name)
            || view.is_namespace_absent(&meant.namespace))
        && !similar_workload(view, &meant.namespace, &c.name)
}

/// A workload of that very name means a Service that is missing, not a wrong name.
fn similar_workload(view: &View<'_>, namespace: &str, name: &str) -> bool {
    let short = name.split('.').next().unwrap_or(name);
    view.graph
        .workloads(namespace)
        .any(|w| view.graph.get(w).name() == short)
}
