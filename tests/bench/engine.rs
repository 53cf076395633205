//! The engine alone on one core.

use std::time::Instant;

use kgrca_core::detect::Catalogue;
use kgrca_core::engine::ClusterState;
use kgrca_core::model::{Time, Topic};
use kgrca_core::parse::{self, Context};
use kgrca_core::rca::Weights;
use kgrca_tests::faults;
use kgrca_tests::simulate::{Cluster, Size};

use crate::figure;

const START: Time = Time(1_767_225_700_000_000);
const LATER: Time = Time(1_900_000_000_000_000);

/// How many records a busy worker applies before it evaluates the cluster.
const LOOK: usize = 20_000;

/// Decodes and applies records, looking at the cluster now and then. Returns the seconds.
fn run<B: AsRef<[u8]>>(state: &mut ClusterState, records: impl Iterator<Item = (Topic, B)>) -> f64 {
    let context = Context {
        received_at: LATER,
        cluster: None,
        client_id: None,
    };
    let (weights, catalogue) = (Weights::shipped(), Catalogue::shipped());
    let started = Instant::now();
    let mut parsed = Vec::new();
    for (i, (topic, bytes)) in records.enumerate() {
        if parse::parse(topic, bytes.as_ref(), &context, &mut parsed).is_ok() {
            for record in parsed.drain(..) {
                state.apply(record);
            }
        }
        if i % LOOK == LOOK - 1 {
            state.evaluate(state.watermark, &weights, &catalogue);
        }
    }
    state.evaluate(state.watermark, &weights, &catalogue);
    started.elapsed().as_secs_f64()
}

/// Records that exist before the clock starts: the stream with the faults of the library coming up
/// in it one by one.
fn made(cluster: &mut Cluster, count: usize) -> Vec<(Topic, Vec<u8>)> {
    let mut faults = faults::records(START);
    let every = count / faults.len();
    (0..count)
        .map(|i| match faults.pop_front() {
            Some(record) if i % every == 0 => record,
            Some(record) => {
                faults.push_front(record);
                cluster.next_record()
            }
            None => cluster.next_record(),
        })
        .collect()
}

fn given(records: &[(Topic, Vec<u8>)]) -> impl Iterator<Item = (Topic, &[u8])> {
    records
        .iter()
        .map(|(topic, bytes)| (*topic, bytes.as_slice()))
}

pub(crate) fn engine() {
    for (name, size) in [("engine", Size::USUAL), ("engine_storm", Size::STORM)] {
        for _ in 0..5 {
            let (_, records, seconds) = filled(size, 400_000);
            let bytes: usize = records.iter().map(|(_, b)| b.len()).sum();
            figure(name, records.len() as f64 / seconds, "records/s");
            figure(
                &format!("{name}_bytes"),
                bytes as f64 / seconds / 1e6,
                "MB/s",
            );
            figure(
                &format!("{name}_record"),
                bytes as f64 / records.len() as f64,
                "bytes",
            );
        }
    }
}

/// A cluster after its listing and that many records, and the seconds the records took.
fn filled(size: Size, count: usize) -> (ClusterState, Vec<(Topic, Vec<u8>)>, f64) {
    let mut cluster = Cluster::new(size, 7, START);
    let mut state = ClusterState::new("prod");
    run(&mut state, cluster.listing());
    let records = made(&mut cluster, count);
    let seconds = run(&mut state, given(&records));
    (state, records, seconds)
}

pub(crate) fn rca() {
    for (name, size) in [("rca", Size::USUAL), ("rca_storm", Size::STORM)] {
        let (mut state, ..) = filled(size, 100_000);
        let (weights, catalogue) = (Weights::shipped(), Catalogue::shipped());
        let mut incidents = 0;
        let mut times: Vec<f64> = (0..200)
            .map(|_| {
                let started = Instant::now();
                incidents = state
                    .evaluate(state.watermark, &weights, &catalogue)
                    .ranked
                    .len();
                started.elapsed().as_secs_f64() * 1000.0
            })
            .collect();
        times.sort_by(f64::total_cmp);
        figure(&format!("{name}_p50"), times[100], "ms");
        figure(&format!("{name}_p95"), times[190], "ms");
        figure(&format!("{name}_incidents"), incidents as f64, "incidents");
    }
}

pub(crate) fn growth() {
    let mut costs = Vec::new();
    for workloads in [1_100, 110_000] {
        let (state, records, seconds) = filled(
            Size {
                nodes: workloads / 16,
                workloads,
                ..Size::USUAL
            },
            200_000,
        );
        figure(
            &format!("growth_{}_resources", state.graph.live()),
            seconds / records.len() as f64 * 1e9,
            "ns/record",
        );
        costs.push(seconds);
    }
    figure("growth", costs[1] / costs[0], "times");
}
