//! Partial input is the normal case: part of an incident leads to the same component as all of it.

use kgrca_core::analyze::{self, Options};
use kgrca_core::lab::eval;
use kgrca_core::model::Time;
use kgrca_core::rca::MAX_CAUSES;
use kgrca_tests::repository;
use serde_json::Value;

/// What is left of a scenario.
#[derive(Clone, Copy, Debug)]
enum Fragment {
    /// Events and nothing else.
    Events,
    /// Log lines and nothing else.
    Logs,
    /// Pods that name no owner, with events.
    BarePods,
    /// Everything but events.
    State,
}

impl Fragment {
    /// The line as it stands in the fragment; `None` when it is left out.
    fn keep(self, mut line: Value) -> Option<Value> {
        let topic = line["topic"].as_str()?.to_owned();
        let is_pod = line["value"]["kind"] == "Pod";
        let keeps = match self {
            _ if matches!(topic.as_str(), "case" | "label") => true,
            Self::Events => topic == "events.normalized",
            Self::Logs => topic == "logs.normalized",
            Self::BarePods => {
                topic == "events.normalized" || (topic == "state.k8s.resource" && is_pod)
            }
            Self::State => topic != "events.normalized",
        };
        if matches!(self, Self::BarePods) {
            line["value"].as_object_mut()?.remove("ownerRefs");
        }
        keeps.then_some(line)
    }
}

fn leads_to_the_same(fragment: Fragment, cases: &[&str]) {
    let options = Options {
        top: MAX_CAUSES,
        now: Time(1_900_000_000_000_000),
        ..Options::default()
    };
    let mut wrong = Vec::new();
    for case in cases {
        let text = std::fs::read_to_string(
            repository()
                .join("tests/scenarios")
                .join(format!("{case}.jsonl")),
        )
        .unwrap();
        let lines = text
            .lines()
            .filter_map(|l| fragment.keep(serde_json::from_str(l).unwrap()));
        let part = lines.map(|l| l.to_string()).collect::<Vec<_>>().join("\n");
        let label = eval::label(part.as_bytes(), &std::collections::BTreeMap::new()).unwrap();
        let outcome = eval::judge(
            case,
            &label,
            &analyze::analyze(case, part.as_bytes(), &options),
        );
        if outcome.component_at[0] < 1.0 {
            wrong.push(format!(
                "{case}: said {:?}, expected {:?}",
                outcome.said, outcome.expected
            ));
        }
    }
    assert!(wrong.is_empty(), "{fragment:?} alone: {wrong:#?}");
}

#[test]
fn events_alone_lead_to_the_same_component() {
    leads_to_the_same(
        Fragment::Events,
        &[
            "admission/limit-range",
            "admission/quota-cpu",
            "admission/webhook-denied",
            "config/secret-missing-env",
            "config/security-context-denied",
            "config/command-not-found",
            "image/pull-unauthorized",
            "image/registry-rate-limited",
            "runtime/crash-on-start-panic",
            "runtime/hook-failed-paywall",
            "runtime/liveness-too-strict-ledger",
            "runtime/evicted-render-worker",
            "scheduling/cpu-insufficient",
            "scheduling/pod-anti-affinity-conflict",
            "scheduling/preempted",
            "storage/multi-attach",
            "storage/attach-failed",
            "controlplane/scheduler-down",
            "node/rebooted-museum",
        ],
    );
}

#[test]
fn pods_without_owners_lead_to_the_same_component() {
    leads_to_the_same(
        Fragment::BarePods,
        &[
            "config/configmap-missing",
            "config/key-missing",
            "image/reference-wrong-tag",
            "runtime/oom-killed-thumbnailer",
            "runtime/oom-killed-statefulset",
            "runtime/readiness-wrong-port",
            "runtime/liveness-wrong-port",
            "runtime/port-conflict-berth-api",
            "runtime/probe-command-vitals",
            "scheduling/taint-not-tolerated",
            "storage/volume-full",
            "storage/claim-missing",
        ],
    );
}

#[test]
fn logs_alone_lead_to_the_same_component() {
    leads_to_the_same(
        Fragment::Logs,
        &[
            "dependency/credentials-rejected-rabbitmq",
            "dependency/down-external-database",
            "dependency/slow-grid-store",
            "admission/rbac-forbidden",
            "service/certificate-invalid-identity",
            "storage/read-only-filesystem",
        ],
    );
}

#[test]
fn state_without_events_leads_to_the_same_component() {
    leads_to_the_same(
        Fragment::State,
        &[
            "scheduling/taint-not-tolerated",
            "scheduling/node-selector-mismatch",
            "scheduling/node-affinity-mismatch",
            "scheduling/cpu-insufficient",
            "runtime/readiness-wrong-port",
            "runtime/readiness-http-to-grpc",
            "config/key-missing",
            "service/selector-mismatch-typo",
            "service/port-mismatch",
            "image/pull-unauthorized",
            "runtime/oom-killed-thumbnailer",
            "admission/quota-cpu",
        ],
    );
}
