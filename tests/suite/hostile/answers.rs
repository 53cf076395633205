//! Answers with large rows: their pages end after some megabytes, and miss nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::Watchdog;
use super::stores::start;

/// The largest page: 4 MiB of rows with their last one, and what JSON adds.
const PAGE: usize = 6 << 20;

/// Follows a list to its end. Returns a field of all items, and the number of pages.
async fn follow(server: &Server, tenant: &Tenant, path: &str, field: &str) -> (Vec<String>, usize) {
    let (mut all, mut pages) = (Vec::new(), 0);
    let mut next = path.to_owned();
    loop {
        let response = server.call(Method::GET, &next, Some(&tenant.key), None);
        let response = response.await;
        assert_eq!(response.status(), 200, "{next}");
        let body = response.bytes().await.unwrap();
        assert!(body.len() < PAGE, "{next}: {} bytes", body.len());
        let page: Value = serde_json::from_slice(&body).unwrap();
        let items = page["items"].as_array().unwrap().iter();
        all.extend(items.map(|item| item.pointer(field).unwrap().to_string()));
        pages += 1;
        let Some(cursor) = page["next"].as_str() else {
            return (all, pages);
        };
        next = format!("{path}&cursor={}", cursor.replace('/', "%2F"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_large_rows_end_early_and_miss_nothing() {
    const PODS: usize = 300;
    const LOGS: usize = 1_500;
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let attacker = server.tenant("attacker", "enterprise").await;
    let victim = server.tenant("victim", "pro").await;
    let labels: serde_json::Map<_, _> = (0..500)
        .map(|n| (format!("label-{n}"), Value::from("x".repeat(60))))
        .collect();
    for part in 0..3 {
        let pods = (part * PODS / 3..(part + 1) * PODS / 3).map(|n| {
            json!({
                "op": "UPSERT", "at": "2026-01-01T00:00:00Z", "cluster": "prod", "kind": "Pod",
                "uid": format!("u-{n}"), "namespace": "shop", "name": format!("web-{n}"),
                "status": {"phase": "Running"}, "labels": labels,
            })
        });
        let pods = pods.collect::<Value>().to_string().into_bytes();
        server.ingest(&attacker, "resources", pods).await;
    }
    let logs = (0..LOGS).map(|n| {
        // Each is a pattern of its own: words differ, not only numbers.
        let word: String = format!("{n:04}")
            .bytes()
            .map(|digit| char::from(digit - b'0' + b'a'))
            .collect();
        json!({
            "cluster": "prod", "severity": "ERROR", "namespace": "shop",
            "pod": format!("web-{}", n % PODS), "message": format!("{word} {}", "y ".repeat(3_500)),
        })
    });
    let logs = logs.collect::<Value>().to_string().into_bytes();
    server.ingest(&attacker, "logs", logs).await;
    server.settled(&attacker, (PODS + LOGS) as u64).await;
    let watchdog = Watchdog::start(&server, &victim).await;
    let resources = "/api/v1/resources?kind=Pod&limit=1000";
    let (pods, pages) = follow(&server, &attacker, resources, "/name").await;
    assert!(pages >= 3, "{pages} pages");
    assert_eq!(pods.len(), PODS, "each pod once");
    assert_eq!(BTreeSet::from_iter(&pods).len(), PODS, "no pod twice");
    let timeline = "/api/v1/graph/timeline?kind=log&limit=1000";
    let (episodes, pages) = follow(&server, &attacker, timeline, "/id").await;
    assert!(pages >= 3, "{pages} pages");
    let distinct = BTreeSet::from_iter(&episodes).len();
    assert_eq!(distinct, episodes.len(), "no episode twice");
    assert!(distinct >= LOGS / 2, "{distinct} of {LOGS}");
    // Many at the same time, which is what a browser with many tabs does.
    let asked = (0..20).map(|_| {
        let request = server.http.get(format!("{}{resources}", server.url));
        tokio::spawn(request.header("x-api-key", &attacker.key).send())
    });
    for one in asked.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap().unwrap().status(), 200);
    }
    health_of_all(&server, &attacker).await;
    untaken(&server, &attacker, resources).await;
    watchdog.check().await;
}

/// Asks for the health of pods, thirty at a time.
async fn health_of_all(server: &Server, attacker: &Tenant) {
    let mut answered = 0;
    for round in 0..20 {
        let asked = (0..30).map(|n| {
            let uid = format!("u-{}", (round * 30 + n) % 300);
            let url = format!("{}/api/v1/resources/{uid}/health", server.url);
            let request = server.http.get(url).header("x-api-key", &attacker.key);
            tokio::spawn(request.send())
        });
        for one in asked.collect::<Vec<_>>() {
            let status = one.await.unwrap().unwrap().status().as_u16();
            assert!([200, 429].contains(&status), "{status}");
            answered += usize::from(status == 200);
        }
    }
    assert!(answered > 300, "{answered}");
}

/// Asks for large answers on many connections and takes nothing of them.
async fn untaken(server: &Server, attacker: &Tenant, path: &str) {
    let address = server.url.strip_prefix("http://").unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\n\r\n",
        attacker.key
    );
    let mut open = Vec::new();
    let mut statuses = BTreeMap::new();
    for _ in 0..40 {
        let socket = TcpSocket::new_v4().unwrap();
        // Otherwise the kernel takes all of it.
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        let status = String::from_utf8_lossy(&start[9..]).into_owned();
        *statuses.entry(status).or_insert(0) += 1;
        open.push(stream);
    }
    let refused = statuses.get("429").copied().unwrap_or(0);
    assert!(refused > 10, "{statuses:?}");
    drop(open);
    let deadline = Instant::now() + Duration::from_secs(10);
    let ask = async || {
        server
            .call(Method::GET, path, Some(&attacker.key), None)
            .await
    };
    while ask().await.status() != 200 {
        assert!(
            Instant::now() < deadline,
            "what is not taken is not given back"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
