//! Every parser on damaged and generated input: no panic, nothing accepted in part.

use kgrca_core::model::{Time, Topic};
use kgrca_core::parse::{self, Context, mask};
use kgrca_tests::{repository, soak};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const SEEDS: [&str; 3] = [
    "runtime/oom-killed-thumbnailer.jsonl",
    "node/network-loss.jsonl",
    "storage/selector-mismatch.jsonl",
];

fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for name in SEEDS {
        let text =
            std::fs::read_to_string(repository().join("tests/scenarios").join(name)).unwrap();
        for line in text.lines().filter(|l| l.len() < 6000).step_by(5) {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            all.push(value["value"].to_string().into_bytes());
        }
    }
    all
}

fn try_all(bytes: &[u8]) {
    let context = Context {
        received_at: Time(1_900_000_000_000_000),
        cluster: Some("prod"),
        client_id: Some("client-a-abc123"),
    };
    for topic in Topic::ALL {
        let mut out = Vec::new();
        let result = parse::parse(topic, bytes, &context, &mut out);
        assert!(
            result.is_ok() || out.is_empty(),
            "a reject leaves nothing behind"
        );
        let _ = mask::record(topic, bytes);
    }
    let (mut out, mut rejects) = (Vec::new(), Vec::new());
    let _ = parse::parse_any(bytes, &context, &mut out, &mut rejects);
}

/// Inputs per run: 8 parsers see each. The soak makes ten million in all.
fn rounds() -> u32 {
    if soak() { 1_250_000 } else { 2_000 }
}

#[test]
fn only_damaged_records_are_rejected() {
    let seeds = seeds();
    let damage = (
        0..seeds.len(),
        proptest::collection::vec(
            (any::<proptest::sample::Index>(), any::<u8>(), 0_u8..4),
            1..6,
        ),
    );
    let mut runner = TestRunner::new(Config {
        cases: rounds(),
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&damage, |(which, changes)| {
        let mut bytes = seeds[which].clone();
        for (place, byte, kind) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at),
                2 => bytes.insert(at, byte),
                _ => {
                    let part = bytes[at..(at + 40).min(bytes.len())].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
        try_all(&bytes);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn hostile_shapes_are_rejected() {
    try_all("[".repeat(100_000).as_bytes());
    try_all(format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100)).as_bytes());
    try_all(&[0xff, 0xfe, 0x00]);
    try_all(&vec![b' '; 2 << 20]);
    try_all(
        br#"{"kind":"Pod","metadata":{"name":"x"},
            "spec":{"containers":[{"resources":{"requests":{"cpu":"1e999999999"}}}]}}"#,
    );
}
