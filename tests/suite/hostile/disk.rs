//! A disk that is almost full: whoever sends most is refused first, and not all.

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

/// How much more the reserve is than what is free decides who is refused; other processes write to
/// the same disk, so both cases leave them much room.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_the_reserve_is_shared_and_the_last_part_is_for_the_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let reserve = (2 * free_mib(folder.path())).to_string();
    let server = Server::start(folder.path(), &["--disk-reserve-mib", &reserve]);
    let tenant = server.tenant("Acme", "pro").await;
    assert_eq!(send(&server, &tenant, 1 << 20).await.0, 202, "its part");
    server.settled(&tenant, 1).await;
    server.kill();

    let reserve = (8 * free_mib(folder.path())).to_string();
    let server = Server::start(folder.path(), &["--disk-reserve-mib", &reserve]);
    let (status, text) = send(&server, &tenant, 1 << 10).await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("disk is almost full"), "{text}");
    let rejected = server
        .call(
            Method::POST,
            "/api/v1/ingest/logs",
            Some(&tenant.key),
            Some(b"no record".to_vec()),
        )
        .await;
    assert_eq!(rejected.status(), 503, "dead letters are stored, too");
    server.tenant("New", "free").await;
}
