//! What is acknowledged can be read back, and damage to one tenant's log stays with that tenant.

use std::path::{Path, PathBuf};

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use serde_json::{Value, json};

use super::Watchdog;

fn event(i: usize) -> String {
    let at = jiff::Timestamp::now();
    let record = json!({
        "event_id": format!("e{i}"), "event_time": at.to_string(), "cluster": "prod",
        "severity": "INFO", "reason": "Started", "message": "Started container",
        "subject": {"kind": "Pod", "ns": "shop", "name": format!("web-{i}")},
    });
    format!("{record}\n")
}

async fn send_events(server: &Server, tenant: &Tenant, numbers: std::ops::Range<usize>) {
    for i in numbers {
        server.ingest(tenant, "events", event(i).into_bytes()).await;
    }
}

/// The segments of a tenant's events that have records.
fn segments(folder: &Path, tenant: &Tenant) -> Vec<PathBuf> {
    let events = folder
        .join("log")
        .join(&tenant.id)
        .join("events.normalized");
    let mut found = Vec::new();
    for partition in std::fs::read_dir(events).unwrap() {
        for file in std::fs::read_dir(partition.unwrap().path()).unwrap() {
            let file = file.unwrap();
            let is_segment = file.path().extension().is_some_and(|e| e == "seg");
            if is_segment && file.metadata().unwrap().len() > 0 {
                found.push(file.path());
            }
        }
    }
    found
}

async fn damage_check(server: &Server, tenant: &Tenant) -> Option<Value> {
    let checks = server.get("/api/v1/admin/checks", &server.operator).await;
    let what = format!("log of tenant {}", tenant.id);
    let mut all = checks["items"].as_array().unwrap().iter();
    all.find(|check| check["what"] == what.as_str()).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_costs_one_record_of_one_tenant_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    // Without a worker: the records wait in the log.
    let server = Server::start(folder.path(), &["--roles", "api"]);
    let (a, b) = (
        server.tenant("A", "pro").await,
        server.tenant("B", "pro").await,
    );
    let victim = server.tenant("Victim", "pro").await;
    send_events(&server, &a, 0..10).await;
    send_events(&server, &b, 0..10).await;
    assert!(server.terminate());
    let segment = segments(folder.path(), &a).remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    for _ in 0..2 {
        let server = Server::start(folder.path(), &[]);
        let watchdog = Watchdog::start(&server, &victim).await;
        let stats = server.settled(&a, 10).await;
        let records = &stats["records"];
        assert_eq!(
            (&records["applied"], &records["lost"]),
            (&json!(9), &json!(1)),
            "{stats}"
        );
        let stats = server.settled(&b, 10).await;
        assert_eq!(stats["records"]["applied"], 10, "{stats}");
        let check = damage_check(&server, &a).await.unwrap();
        assert_eq!(check["ok"], false);
        assert!(
            check["found"].as_str().unwrap().contains("1 file with ")
                && check["found"]
                    .as_str()
                    .unwrap()
                    .contains(", 1 record missing"),
            "{check}"
        );
        assert!(damage_check(&server, &b).await.is_none());
        watchdog.check().await;
        assert!(server.terminate());
    }
    let log = std::fs::read_to_string(folder.path().join("daemon.log")).unwrap();
    assert!(
        log.contains("records were lost to damage in the log"),
        "{log}"
    );
    let server = Server::start(folder.path(), &[]);
    send_events(&server, &a, 10..13).await;
    server.settled(&a, 13).await;
}

/// What is missing is said to be damaged, with its place, wherever the log is read again.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named_in_recounts_and_exports() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (a, b) = (
        server.tenant("A", "pro").await,
        server.tenant("B", "pro").await,
    );
    for tenant in [&a, &b] {
        send_events(&server, tenant, 0..10).await;
        server.settled(tenant, 10).await;
    }
    assert!(server.terminate());
    let segment = segments(folder.path(), &a).remove(0);
    let partition = segment.parent().and_then(Path::file_name).unwrap();
    let partition: u32 = partition.to_str().unwrap().parse().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    // The first record: as if retention had removed it.
    bytes[20] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let server = Server::start(folder.path(), &[]);
    let recount = async |tenant: &Tenant| {
        let path = format!("/api/v1/admin/billing/{}/verify", tenant.id);
        let answer = server.get(&path, &server.operator).await;
        answer["items"][0].clone()
    };
    let place = json!([{
        "topic": "events.normalized", "partition": partition, "first": 0, "records": 1,
    }]);
    let day = recount(&a).await;
    assert_eq!(
        (&day["counted"], &day["in_log"]),
        (&json!(10), &json!(9)),
        "{day}"
    );
    assert_eq!(
        (&day["agrees"], &day["damaged"]),
        (&json!(null), &place),
        "{day}"
    );
    let day = recount(&b).await;
    assert_eq!(
        (&day["agrees"], &day["damaged"]),
        (&json!(true), &json!(null)),
        "{day}"
    );
    for (tenant, code, lines) in [(&a, 10, 9), (&b, 0, 10)] {
        let out = folder.path().join(format!("export-{}", tenant.id));
        let exported = std::process::Command::new(kgrca_tests::binary("kgrca"))
            .args(["tenant", "export", &tenant.id, "--out"])
            .arg(&out)
            .env("KGRCA_URL", &server.url)
            .env("KGRCA_OPERATOR_KEY", &server.operator)
            .env("HOME", folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&exported.stderr);
        assert_eq!(exported.status.code(), Some(code), "{text}");
        let records = std::fs::read_to_string(out.join("records.jsonl")).unwrap();
        assert_eq!(records.lines().count(), lines);
        let manifest = std::fs::read_to_string(out.join("manifest.json")).unwrap();
        let place = format!("1 record of events.normalized, partition {partition}, from offset 0");
        for shown in [&*text, &manifest] {
            assert_eq!(shown.contains(&place), code == 10, "{shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_opened_stops_its_tenant_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (a, b) = (
        server.tenant("A", "pro").await,
        server.tenant("B", "pro").await,
    );
    let victim = server.tenant("Victim", "pro").await;
    for tenant in [&a, &b] {
        send_events(&server, tenant, 0..3).await;
        server.settled(tenant, 3).await;
    }
    assert!(server.terminate());
    let segment = segments(folder.path(), &a).remove(0);
    let aside = folder.path().join("kept");
    std::fs::rename(&segment, &aside).unwrap();
    std::fs::create_dir(&segment).unwrap();
    let server = Server::start(folder.path(), &[]);
    let watchdog = Watchdog::start(&server, &victim).await;
    send_events(&server, &b, 3..6).await;
    server.settled(&b, 6).await;
    let response = server
        .call(
            reqwest::Method::POST,
            "/api/v1/ingest/events",
            Some(&a.key),
            Some(event(9).into_bytes()),
        )
        .await;
    assert_eq!(response.status(), 503);
    std::fs::remove_dir(&segment).unwrap();
    std::fs::rename(&aside, &segment).unwrap();
    send_events(&server, &a, 3..6).await;
    server.settled(&a, 6).await;
    watchdog.check().await;
}

#[tokio::test]
async fn logs_without_metadata_are_not_given_to_a_new_operator() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("A", "pro").await;
    send_events(&server, &tenant, 0..3).await;
    server.settled(&tenant, 3).await;
    assert!(server.terminate());
    let meta = folder.path().join("meta.db");
    let kept = tempfile::tempdir().unwrap();
    let files = ["meta.db", "meta.db-wal", "meta.db-shm"];
    for name in files {
        let _ = std::fs::rename(folder.path().join(name), kept.path().join(name));
    }
    let start = || {
        let started = std::process::Command::new(kgrca_tests::binary("kgrcad"))
            .arg("--data")
            .arg(folder.path())
            .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
            .output()
            .unwrap();
        assert!(!started.status.success());
        String::from_utf8_lossy(&started.stderr).into_owned()
    };
    for is_empty in [false, true] {
        if is_empty {
            std::fs::write(&meta, "").unwrap();
        }
        let text = start();
        assert!(text.contains("records of 1 tenant"), "{text}");
        assert!(
            text.contains("restore the metadata from a backup"),
            "{text}"
        );
    }
    // What is no database is said to be none, and is not called a bug.
    for (content, why) in [
        ("not a database\n".repeat(500), "not a database of SQLite"),
        (
            format!("SQLite format 3\0{}", "x".repeat(5000)),
            "not a database",
        ),
    ] {
        std::fs::write(&meta, content).unwrap();
        let text = start();
        assert!(text.contains("meta.db") && text.contains(why), "{text}");
        assert!(
            text.contains("meta.db from a backup") && !text.contains("bug"),
            "{text}"
        );
    }
    for name in files {
        let _ = std::fs::rename(kept.path().join(name), folder.path().join(name));
    }
    let server = Server::start(folder.path(), &[]);
    server.settled(&tenant, 3).await;
}
