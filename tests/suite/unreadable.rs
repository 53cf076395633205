//! Records that cannot be decrypted: where a tenant stops, what says so, and that it continues.

use std::path::{Path, PathBuf};

use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::sql::{Database, Purpose, Reach, Value as Sql};
use kgrca_core::storage::{DataKey, DataKeys};
use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::encryption::{CANARY, KeyFile, ONE, change, event, files};

/// What `kgrca doctor` finds wrong.
async fn problems(server: &Server) -> Vec<Value> {
    let checks = server.get("/api/v1/admin/checks", &server.operator).await;
    let items = checks["items"].as_array().unwrap().iter();
    items
        .filter(|check| check["ok"] == false)
        .cloned()
        .collect()
}

async fn delete(meta: &SqliteMeta, key: &DataKey) {
    let writing = meta.database().begin(Reach::Operator, Purpose::Durable);
    let mut writing = writing.await.unwrap();
    let sql = "DELETE FROM data_keys WHERE client_id = $1 AND key_id = $2";
    let values = vec![
        Sql::Text(Some(key.client_id.clone())),
        Sql::Int(Some(i64::from(key.key_id))),
    ];
    assert_eq!(writing.run(sql, values).await.unwrap(), 1);
    writing.commit().await.unwrap();
}

async fn refused(server: &Server, tenant: &Tenant) {
    let path = "/api/v1/ingest/events";
    let (key, body) = (Some(tenant.key.as_str()), event("refused", CANARY));
    let answer = server.call(Method::POST, path, key, Some(body)).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let text = answer.text().await.unwrap();
    assert!(!text.contains("data key"), "{text}");
}

#[tokio::test]
async fn a_record_whose_key_is_missing_is_named_and_can_be_read_later_or_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyFile::new(&[ONE]);
    let url = key.url();
    let options = ["--master-key-url", url.as_str()];
    // Nothing is processed yet.
    let server = Server::start(folder.path(), &[&options[..], &["--roles", "api"]].concat());
    let (stopped, intact) = (
        server.tenant("stopped", "pro").await,
        server.tenant("intact", "pro").await,
    );
    for tenant in [&stopped, &intact] {
        let first = event("first", CANARY);
        server.ingest(tenant, "events", first).await;
    }
    let body = json!({"act": "rotate", "client_id": stopped.id});
    assert_eq!(change(&server, body).await.0, StatusCode::OK);
    let second = event("second", CANARY);
    server.ingest(&stopped, "events", second).await;
    assert!(server.terminate());

    // As after metadata from before the rotation was restored.
    let database = folder.path().join("meta.db");
    let meta = SqliteMeta::open(&database).await.unwrap();
    let keys = meta.all_data_keys().await.unwrap();
    let of_stopped = keys.iter().filter(|key| key.client_id == stopped.id);
    let newest = of_stopped.max_by_key(|key| key.created_at).unwrap();
    delete(&meta, newest).await;
    let server = Server::start(folder.path(), &options);
    server.settled(&intact, 1).await;
    let found = problems(&server).await;
    let [problem] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(problem["what"], format!("data of tenant {}", stopped.id));
    let text = problem["found"].as_str().unwrap();
    let missing = format!("data key {}", newest.key_id);
    assert!(
        text.contains("record 1") && text.contains(&missing),
        "{text}"
    );
    refused(&server, &stopped).await;
    server.kill();

    meta.add_data_key(newest).await.unwrap();
    let server = Server::start(folder.path(), &options);
    server.settled(&stopped, 2).await;
    assert_eq!(problems(&server).await, Vec::<Value>::new());
    assert!(server.terminate());

    // It is lost for good: what it encrypted is given up.
    delete(&meta, newest).await;
    let away = tempfile::tempdir().unwrap();
    let log = folder.path().join("log").join(&stopped.id);
    std::fs::rename(log, away.path().join("log")).unwrap();
    let server = Server::start(folder.path(), &options);
    let third = event("third", CANARY);
    server.ingest(&stopped, "events", third).await;
    server.settled(&stopped, 3).await;
    assert_eq!(problems(&server).await, Vec::<Value>::new());
}

/// The segment that holds a tenant's only event.
fn segment(folder: &Path, tenant: &Tenant) -> PathBuf {
    let events = folder
        .join("log")
        .join(&tenant.id)
        .join("events.normalized");
    let mut found = Vec::new();
    files(&events, &mut found);
    found.retain(|file| std::fs::metadata(file).unwrap().len() > 0);
    let [segment] = found.as_slice() else {
        panic!("{found:?}");
    };
    segment.clone()
}

#[tokio::test]
async fn records_that_were_moved_to_another_place_are_not_read_there() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyFile::new(&[ONE]);
    let url = key.url();
    let options = ["--master-key-url", url.as_str()];
    let server = Server::start(folder.path(), &[&options[..], &["--roles", "api"]].concat());
    let mut tenants = Vec::new();
    for name in ["source", "target", "own", "intact"] {
        let tenant = server.tenant(name, "pro").await;
        let record = event("e1", &format!("{CANARY}-{name}"));
        server.ingest(&tenant, "events", record).await;
        tenants.push(tenant);
    }
    assert!(server.terminate());
    let [source, target, own, intact] = tenants.as_slice() else {
        unreachable!();
    };
    // Into the log of another tenant, and into another topic of the same.
    let stolen = segment(folder.path(), source);
    std::fs::copy(stolen, segment(folder.path(), target)).unwrap();
    let moved = segment(folder.path(), own);
    let partition = moved.parent().unwrap();
    let topic = partition.parent().unwrap().with_file_name("alerts.raw");
    let topic = topic.join(partition.file_name().unwrap());
    std::fs::create_dir_all(&topic).unwrap();
    std::fs::copy(&moved, topic.join(moved.file_name().unwrap())).unwrap();

    let server = Server::start(folder.path(), &options);
    server.settled(intact, 1).await;
    let found = problems(&server).await;
    let names: Vec<_> = found.iter().map(|problem| &problem["what"]).collect();
    for tenant in [target, own] {
        let what = json!(format!("data of tenant {}", tenant.id));
        assert!(names.contains(&&what), "{found:?}");
    }
    assert_eq!(names.len(), 2, "{found:?}");
    let path = format!("/api/v1/admin/clients/{}/export/records", target.id);
    let operator = Some(server.operator.as_str());
    let exported = server.call(Method::GET, &path, operator, None).await;
    let text = exported.text().await.unwrap_or_default();
    assert!(!text.contains(CANARY), "{text}");
}
