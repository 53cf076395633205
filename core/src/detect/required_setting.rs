//! A setting with a value that a program rejects: found in the arguments of the server that it
//! calls, or in its own.

use std::collections::BTreeSet;

use super::caller_errors::called;
use super::finding::{Finding, Strength};
use super::protocol::edit;
use super::service::pods_behind;
use super::text::{has, short};
use super::{ComponentId, FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::Severity;
use crate::model::object::PodSpec;

/// Words by which a program says that a setting has to be another one.
const REQUIRES: [&str; 10] = [
    "must be",
    "has to be",
    "needs to be",
    "should be set to",
    "requires",
    "required to be",
    "is not enabled",
    "is disabled",
    "is too low",
    "is too small",
];

/// Reports the workload whose arguments have a setting that a line calls wrong.
pub(super) fn wrong(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut seen: BTreeSet<(ComponentId, ComponentId)> = BTreeSet::new();
    for (writer, log) in &view.episodes.logs {
        let is_meant = log.severity >= Severity::Error
            && has(&log.sample, &REQUIRES)
            && view.is_current(*writer, log);
        if !is_meant {
            continue;
        }
        let found = holder(view, *writer, log);
        let own = view.component_id(*writer);
        let new = found.filter(|held| seen.insert((view.component_id(held.workload), own)));
        out.extend(new.map(|held| finding(view, *writer, log, &held)));
    }
}

/// A setting in the arguments of a workload.
struct Held<'a> {
    workload: Idx,
    key: &'a str,
    value: &'a str,
}

/// Who holds a setting that a line names: the writer, a server that it calls, or one beside it.
fn holder<'a>(view: &View<'a>, writer: Idx, log: &LogTemplate) -> Option<Held<'a>> {
    let own = view.top_owner(writer);
    let servers = called(view, writer).into_iter();
    let servers = servers.filter_map(|service| {
        let pod = *pods_behind(view, service).first()?;
        Some(view.top_owner(pod))
    });
    let namespace = view.graph.get(own).namespace();
    let beside = view.graph.workloads(namespace).filter(|w| view.exists(*w));
    let beside = beside.filter(|w| view.top_owner(*w) == *w);
    let all = std::iter::once(own).chain(servers).chain(beside);
    all.into_iter().find_map(|workload| {
        let held = settings(view.pod_spec(workload)?).into_iter();
        let mut held = held.filter(|(key, _)| key.contains('_') && names(&log.sample, key));
        // Another program may have a setting of the same name, so the value has to match, too.
        let found = held.find(|(_, value)| workload == own || names(&log.sample, value));
        found.map(|(key, value)| Held {
            workload,
            key,
            value,
        })
    })
}

/// The settings in the arguments of a pod: `-c key=value`, `--key=value`.
fn settings(spec: &PodSpec) -> Vec<(&str, &str)> {
    let containers = spec.containers.iter();
    let words = containers.flat_map(|c| c.command.iter().chain(c.args.iter()));
    let pairs = words.filter_map(|word| word.trim_start_matches('-').split_once('='));
    pairs
        .filter(|(key, value)| !key.contains(char::is_whitespace) && !value.is_empty())
        .collect()
}

/// Whether a text has a name as a word.
fn names(text: &str, name: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
        .any(|word| word.eq_ignore_ascii_case(name))
}

fn finding(view: &View<'_>, writer: Idx, log: &LogTemplate, held: &Held<'_>) -> Finding {
    let Held {
        workload,
        key,
        value,
    } = held;
    let message = format!(
        "{} runs with `{key}={value}`, and {} needs another value: {}",
        view.title(*workload),
        view.title(view.top_owner(writer)),
        short(&log.sample, 200)
    );
    view.finding(
        FaultId::ConfigArgumentsInvalid,
        *workload,
        writer,
        Strength::Proof,
    )
    .active(true)
    .message(message)
    .with([
        view.state_evidence(*workload, format!("arguments have `{key}={value}`")),
        view.log_evidence(writer, log),
    ])
    .fix(edit(view, *workload))
    .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::Container;

    #[test]
    fn settings_are_pairs_of_arguments() {
        let container = Container {
            args: ["-c", "wal_level=replica", "--binlog_format=ROW", "--debug"]
                .map(Into::into)
                .into_iter()
                .collect(),
            ..Container::default()
        };
        let spec = PodSpec {
            containers: [container].into_iter().collect(),
            ..PodSpec::default()
        };
        let wanted = [("wal_level", "replica"), ("binlog_format", "ROW")];
        assert_eq!(settings(&spec), wanted);
    }

    #[test]
    fn a_setting_is_named_as_a_word() {
        let line = "server wal_level property must be 'logical' but is: 'replica'";
        assert!(names(line, "wal_level") && names(line, "replica"));
        assert!(!names("the max_wal_level_size must be 3", "wal_level"));
    }
}
