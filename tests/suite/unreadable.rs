//! Records that cannot be decrypted: where a tenant stops, what says so, and that it continues.

use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::sql::{Database, Purpose, Reach, Value as Sql};
use kgrca_core::storage::{DataKey, DataKeys};
use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::encryption::{CANARY, KeyFile, ONE, change, event};

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
async fn a_record_whose_key_is_missing_is_named_and_read_when_the_key_is_back() {
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
}
