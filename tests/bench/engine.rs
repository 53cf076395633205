//! The engine alone on one core.

use std::time::Instant;

use kgrca_core::engine::ClusterState;
use kgrca_core::model::{Time, Topic};
use kgrca_core::parse::{self, Context};
use kgrca_tests::simulate::{Cluster, Size};

use crate::figure;

const START: Time = Time(1_767_225_700_000_000);
const LATER: Time = Time(1_900_000_000_000_000);

/// Decodes and applies records, looking at the cluster once per 20,000, as a busy worker does. Returns the seconds.
fn run(state: &mut ClusterState, records: &[(Topic, Vec<u8>)]) -> f64 {
    let context = Context { received_at: LATER, cluster: None, client_id: None };
    let started = Instant::now();
    let mut parsed = Vec::new();
    for chunk in records.chunks(20_000) {
        for (topic, bytes) in chunk {
            if parse::parse(*topic, bytes, &context, &mut parsed).is_ok() {
                for record in parsed.drain(..) {
                    state.apply(record);
                }
            }
        }
        state.evaluate(state.watermark);
    }
    started.elapsed().as_secs_f64()
}

pub(crate) fn engine() {
    for _ in 0..5 {
        let mut cluster = Cluster::new(Size::USUAL, 7, START);
        let mut state = ClusterState::new("prod");
        run(&mut state, &cluster.listing());
        let records: Vec<_> = (0..400_000).map(|_| cluster.next_record()).collect();
        let bytes: usize = records.iter().map(|(_, b)| b.len()).sum();
        let seconds = run(&mut state, &records);
        figure("engine", records.len() as f64 / seconds, "records/s");
        figure("engine_bytes", bytes as f64 / seconds / 1e6, "MB/s");
        figure("engine_record", bytes as f64 / records.len() as f64, "bytes");
    }
}

pub(crate) fn rca() {
    let mut cluster = Cluster::new(Size::USUAL, 7, START);
    let mut state = ClusterState::new("prod");
    run(&mut state, &cluster.listing());
    let records: Vec<_> = (0..100_000).map(|_| cluster.next_record()).collect();
    run(&mut state, &records);
    let mut times: Vec<f64> = (0..200)
        .map(|_| {
            let started = Instant::now();
            state.evaluate(state.watermark);
            started.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    figure("rca_p50", times[100], "ms");
    figure("rca_p95", times[190], "ms");
}

pub(crate) fn growth() {
    let mut costs = Vec::new();
    for workloads in [1_100, 110_000] {
        let mut cluster = Cluster::new(Size { nodes: 100, workloads, replicas: 6 }, 7, START);
        let mut state = ClusterState::new("prod");
        run(&mut state, &cluster.listing());
        let records: Vec<_> = (0..200_000).map(|_| cluster.next_record()).collect();
        let seconds = run(&mut state, &records);
        figure(&format!("growth_{}_resources", state.graph.live()), seconds / records.len() as f64 * 1e9, "ns/record");
        costs.push(seconds);
    }
    figure("growth", costs[1] / costs[0], "times");
}
