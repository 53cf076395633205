//! Masking alone on one core: log lines and objects as ingestion gets them.

use std::time::Instant;

use kgrca_core::model::{Time, Topic};
use kgrca_core::parse::mask::{self, HashKey};
use kgrca_tests::simulate::{Cluster, Size};
use serde_json::json;

use crate::figure;

const START: Time = Time(1_767_225_700_000_000);
const RECORDS: usize = 200_000;

/// Lines as applications write them; one in a hundred has something to mask.
fn logs() -> Vec<Vec<u8>> {
    let lines = [
        "GET /api/v1/orders/8123 200 12ms request_id=7f3c2a",
        "connection to postgres://shop-db:5432/orders established after 3 retries",
        "java.lang.IllegalStateException: cart is locked at com.shop.Cart.add(Cart.java:88)",
        "level=warn msg=\"slow query\" duration=1.82s table=order_items rows=18234",
        "reconciling Deployment shop/web: 3 of 5 replicas are available",
    ];
    let secret = "login failed: user=kim password=hunter2-not-real token rejected";
    let line = |i: usize| {
        let message = if i % 100 == 99 {
            secret
        } else {
            lines[i % lines.len()]
        };
        let record = json!({
            "event_time": "2026-01-01T00:00:00Z", "cluster": "prod", "severity": "ERROR",
            "pod_namespace": "shop", "pod_name": format!("web-{}", i % 500), "container": "app",
            "message": format!("{message} #{i}"),
        });
        record.to_string().into_bytes()
    };
    (0..RECORDS).map(line).collect()
}

fn measure(name: &str, topic: Topic, records: &[Vec<u8>]) {
    let key = HashKey::new(b"secret of one tenant");
    let bytes: usize = records.iter().map(Vec::len).sum();
    for _ in 0..3 {
        let started = Instant::now();
        let masked: usize = records
            .iter()
            .map(|record| mask::hashed_record(topic, record, &key).len())
            .sum();
        let seconds = started.elapsed().as_secs_f64();
        assert!(masked > 0);
        figure(name, bytes as f64 / seconds / 1e6, "MB/s");
        let name = format!("{name}_records");
        figure(&name, records.len() as f64 / seconds, "records/s");
    }
}

pub(crate) fn masking() {
    measure("masking_logs", Topic::Logs, &logs());
    let mut cluster = Cluster::new(Size::USUAL, 7, START);
    let objects: Vec<Vec<u8>> = cluster
        .listing()
        .filter(|(topic, _)| *topic == Topic::Resource)
        .map(|(_, bytes)| bytes)
        .collect();
    measure("masking_objects", Topic::Resource, &objects);
}
