//! What a command does, how it is tried, and what shows that it worked.

use super::target::{Holder, Target};
use super::{Cause, Remedy, Risk, undo};
use crate::model::{Command, Kind};

/// Describes a command.
pub(super) fn describe(
    cause: &Cause<'_>,
    target: &Target,
    command: &Command,
    note: String,
) -> Remedy {
    let words = command.arguments();
    let risk = risk(&words);
    let check = match risk {
        Risk::ReadOnly => Command::default(),
        _ => check(cause, target, &words),
    };
    Remedy {
        risk,
        note: with_source(note, target, &words),
        dry_run: dry_run(command, &words).to_string(),
        check: check.to_string(),
        undo: undo::of(cause, target, &words, risk).to_string(),
    }
}

/// A name that no record has is said to be derived.
fn with_source(note: String, target: &Target, words: &[String]) -> String {
    let object = format!("{}/{}", target.kind, target.name);
    let source = target
        .derived
        .as_ref()
        .filter(|_| words.contains(&object))
        .map(|source| format!("the Deployment's name is derived from that of {source}"));
    let notes = [
        Some(note).filter(|note| !note.is_empty()),
        moves_traffic(words).then(|| TRAFFIC.to_owned()),
        source,
    ];
    notes.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What a new selector of a Service does.
const TRAFFIC: &str = "sends all traffic of the Service to the pods that it selects then";

fn moves_traffic(words: &[String]) -> bool {
    let is_service = |word: &String| word == "service" || word.starts_with("service/");
    let is_selector = |word: &String| word.starts_with('{') && word.contains("\"selector\"");
    words.iter().any(is_service) && words.iter().any(is_selector)
}

/// The verb with its second word where it has one, and what follows, without `-n NAMESPACE`.
pub(super) fn verb(words: &[String]) -> (String, &[String]) {
    let from = match words {
        [kubectl, option, ..] if kubectl == "kubectl" && option == "-n" => 3,
        _ => 1,
    };
    let rest = words.get(from..).unwrap_or_default();
    let (first, rest) = rest
        .split_first()
        .map(|(f, r)| (f.as_str(), r))
        .unwrap_or_default();
    match (first, rest.split_first()) {
        ("rollout" | "set" | "certificate", Some((second, rest))) => {
            (format!("{first} {second}"), rest)
        }
        _ => (first.to_owned(), rest),
    }
}

/// Kinds whose pods are replaced when their template changes.
const ROLLING: [&str; 3] = ["deployment/", "statefulset/", "daemonset/"];

pub(super) fn risk(words: &[String]) -> Risk {
    let text = words.join(" ");
    let has = |part: &str| text.contains(part);
    let is_rolling = ROLLING.iter().any(|kind| has(kind) || has("<kind>/"));
    if has(" replace --force ") && has(" get pvc ") || has("--delete-emptydir-data") {
        return Risk::DeletesData;
    }
    if has(" replace --force ") {
        return Risk::InterruptsService;
    }
    if words.first().is_some_and(|word| word != "kubectl") {
        return Risk::InterruptsService;
    }
    match verb(words).0.as_str() {
        "get" | "describe" | "logs" | "top" | "rollout status" | "rollout history" => {
            Risk::ReadOnly
        }
        "debug" if has(" cat ") || has(" ps ") => Risk::ReadOnly,
        "debug" if has("/manifests/") => Risk::InterruptsService,
        "drain" | "exec" => Risk::InterruptsService,
        "delete" if has("--force") => Risk::InterruptsService,
        "scale" if has("--replicas=<fewer>") || has("--replicas=0") => Risk::InterruptsService,
        "patch" if has("\"Recreate\"") || has("\"replicas\":0") => Risk::InterruptsService,
        "patch" if has("template") => Risk::RestartsPods,
        "delete" | "rollout undo" | "rollout restart" => Risk::RestartsPods,
        "set image" | "set env" | "set resources" | "edit" if is_rolling => Risk::RestartsPods,
        "set image" if has("pod/") => Risk::RestartsPods,
        _ => Risk::RestartsNothing,
    }
}

/// Verbs that the API server can check without carrying them out.
const CAN_BE_TRIED: [&str; 18] = [
    "annotate",
    "apply",
    "cordon",
    "create",
    "delete",
    "drain",
    "label",
    "patch",
    "replace",
    "rollout undo",
    "scale",
    "set env",
    "set image",
    "set resources",
    "set selector",
    "set serviceaccount",
    "taint",
    "uncordon",
];

fn dry_run(command: &Command, words: &[String]) -> Command {
    let is_chain = words
        .iter()
        .any(|word| ["&&", ">", "|"].contains(&word.as_str()));
    let (verb, _) = verb(words);
    let is_kubectl = words.first().is_some_and(|word| word == "kubectl");
    if is_kubectl && !is_chain && CAN_BE_TRIED.contains(&verb.as_str()) {
        command.clone().with(["--dry-run=server"])
    } else {
        Command::default()
    }
}

fn check(cause: &Cause<'_>, target: &Target, words: &[String]) -> Command {
    let text = words.join(" ");
    let blamed = cause.view.graph.get(cause.blamed);
    let is_rolling = |word: &&String| ROLLING.iter().any(|kind| word.starts_with(kind));
    if let Some(object) = words.iter().find(is_rolling) {
        let namespace = match words {
            [_, option, namespace, ..] if option == "-n" => namespace.as_str(),
            _ => "",
        };
        let status = "kubectl -n <namespace> rollout status <object> --timeout=5m";
        let is_open = words.iter().any(|word| word.starts_with('<')) || object.contains('<');
        let values = [("namespace", namespace), ("object", object.as_str())];
        let status = Command::of(status).fill(values);
        return if is_open { Command::default() } else { status };
    }
    let of = |template: &str, namespace: &str, kind: &str, name: &str| {
        Command::of(template).fill([("namespace", namespace), ("kind", kind), ("name", name)])
    };
    let of_blamed = |template: &str| {
        let kind = blamed.kind().as_str().to_lowercase();
        of(template, blamed.namespace(), &kind, blamed.name())
    };
    let of_target = |template: &str| of(template, &target.namespace, &target.kind, &target.name);
    match blamed.kind() {
        Kind::Service if text.contains(" service ") => {
            return of_blamed(
                "kubectl -n <namespace> get endpointslices -l kubernetes.io/service-name=<name>",
            );
        }
        Kind::Node => return of_blamed("kubectl get node <name>"),
        Kind::PersistentVolumeClaim => return of_blamed("kubectl -n <namespace> get pvc <name>"),
        _ => {}
    }
    match target.holder {
        Holder::Rolling => {
            of_target("kubectl -n <namespace> rollout status <kind>/<name> --timeout=5m")
        }
        Holder::CronJob | Holder::Job | Holder::BarePod | Holder::UnknownOwner => {
            of_target("kubectl -n <namespace> get <kind> <name>")
        }
        Holder::Outside => Command::default(),
        Holder::Other => of_blamed("kubectl -n <namespace> get <kind> <name>"),
    }
}
