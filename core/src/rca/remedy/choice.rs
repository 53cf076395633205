//! Which command: the reversal of the change that explains the cause, else what the detector found,
//! else the catalogue's, and instead of these what works on the object at hand.

use super::target::{Holder, Target};
use super::{Cause, parsed};
use crate::detect::FaultId;
use crate::graph::Relation;
use crate::model::{Command, Kind};

/// A command, and what to know before it is run.
pub(super) struct Choice {
    pub(super) command: Command,
    pub(super) note: String,
}

impl Choice {
    fn new(command: Command, note: impl Into<String>) -> Self {
        let note = note.into();
        Self { command, note }
    }
}

const DESCRIBE: &str = "kubectl -n <namespace> describe <kind>/<name>";
const EDIT: &str = "kubectl -n <namespace> edit <kind>/<name>";
const LOGS_OF_POD: &str = "kubectl -n <namespace> logs <pod> -c <container> --previous --tail=100";
const LOGS: &str = "kubectl -n <namespace> logs <kind>/<name> --all-containers --tail=100";
const LOGS_OF_ONE: &str = "kubectl -n <namespace> logs <pod> --all-containers --tail=100";
/// Kinds that `kubectl logs` accepts.
const HAVE_LOGS: [&str; 6] = [
    "deployment",
    "statefulset",
    "daemonset",
    "replicaset",
    "job",
    "pod",
];
const LOGS_OF_JOB: &str = "kubectl -n <namespace> logs job/<job> --all-containers --tail=100";
const REPLACE_POD: &str = "kubectl -n <namespace> get pod <name> -o yaml > pod.yaml && vi pod.yaml && \
                           kubectl -n <namespace> replace --force -f pod.yaml";

pub(super) fn choose(cause: &Cause<'_>, target: &Target) -> Choice {
    if let Some(change) = cause.change.filter(|change| !change.undo.is_empty()) {
        return Choice::new(parsed(&change.undo), "");
    }
    let usual = || Command::of(&cause.catalogue.get(cause.fault).fix);
    let own = cause
        .findings
        .iter()
        .find_map(|finding| finding.fix.clone());
    let command = own.unwrap_or_else(usual);
    let words = command.arguments().join(" ");
    if words.contains(" rollout undo ") && !is_after_rollout(cause, target) {
        return look(cause, target);
    }
    if cause.fault == FaultId::RuntimeEvicted {
        return evicted(cause, target);
    }
    fitted(target, command, &words)
}

/// Whether something shows that the workload was rolled out before it failed.
fn is_after_rollout(cause: &Cause<'_>, target: &Target) -> bool {
    let view = &cause.view;
    let is_set = |relation: Relation, child| {
        relation == Relation::Controls && view.graph.get(child).kind() == &Kind::ReplicaSet
    };
    let sets = view.graph.out(target.idx);
    let versions = sets.filter(|(relation, child)| is_set(*relation, *child));
    // A roll-out that is late has something to go back to if there was one before.
    let is_late = cause.fault == FaultId::RuntimeRolloutStuck && versions.count() > 1;
    let compares_versions = cause.fault == FaultId::DependencyVersionMismatch;
    target.is_rolling() && (cause.change.is_some() || is_late || compares_versions)
}

/// Nothing shows what to change: what the container said last.
fn look(cause: &Cause<'_>, target: &Target) -> Choice {
    let is_pod = |idx| *cause.view.graph.get(idx).kind() == Kind::Pod;
    let has_pod = cause.findings.iter().any(|finding| is_pod(finding.on)) || is_pod(cause.blamed);
    let has_crashed = cause.fault.as_str().starts_with("runtime.crash");
    let command = match target.holder {
        Holder::Job => LOGS_OF_JOB,
        _ if has_pod && has_crashed => LOGS_OF_POD,
        Holder::Rolling if has_crashed => LOGS,
        _ => DESCRIBE,
    };
    Choice::new(
        Command::of(command),
        "no roll-out is known that could be undone",
    )
}

/// What an evicted pod lacked.
fn evicted(cause: &Cause<'_>, target: &Target) -> Choice {
    let evidence = cause.findings.iter().flat_map(|finding| &finding.evidence);
    let texts: String = evidence.map(|e| e.what.to_ascii_lowercase()).collect();
    let command = if texts.contains("memory") {
        "kubectl -n <namespace> set resources <kind>/<name> --requests=memory=<more>"
    } else {
        "kubectl -n <namespace> set resources <kind>/<name> --requests=ephemeral-storage=<size>"
    };
    let choice = fitted(target, Command::of(command), command);
    let note = match target.holder {
        Holder::Rolling => "the kubelet evicts first what uses more than it requests",
        _ => return choice,
    };
    Choice::new(choice.command, note)
}

/// A command, or what to do instead where the target does not take it.
fn fitted(target: &Target, command: Command, words: &str) -> Choice {
    let is_about_target = words.contains("<kind>/<name>");
    let is_deployment_only = words.contains("\"strategy\"");
    let is_about_template = words.contains("template")
        || [
            "rollout ",
            "set image",
            "set env",
            "set resources",
            "scale ",
        ]
        .iter()
        .any(|part| words.contains(&format!(" {part}")));
    if is_deployment_only && target.kind != "deployment" {
        let attached = "kubectl get volumeattachments";
        let note = "shows which node still has the volume; the workload has no roll-out strategy \
                    that starts a pod beside the old one";
        return Choice::new(Command::of(attached), note);
    }
    if !is_about_target && !is_deployment_only {
        return Choice::new(command, note(target, words));
    }
    if words.contains(" logs ") && !HAVE_LOGS.contains(&&*target.kind) {
        return Choice::new(Command::of(LOGS_OF_ONE), "");
    }
    if words.contains(" logs ") || words.contains(" describe ") {
        return Choice::new(command, "");
    }
    match target.holder {
        Holder::Outside => Choice::new(Command::default(), ""),
        Holder::BarePod if words.contains(" set image ") => Choice::new(command, ""),
        Holder::BarePod => Choice::new(
            Command::of(REPLACE_POD),
            "nothing owns the pod, and most of its spec cannot be changed: it is deleted and \
             created again",
        ),
        Holder::UnknownOwner => Choice::new(
            Command::of(DESCRIBE),
            "`Controlled By` in its output names the owner, which is what has to be changed",
        ),
        Holder::Job => Choice::new(
            Command::of(LOGS_OF_JOB),
            "the template of a Job cannot be changed: correct its manifest, delete the Job and \
             create it again",
        ),
        // Nothing is known to run behind it.
        Holder::Other if matches!(&*target.kind, "service" | "node") => {
            Choice::new(Command::of(DESCRIBE), "")
        }
        Holder::Other if is_about_template => Choice::new(Command::of(EDIT), ""),
        Holder::CronJob if words.contains(" scale ") || words.contains(" rollout ") => {
            Choice::new(Command::of(EDIT), "")
        }
        Holder::CronJob => Choice::new(in_job_template(words, command), ""),
        Holder::Rolling if target.kind == "daemonset" && words.contains(" scale ") => Choice::new(
            Command::of(EDIT),
            "a DaemonSet has no replicas: its nodeSelector and tolerations say where it runs",
        ),
        Holder::Rolling | Holder::Other => Choice::new(command, note(target, words)),
    }
}

/// A patch of a pod template, below the template of Jobs.
fn in_job_template(words: &str, command: Command) -> Command {
    if !words.contains(" patch ") {
        return command;
    }
    let moved = |word: String| {
        if word.starts_with('{') {
            let inner = word.replacen(
                r#"{"spec":{"template":"#,
                r#"{"spec":{"jobTemplate":{"spec":{"template":"#,
                1,
            );
            let is_moved = inner != word;
            return if is_moved { inner + "}}" } else { word };
        }
        word.replace("/spec/template", "/spec/jobTemplate/spec/template")
    };
    let words: Vec<String> = command.arguments().into_iter().map(moved).collect();
    let quoted: Vec<String> = words
        .iter()
        .map(|word| {
            if word.contains(['{', '[']) {
                format!("'{word}'")
            } else {
                word.clone()
            }
        })
        .collect();
    Command::of(&quoted.join(" "))
}

/// What to know of a command.
fn note(target: &Target, words: &str) -> &'static str {
    if words.contains(" drain ") {
        return "evicts every pod of the node: check first that the others have room and that no \
                PodDisruptionBudget stops it";
    }
    if words.contains(" get pvc ") && words.contains(" replace ") {
        return "the claim is deleted and created again: one that is bound may lose its volume";
    }
    if words.contains(" --force") && words.contains(" delete pod ") {
        return "make sure first that its node is really gone: else two pods may write to one volume";
    }
    if words.contains(" rollout restart ") && target.is_rolling() {
        return "helps only if what broke it is over";
    }
    ""
}
