//! A graph file with wrong bytes is found, set aside and rebuilt; no other tenant notices.

use std::path::Path;
use std::time::{Duration, Instant};

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::Method;
use serde_json::{Value, json};

use super::Watchdog;

async fn pods(server: &Server, tenant: &Tenant) -> Option<u64> {
    let body = json!({"query": "MATCH (n:Pod) RETURN count(*) AS n"}).to_string();
    let path = "/api/v1/query/cypher";
    let response = server
        .call(
            Method::POST,
            path,
            Some(&tenant.key),
            Some(body.into_bytes()),
        )
        .await;
    let answer: Value = response.json().await.ok()?;
    answer["rows"][0][0].as_u64()
}

async fn rebuilt(server: &Server, tenant: &Tenant, expected: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let count = pods(server, tenant).await;
        if count == Some(expected) {
            return;
        }
        assert!(Instant::now() < deadline, "{}: {count:?}", tenant.id);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn with_pods(server: &Server, name: &str, count: u64) -> Tenant {
    let tenant = server.tenant(name, "pro").await;
    let pods: Vec<Value> = (0..count)
        .map(|i| {
            json!({
                "op": "UPSERT", "at": "2026-01-01T00:00:00Z", "cluster": "prod", "kind": "Pod",
                "uid": format!("u-{i}"), "namespace": "shop", "name": format!("web-{i}"),
                "status": {"phase": "Running"},
            })
        })
        .collect();
    let body = json!(pods).to_string().into_bytes();
    server.ingest(&tenant, "resources", body).await;
    server.settled(&tenant, count).await;
    tenant
}

/// Changes bytes of a file: at a place, or at the beginning of each page.
fn flip(file: &Path, places: &[usize]) {
    let mut bytes = std::fs::read(file).unwrap();
    for place in places {
        let place = place % bytes.len();
        bytes[place] ^= 0x5a;
    }
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bytes_cost_at_most_a_rebuild() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    let hurt = with_pods(&server, "Hurt", 300).await;
    let other = with_pods(&server, "Other", 5).await;
    let victim = server.tenant("Victim", "pro").await;
    let file = folder.path().join(format!("graph/{}.mars", hurt.id));
    // The header, pages of trees, and anywhere: a fixed sequence of places.
    let anywhere = (1..12).map(|i: usize| vec![i.wrapping_mul(2_654_435_761) % 700_001]);
    let header = [5, 9, 12, 20, 64, 200, 321].map(|place| vec![place]);
    let pages = [(0..400).map(|page| page * 4096 + 8).collect::<Vec<_>>()];
    let zeros = [(4_096..60_000).collect::<Vec<_>>()];
    let mut damaged = 0;
    for places in anywhere.chain(header).chain(pages).chain(zeros) {
        assert!(server.terminate());
        flip(&file, &places);
        server = Server::start(folder.path(), &[]);
        let watchdog = Watchdog::start(&server, &victim).await;
        let started = Instant::now();
        assert_eq!(pods(&server, &other).await, Some(5), "{places:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{places:?}");
        rebuilt(&server, &hurt, 300).await;
        watchdog.check().await;
        let aside = std::fs::read_dir(folder.path().join("graph")).unwrap();
        let aside = aside.filter(|f| {
            let name = f.as_ref().unwrap().file_name();
            name.to_string_lossy().contains("damaged")
        });
        damaged = damaged.max(aside.count());
    }
    assert!(
        damaged > 1,
        "several were set aside, and none replaced another"
    );
}
