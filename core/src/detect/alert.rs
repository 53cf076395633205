//! What alerts say of state that nobody sent. With the object at hand its state says more.

use super::View;
use super::finding::{Evidence, Finding, Strength};
use super::performance::{Signal, signals};
use super::text::{find, short};
use crate::graph::Idx;
use crate::model::{Alert, Kind};

/// Words of an alert's name, all of which must be there, and what they say: the vocabulary of `kubernetes-mixin` and of
/// those who write rules like it. Where a word fits several faults, the likeliest stands with a hint.
type Word = (&'static [&'static str], &'static str, Strength, &'static str);

const OF_NODES: [Word; 7] = [
    (&["notready"], "node.kubelet_down", Strength::Fair, "is not ready"),
    (&["unreachable"], "node.kubelet_down", Strength::Fair, "is not ready"),
    (&["down"], "node.kubelet_down", Strength::Fair, "is down"),
    (&["disk"], "node.disk_pressure", Strength::Fair, "runs out of disk space"),
    (&["filesystem"], "node.disk_pressure", Strength::Fair, "runs out of disk space"),
    (&["memory"], "node.memory_pressure", Strength::Fair, "runs out of memory"),
    (&["pid"], "node.pid_pressure", Strength::Fair, "runs out of process ids"),
];

const OF_THE_REST: [Word; 24] = [
    (&["controllermanager", "down"], "controlplane.controller_manager_down", Strength::Fair, "is down"),
    (&["scheduler", "down"], "controlplane.scheduler_down", Strength::Fair, "is down"),
    (&["apiserver", "latency"], "controlplane.api_server_slow", Strength::Fair, "is slow"),
    (&["apiserver", "slow"], "controlplane.api_server_slow", Strength::Fair, "is slow"),
    (&["etcd"], "controlplane.etcd_unhealthy", Strength::Fair, "is not well"),
    (&["dns", "down"], "controlplane.dns_down", Strength::Fair, "is down"),
    (&["dns", "error"], "controlplane.dns_down", Strength::Hint, "answers with errors"),
    (&["oom"], "runtime.oom_killed", Strength::Fair, "ran out of its memory limit"),
    (&["imagepull"], "image.reference_wrong", Strength::Fair, "does not get its image"),
    (&["crashloop"], "runtime.crash_on_start", Strength::Hint, "crashes again and again"),
    (&["restart"], "runtime.crash_later", Strength::Hint, "restarts again and again"),
    (&["cronjob"], "runtime.cronjob_missed", Strength::Hint, "did not run in time"),
    (&["job", "fail"], "runtime.job_failed", Strength::Fair, "failed"),
    (&["job", "complet"], "runtime.job_failed", Strength::Hint, "does not end"),
    (&["hpa", "max"], "performance.autoscaler_at_limit", Strength::Fair, "is at its most replicas"),
    (&["autoscaler", "max"], "performance.autoscaler_at_limit", Strength::Fair, "is at its most replicas"),
    (&["volume", "full"], "storage.volume_full", Strength::Fair, "has a volume that is full"),
    (&["volume", "fill"], "storage.volume_full", Strength::Fair, "has a volume that fills up"),
    (&["replicas"], "runtime.rollout_stuck", Strength::Hint, "has fewer replicas than it wants"),
    (&["rollout"], "runtime.rollout_stuck", Strength::Hint, "does not get where it was told to go"),
    (&["notready"], "runtime.rollout_stuck", Strength::Hint, "is not ready"),
    (&["waiting"], "runtime.rollout_stuck", Strength::Hint, "waits to start"),
    (&["unavailable"], "runtime.rollout_stuck", Strength::Hint, "has fewer replicas than it wants"),
    (&["down"], "dependency.down", Strength::Hint, "is down"),
];

pub(super) fn alone(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let kind = view.graph.get(idx).kind();
    if *kind == Kind::Namespace || view.object(idx).is_some() {
        return;
    }
    let words: &[Word] = if *kind == Kind::Node { &OF_NODES } else { &OF_THE_REST };
    for alert in view.alerts(idx) {
        let has = |word: &&str| find(&alert.name, word).is_some();
        if let Some((_, fault, strength, says)) = words.iter().find(|(all, ..)| all.iter().all(has)) {
            out.push(told(view, idx, alert, (fault, *strength), says));
        } else if *kind != Kind::Node && signals(alert).contains(&Signal::Errors) {
            out.push(told(view, idx, alert, ("dependency.down", Strength::Hint), "answers with errors"));
        }
    }
}

fn told(view: &View<'_>, idx: Idx, alert: &Alert, (fault, strength): (&'static str, Strength), says: &str) -> Finding {
    let owner = view.top_owner(idx);
    let what = format!("alert {}: {}", alert.name, short(&alert.annotations.to_text(), 200));
    view.finding(fault, owner, idx, strength)
        .active(true)
        .says(format!("{} {says} (alert {})", view.title(owner), alert.name))
        .with([Evidence { id: alert.fingerprint.to_string(), at: alert.starts, resource: idx, what }])
        .build()
}
