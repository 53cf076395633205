//! Which fields a fault reads: only a change of one of them explains it. The table is in
//! [`mechanisms.yaml`](mechanisms.yaml).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::change::{FieldChange, ObjectChange, Verb};
use crate::model::Kind;
use crate::model::object::Quantity;

/// Kinds or a group of them, and the parts of paths that matter there.
type Reads = (String, String);

#[derive(Debug, Default, Deserialize)]
struct Table {
    /// What a program starts with, for [`PROGRAM`].
    program: String,
    /// Groups of kinds.
    kinds: BTreeMap<String, String>,
    /// By the start of the fault's ID.
    faults: BTreeMap<String, Vec<Reads>>,
}

/// Stands for everything in a pod template that a program starts with.
const PROGRAM: &str = "$program";
/// Stands for custom resources.
const CUSTOM: &str = "*";

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let read = serde_yaml::from_str(include_str!("mechanisms.yaml"));
    // A test reads it.
    read.unwrap_or_default()
});

/// How directly a change of a field explains a fault: 0 is the most direct. `None` if it does not.
/// For an object that was created or deleted there is no field.
pub(super) fn explains(
    fault: &str,
    change: &ObjectChange,
    field: Option<&FieldChange>,
) -> Option<usize> {
    let table = &*TABLE;
    let fitting = table
        .faults
        .iter()
        .filter(|(start, _)| fault.starts_with(start.as_str()));
    let (_, reads) = fitting.max_by_key(|(start, _)| start.len())?;
    if field.is_some_and(|field| is_cosmetic(&field.path)) {
        return None;
    }
    let kind = change.kind();
    let fits = |(kinds, parts): &Reads| {
        let mut parts = table.parts(parts).split_whitespace();
        table.has_kind(kinds, &kind) && parts.any(|part| has(part, change, field))
    };
    let rank = reads.iter().position(fits)?;
    let is_relief = field.is_some_and(|field| is_relief(fault, field));
    (!is_relief).then_some(rank)
}

/// Fields of which less causes a fault, and those of which more does.
const FEWER: [&str; 7] = [
    "limits.",
    ".hard",
    "maxReplica",
    "max.",
    "sizeLimit",
    "memory",
    "allocatable",
];
const MORE: [&str; 5] = [
    "requests.",
    "minReplica",
    "min.",
    "spec.replicas",
    "minAvailable",
];

/// Whether a quantity was changed in the direction that helps against a fault.
fn is_relief(fault: &str, field: &FieldChange) -> bool {
    let of = |value: &Option<String>| value.as_deref().and_then(Quantity::parse);
    let has = |parts: &[&str]| parts.iter().any(|part| field.path.contains(part));
    let (old, new) = (of(&field.old), of(&field.new));
    if fault == "runtime.scaled_to_zero" && has(&["replicas", "Replica"]) {
        return new.is_some_and(|new| new.0 > 0);
    }
    let lacks_room = ["scheduling.", "admission.quota", "admission.limit"];
    let lacks_room = lacks_room.iter().any(|start| fault.starts_with(start));
    let is_more = if has(&[".hard"]) {
        false
    } else if has(&MORE) {
        // More pods need more room; where they are slow, fewer are the trouble.
        lacks_room || !has(&["spec.replicas", "minReplica"])
    } else if has(&FEWER) {
        // A pod with a higher limit can exceed a quota.
        fault.starts_with("admission.quota")
    } else {
        return false;
    };
    match (old, new) {
        (Some(old), Some(new)) => is_more == (new < old),
        // Without a limit there is none to reach.
        (Some(_), None) => field.new.is_none() && !has(&MORE) && has(&["limits.", ".hard"]),
        _ => false,
    }
}

/// Whether a field only says how much is logged, or to whom something belongs.
fn is_cosmetic(path: &str) -> bool {
    let path = path.to_ascii_lowercase().replace(['_', '-'], "");
    let words = [
        "loglevel",
        "verbosity",
        "description",
        "owner",
        "checksum",
        "timestamp",
    ];
    words.iter().any(|word| path.contains(word))
}

impl Table {
    fn has_kind(&self, kinds: &str, kind: &Kind) -> bool {
        let name = kind.as_str().split('.').next().unwrap_or_default();
        let is_in = |list: &str| list.split_whitespace().any(|one| one == name);
        let is_custom = || {
            let is_known = self.kinds.values().any(|list| is_in(list));
            let others = ["CustomResourceDefinition", "APIService"];
            matches!(kind, Kind::Other(_)) && !others.contains(&name) && !is_known
        };
        match self.kinds.get(kinds) {
            Some(group) => is_in(group),
            None if kinds == CUSTOM => is_custom(),
            None => is_in(kinds),
        }
    }

    fn parts<'a>(&'a self, parts: &'a str) -> &'a str {
        if parts == PROGRAM {
            &self.program
        } else {
            parts
        }
    }
}

fn has(part: &str, change: &ObjectChange, field: Option<&FieldChange>) -> bool {
    match (part, change.verb, field) {
        ("+", Verb::Created, _) | ("-", Verb::Deleted, _) => true,
        ("+" | "-", _, _) => false,
        // Labels and annotations are for people and other programs.
        ("=", Verb::Changed, Some(field)) => !field.path.starts_with("metadata."),
        ("data", Verb::Changed, Some(field)) => {
            let content = ["data", "stringData", "binaryData"];
            content
                .iter()
                .any(|content| field.path.starts_with(content))
        }
        (part, Verb::Changed, Some(field)) => {
            let is_own = field.path.starts_with("metadata.");
            let marks = [
                "metadata.labels",
                "labels",
                "annotations",
                "finalizers",
                "pod-security",
            ];
            field.path.contains(part) && (!is_own || marks.contains(&part))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::FaultId;
    use crate::model::Time;

    fn change(kind: &str, verb: Verb) -> ObjectChange {
        ObjectChange {
            at: Time::default(),
            undated: false,
            kind: kind.to_owned(),
            namespace: "shop".to_owned(),
            name: "api".to_owned(),
            uid: None,
            verb,
            fields: Vec::new(),
            more: 0,
            by: None,
            via: None,
            note: None,
        }
    }

    fn field(path: &str, old: &str, new: &str) -> FieldChange {
        FieldChange {
            path: path.to_owned(),
            old: Some(old.to_owned()),
            new: Some(new.to_owned()),
        }
    }

    #[test]
    fn each_start_is_that_of_a_fault() {
        let table: Table = serde_yaml::from_str(include_str!("mechanisms.yaml")).unwrap();
        assert!(table.faults.len() > 60);
        for start in table.faults.keys() {
            let mut faults = FaultId::ALL.iter();
            assert!(
                faults.any(|fault| fault.as_str().starts_with(start)),
                "{start}"
            );
        }
    }

    #[test]
    fn less_of_a_limit_explains_and_more_does_not() {
        let limit = "spec.template.spec.containers[api].resources.limits.memory";
        let deployment = change("Deployment", Verb::Changed);
        let of = |fault: &str, path: &str, old: &str, new: &str| {
            explains(fault, &deployment, Some(&field(path, old, new)))
        };
        assert_eq!(of("runtime.oom_killed", limit, "1Gi", "64Mi"), Some(0));
        assert_eq!(of("runtime.oom_killed", limit, "64Mi", "1Gi"), None);
        let request = "spec.template.spec.containers[api].resources.requests.cpu";
        assert_eq!(
            of("scheduling.cpu_insufficient", request, "1", "24"),
            Some(0)
        );
        assert_eq!(of("scheduling.cpu_insufficient", request, "24", "1"), None);
        assert_eq!(
            of("runtime.scaled_to_zero", "spec.replicas", "3", "0"),
            Some(0)
        );
        assert_eq!(
            of("runtime.scaled_to_zero", "spec.replicas", "3", "1"),
            None
        );
        let quota = change("ResourceQuota", Verb::Changed);
        let hard = |old: &str, new: &str| {
            let field = field("spec.hard[\"requests.cpu\"]", old, new);
            explains("admission.quota_cpu", &quota, Some(&field))
        };
        assert_eq!((hard("8", "1"), hard("1", "8")), (Some(0), None));
    }

    #[test]
    fn what_a_fault_does_not_read_explains_nothing() {
        let service = change("Service", Verb::Changed);
        let selector = field("spec.selector.app", "a", "b");
        assert_eq!(
            explains("service.selector_mismatch", &service, Some(&selector)),
            Some(0)
        );
        assert_eq!(
            explains("runtime.oom_killed", &service, Some(&selector)),
            None
        );
        let label = field("metadata.labels.data", "a", "b");
        let config = change("ConfigMap", Verb::Changed);
        assert_eq!(explains("config.key_missing", &config, Some(&label)), None);
        let level = field("data.LOG_LEVEL", "info", "debug");
        assert_eq!(
            explains("runtime.crash_on_start", &config, Some(&level)),
            None
        );
        let gone = change("Secret", Verb::Deleted);
        assert_eq!(explains("config.secret_missing", &gone, None), Some(0));
        assert_eq!(explains("service.selector_mismatch", &gone, None), None);
    }
}
