//! A disk that is almost full: whoever stores most is refused first, and not all.

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::{Method, StatusCode};
use serde_json::json;

/// The bytes that are free on the disk of a folder, in MiB.
fn free_mib(folder: &std::path::Path) -> u64 {
    let disk = rustix::fs::statvfs(folder).unwrap();
    (disk.f_bavail * disk.f_frsize) >> 20
}

/// Sends log lines of so many bytes in all.
async fn send(server: &Server, tenant: &Tenant, bytes: usize) -> (StatusCode, String) {
    let text = "all is well ".repeat(80);
    let lines = (0..bytes.div_ceil(text.len())).map(|i| {
        let line = json!({
            "event_time": jiff::Timestamp::now().to_string(), "cluster": "prod",
            "pod_namespace": "shop", "pod_name": "web-1", "message": format!("{i} {text}"),
        });
        line.to_string()
    });
    let body = lines.collect::<Vec<_>>().join("\n").into_bytes();
    let path = "/api/v1/ingest/logs";
    let response = server
        .call(Method::POST, path, Some(&tenant.key), Some(body))
        .await;
    (response.status(), response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stores_most_is_refused_first_on_a_disk_that_is_almost_full() {
    let folder = tempfile::tempdir().unwrap();
    // The test takes little of what is free: it stays between the reserve and its last part.
    let reserve = (2 * free_mib(folder.path())).to_string();
    let server = Server::start(folder.path(), &["--disk-reserve-mib", &reserve]);
    let (large, small) = (
        server.tenant("Large", "pro").await,
        server.tenant("Small", "pro").await,
    );
    assert_eq!(send(&server, &large, 3 << 20).await.0, 202);
    assert_eq!(send(&server, &small, 1 << 10).await.0, 202);
    let (status, text) = send(&server, &large, 1 << 10).await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("disk is almost full"), "{text}");
    assert_eq!(send(&server, &small, 1 << 10).await.0, 202);
    let delete = json!({"op": "DELETE", "at": jiff::Timestamp::now().to_string(), "cluster": "prod",
        "kind": "Pod", "uid": "u1", "namespace": "shop", "name": "web-1"});
    let answer = server
        .ingest(&large, "resources", delete.to_string().into_bytes())
        .await;
    assert_eq!(answer["accepted"], 1, "deletions are taken in: {answer}");
    server.kill();

    let reserve = (8 * free_mib(folder.path())).to_string();
    let server = Server::start(folder.path(), &["--disk-reserve-mib", &reserve]);
    let (status, text) = send(&server, &small, 1 << 10).await;
    assert_eq!(status, 503, "what is left is for the metadata: {text}");
    server.settled(&large, 1).await;
}
