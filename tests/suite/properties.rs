//! Order, batches, duplicates and replays do not change the answer.

use kgrca_core::detect::Catalogue;
use kgrca_core::engine::{Applied, ClusterState};
use kgrca_core::model::{Kind, Record, Time, Topic};
use kgrca_core::parse::{self, Context};
use kgrca_core::rca::Weights;
use kgrca_tests::repository;
use proptest::prelude::*;
use serde_json::json;

/// The records of a scenario by topic.
fn streams(name: &str) -> Vec<Vec<Record>> {
    let text = std::fs::read_to_string(repository().join("tests/scenarios").join(name)).unwrap();
    let mut by_topic: std::collections::BTreeMap<Topic, Vec<Record>> =
        std::collections::BTreeMap::new();
    let context = Context {
        received_at: Time(1_900_000_000_000_000),
        cluster: Some("prod"),
        client_id: None,
    };
    for line in text.lines() {
        let (mut records, mut rejects) = (Vec::new(), Vec::new());
        if let Ok(Some(topic)) =
            parse::parse_any(line.as_bytes(), &context, &mut records, &mut rejects)
        {
            // State without a time belongs to the listing's end.
            records.retain(|r| r.at != context.received_at);
            by_topic.entry(topic).or_default().extend(records);
        }
    }
    by_topic.into_values().collect()
}

/// Interleaves streams, each in its own order.
fn interleave(streams: &[Vec<Record>], choices: &[usize]) -> Vec<Record> {
    let mut at = vec![0; streams.len()];
    let mut out = Vec::new();
    let total: usize = streams.iter().map(Vec::len).sum();
    let mut turn = 0;
    while out.len() < total {
        let open: Vec<usize> = (0..streams.len())
            .filter(|s| at[*s] < streams[*s].len())
            .collect();
        let pick = open[choices[turn % choices.len()] % open.len()];
        turn += 1;
        out.push(streams[pick][at[pick]].clone());
        at[pick] += 1;
    }
    out
}

fn said(records: &[Record], evaluate_each: usize) -> (Vec<(String, String)>, u64) {
    let (weights, catalogue) = (Weights::shipped(), Catalogue::shipped());
    let mut state = ClusterState::new("prod");
    let mut applied = 0;
    for (i, record) in records.iter().enumerate() {
        applied += u64::from(state.apply(record.clone()) == Applied::Applied);
        if evaluate_each > 0 && i % evaluate_each == evaluate_each - 1 {
            state.evaluate(state.watermark, &weights, &catalogue);
        }
    }
    let evaluation = state.evaluate(state.watermark, &weights, &catalogue);
    let mut causes: Vec<_> = evaluation
        .ranked
        .iter()
        .filter_map(|r| r.causal.first())
        .map(|c| (c.component.clone(), c.fault_type.clone()))
        .collect();
    causes.sort();
    (causes, applied)
}

const SCENARIOS: [&str; 4] = [
    "runtime/oom-killed-thumbnailer.jsonl",
    "scheduling/taint-not-tolerated.jsonl",
    "image/reference-wrong-tag.jsonl",
    "service/port-mismatch.jsonl",
];

fn several(name: &str) -> Vec<Vec<Record>> {
    let all = streams(name);
    assert!(all.len() > 1, "{name} has streams to interleave");
    all
}

/// What is said when the state goes through a snapshot after so many records.
fn said_after_snapshot(records: &[Record], at: usize) -> (Vec<(String, String)>, Vec<u8>) {
    let mut state = ClusterState::new("prod");
    for record in &records[..at] {
        state.apply(record.clone());
    }
    let saved = state.save();
    let bytes = state.snapshot().unwrap();
    let mut state = ClusterState::from_snapshot(&bytes).unwrap();
    state.restore(&saved).unwrap();
    assert_eq!(
        state.snapshot().unwrap(),
        bytes,
        "what was read is written as it was"
    );
    for record in &records[at..] {
        state.apply(record.clone());
    }
    let evaluation = state.evaluate(state.watermark, &Weights::shipped(), &Catalogue::shipped());
    let mut causes: Vec<_> = evaluation
        .ranked
        .iter()
        .filter_map(|r| r.causal.first())
        .map(|c| (c.component.clone(), c.fault_type.clone()))
        .collect();
    causes.sort();
    (causes, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_snapshot_changes_nothing(
        which in 0..SCENARIOS.len(),
        part in 0_usize..=100,
        cut in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let all: Vec<Record> = several(SCENARIOS[which]).into_iter().flatten().collect();
        let (causes, bytes) = said_after_snapshot(&all, all.len() * part / 100);
        prop_assert_eq!(causes, said(&all, 0).0);
        let truncated = &bytes[..cut.index(bytes.len())];
        prop_assert!(ClusterState::from_snapshot(truncated).is_err(), "truncated");
        let mut damaged = bytes;
        let at = cut.index(damaged.len());
        damaged[at] = byte;
        // Refused or read as something else, but never a panic: the file's checksum is there for
        // the rest.
        let _ = ClusterState::from_snapshot(&damaged);
    }

    #[test]
    fn interleavings_and_batches_end_alike(
        which in 0..SCENARIOS.len(),
        choices in proptest::collection::vec(0_usize..8, 1..60),
        each in 0_usize..40,
    ) {
        let all = several(SCENARIOS[which]);
        let straight: Vec<Record> = all.iter().flatten().cloned().collect();
        let (causes, _) = said(&straight, 0);
        prop_assert!(!causes.is_empty());
        let (shuffled, _) = said(&interleave(&all, &choices), if each < 10 { 0 } else { each });
        prop_assert_eq!(shuffled, causes);
    }

    #[test]
    fn a_replay_changes_nothing(which in 0..SCENARIOS.len()) {
        let all = several(SCENARIOS[which]);
        let once: Vec<Record> = all.iter().flatten().cloned().collect();
        let twice: Vec<Record> = once.iter().chain(&once).cloned().collect();
        prop_assert_eq!(said(&once, 0).0, said(&twice, 0).0);
    }
}

/// Names of the pods that are still open after these records.
fn living_pods(lines: &[(Topic, String)]) -> Vec<String> {
    let mut state = ClusterState::new("prod");
    let context = Context {
        received_at: Time(1_900_000_000_000_000),
        ..Context::default()
    };
    for (topic, line) in lines {
        let mut records = Vec::new();
        parse::parse(*topic, line.as_bytes(), &context, &mut records).unwrap();
        for record in &records {
            state.apply(record.clone());
        }
    }
    state.evaluate(state.watermark, &Weights::shipped(), &Catalogue::shipped());
    let living = state
        .graph
        .iter()
        .filter(|(_, r)| r.closed.is_none() && r.kind() == &Kind::Pod);
    living.map(|(_, r)| r.name().to_owned()).collect()
}

fn pod(name: &str, at: &str) -> (Topic, String) {
    let record = json!({
        "op": "UPSERT", "at": format!("2026-01-01T00:{at}Z"), "cluster": "prod", "kind": "Pod",
        "uid": name, "namespace": "shop", "name": name,
    });
    (Topic::Resource, record.to_string())
}

fn end_of_listing(at: &str, since: Option<&str>) -> (Topic, String) {
    let mut record = json!({
        "op": "SYNC", "at": format!("2026-01-01T00:{at}Z"), "cluster": "prod", "kind": "Pod",
        "sync_id": "1",
    });
    if let Some(since) = since {
        record["since"] = format!("2026-01-01T00:{since}Z").into();
    }
    (Topic::Resource, record.to_string())
}

fn event(pod: &str, at: &str) -> (Topic, String) {
    let record = json!({
        "event_id": format!("e-{pod}"), "event_time": format!("2026-01-01T00:{at}Z"),
        "cluster": "prod", "reason": "Scheduled", "severity": "NORMAL", "message": "assigned",
        "subject": {"kind": "Pod", "uid": pod, "ns": "shop", "name": pod},
    });
    (Topic::Events, record.to_string())
}

#[test]
fn a_listing_closes_what_vanished() {
    let first = [
        pod("a", "00:00"),
        pod("b", "00:00"),
        end_of_listing("00:01", None),
    ];
    let second = [pod("b", "10:00"), end_of_listing("10:01", None)];
    assert_eq!(living_pods(&[&first[..], &second].concat()), ["b"]);
    // A pod that appeared and vanished between two listings: `since` is when the listing began.
    let second = [
        pod("c", "05:00"),
        pod("b", "10:00"),
        end_of_listing("10:01", Some("10:00")),
    ];
    assert_eq!(living_pods(&[&first[..], &second].concat()), ["b"]);
}

#[test]
fn a_pod_only_mentioned_before_a_listing_without_it_is_closed() {
    let listing = [pod("b", "10:00"), end_of_listing("10:01", Some("10:00"))];
    assert_eq!(
        living_pods(&[&listing[..], &[event("gone", "09:59")]].concat()),
        ["b"]
    );
    // Mentioned since then: its state may still arrive.
    assert_eq!(
        living_pods(&[&listing[..], &[event("new", "10:02")]].concat()),
        ["b", "new"]
    );
    // Only its deletion was received.
    let (_, gone) = pod("brief", "10:03");
    let gone = (Topic::Resource, gone.replace("UPSERT", "DELETE"));
    assert_eq!(
        living_pods(&[&listing[..], &[gone, event("brief", "10:03")]].concat()),
        ["b"]
    );
    // Without a listing there is nothing to close it.
    assert_eq!(living_pods(&[event("old", "09:59")]), ["old"]);
}
