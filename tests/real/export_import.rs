//! Export from one installation and import into another, whatever stores either has: the tenant
//! stays the same.

use std::path::Path;
use std::process::Output;

use base64::Engine;
use kgrca_core::model::{Time, Topic};
use kgrca_tests::server::Tenant;
use kgrca_tests::simulate::{Cluster, Sent, Size};
use kgrca_tests::stack::Stack;
use kgrca_tests::{Server, faults};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Digest;

use crate::provisioning::{json_of, operator};

fn now() -> Time {
    Time(jiff::Timestamp::now().as_microsecond())
}

fn kind(topic: Topic) -> &'static str {
    match topic {
        Topic::Resource => "resources",
        Topic::Topology => "topology",
        Topic::Events => "events",
        Topic::Logs => "logs",
        _ => "alerts",
    }
}

/// Sends records topic by topic. Returns how many they were.
async fn send(server: &Server, tenant: &Tenant, records: impl Iterator<Item = Sent>) -> u64 {
    let mut by_topic: std::collections::BTreeMap<Topic, (u64, Vec<u8>)> =
        std::collections::BTreeMap::new();
    for (topic, record) in records {
        let (count, text) = by_topic.entry(topic).or_default();
        *count += 1;
        text.extend(record);
        text.push(b'\n');
    }
    for (topic, (_, text)) in &by_topic {
        server.ingest(tenant, kind(*topic), text.clone()).await;
    }
    by_topic.values().map(|(count, _)| count).sum()
}

async fn serve(server: &Server, tenant: &Tenant, change: Value) {
    let path = format!("/api/v1/admin/clients/{}", tenant.id);
    let answer = server
        .call(
            Method::PATCH,
            &path,
            Some(&server.operator),
            Some(change.to_string().into_bytes()),
        )
        .await;
    let status = answer.status();
    assert_eq!(status, 200, "{}", answer.text().await.unwrap());
}

/// Pods of a cluster, each with an end of its own to come.
fn pods(cluster: &str, count: usize) -> Vec<Sent> {
    let pod = |i: usize| {
        let at = now().to_string();
        let record = json!({
            "op": "UPSERT", "at": at, "cluster": cluster, "kind": "Pod",
            "uid": format!("u-{cluster}-{i}"), "namespace": "shop", "name": format!("web-{i}"),
            "resourceVersion": at, "status": {"phase": "Running"},
        });
        (Topic::Resource, record.to_string().into_bytes())
    };
    (1..=count).map(pod).collect()
}

/// How many objects live in each cluster, after something was said of each.
async fn living(server: &Server, tenant: &Tenant) -> Vec<Value> {
    let seen = server.get("/api/v1/stats", &tenant.key).await["records"]["seen"]
        .as_u64()
        .unwrap();
    for cluster in ["prod", "prod1"] {
        let event = json!({
            "event_id": format!("{cluster}-{seen}"), "event_time": now().to_string(),
            "cluster": cluster, "reason": "Pulled", "message": "x",
            "subject": {"kind": "Pod", "ns": "shop", "name": "web-1"},
        });
        server
            .ingest(tenant, "events", event.to_string().into_bytes())
            .await;
    }
    let stats = server.settled(tenant, seen + 2).await;
    stats["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| json!([c["cluster"], c["resources"]]))
        .collect()
}

fn export(server: &Server, tenant: &Tenant, folder: &Path) -> Value {
    json_of(&operator(
        server,
        &[
            "tenant",
            "export",
            &tenant.id,
            "--out",
            folder.to_str().unwrap(),
        ],
    ))
}

fn import(server: &Server, folder: &Path, more: &[&str]) -> Output {
    operator(
        server,
        &[&["tenant", "import", folder.to_str().unwrap()], more].concat(),
    )
}

/// What a tenant's users see of it: every incident with its answer, and what lies around the first
/// one.
async fn seen(server: &Server, tenant: &Tenant) -> Vec<Value> {
    let list = server.get("/api/v1/incidents?limit=500", &tenant.key).await;
    let mut all = Vec::new();
    for incident in list["items"].as_array().unwrap() {
        let id = incident["incident_id"].as_str().unwrap();
        let mut answer = server
            .get(
                &format!("/api/v1/rca/{id}?at=2100-01-01T00:00:00Z"),
                &tenant.key,
            )
            .await;
        // It says how far time has gone on.
        answer["window"]["to"].take();
        let timeline = server
            .get(&format!("/api/v1/incidents/{id}/timeline"), &tenant.key)
            .await;
        let transitions: Vec<Value> = timeline["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["to"].clone())
            .collect();
        all.push(json!({"id": id, "answer": answer, "transitions": transitions}));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "the steps build on each other")]
async fn a_tenant_goes_from_files_to_servers_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    std::fs::create_dir(place("files")).unwrap();
    let files = Server::start(&place("files"), &[]);
    let tenant = files.tenant("Acme & Söhne", "enterprise").await;
    let mut cluster = Cluster::new(
        Size {
            nodes: 5,
            workloads: 20,
            replicas: 3,
            noisy: 2,
        },
        3,
        now(),
    );
    let mut sent = send(
        &files,
        &tenant,
        cluster.listing().collect::<Vec<_>>().into_iter(),
    )
    .await;
    sent += send(&files, &tenant, pods("prod1", 3).into_iter()).await;
    files.settled(&tenant, sent).await;
    // Two growths: what an object was before each of them lies in partitions that it left.
    for partitions in [4, 6] {
        serve(
            &files,
            &tenant,
            json!({"state": "suspended", "partitions": partitions}),
        )
        .await;
        serve(&files, &tenant, json!({"state": "active"})).await;
        sent += send(&files, &tenant, pods("prod1", partitions).into_iter()).await;
        let gone = json!({
            "op": "DELETE", "at": now().to_string(), "cluster": "prod1", "kind": "Pod",
            "uid": format!("u-prod1-{partitions}"), "namespace": "shop",
            "name": format!("web-{partitions}"),
        });
        sent += send(
            &files,
            &tenant,
            [(Topic::Resource, gone.to_string().into_bytes())].into_iter(),
        )
        .await;
        files.settled(&tenant, sent).await;
    }
    sent += send(&files, &tenant, faults::records(now()).into_iter()).await;
    files.settled(&tenant, sent).await;
    let first = files.get("/api/v1/incidents", &tenant.key).await["items"][0]["incident_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let ack = json!({"state": "acknowledged", "note": "I look"})
        .to_string()
        .into_bytes();
    files
        .call(
            Method::PATCH,
            &format!("/api/v1/incidents/{first}"),
            Some(&tenant.key),
            Some(ack),
        )
        .await;
    files.settled(&tenant, sent).await;
    // As it is after a restart that has nothing but the log: so it begins elsewhere.
    assert!(files.terminate());
    std::fs::remove_dir_all(place("files").join("snapshots")).unwrap();
    let files = Server::start(&place("files"), &[]);
    let living = living(&files, &tenant).await;
    let before = seen(&files, &tenant).await;
    assert!(before.len() >= 3, "{before:?}");
    serve(&files, &tenant, json!({"state": "suspended"})).await;
    let manifest = export(&files, &tenant, &place("one"));
    assert!(
        manifest["files"]
            .as_array()
            .unwrap()
            .iter()
            .all(|f| f["rows"].as_u64().unwrap() > 0),
        "{manifest}"
    );

    let stack = Stack::start();
    let servers = stack.daemon(&place("servers"));
    let created = json_of(&import(&servers, &place("one"), &["--plan", "enterprise"]));
    assert_eq!(
        created["kafka_password"].as_str().map(str::len),
        Some(32),
        "its user in Kafka can log in"
    );
    let there = Tenant::from_created(&created);
    assert_eq!(
        servers.settled(&there, 0).await["records"]["seen"],
        0,
        "nothing is counted twice"
    );
    assert_eq!(
        seen(&servers, &there).await,
        before,
        "incidents, answers and acts are what they were"
    );
    assert_eq!(
        self::living(&servers, &there).await,
        living,
        "the live state is what it was"
    );
    let then = seen(&servers, &there).await;
    serve(&servers, &there, json!({"state": "suspended"})).await;
    export(&servers, &there, &place("two"));

    let back = Tenant::from_created(&json_of(&import(
        &files,
        &place("two"),
        &["--plan", "enterprise"],
    )));
    assert_eq!(seen(&files, &back).await, then, "also on the way back");
    assert_eq!(self::living(&files, &back).await, living);
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "the steps build on each other")]
async fn altered_exports_are_rejected_and_a_stopped_import_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let sent = send(&server, &tenant, faults::records(now()).into_iter()).await;
    server.settled(&tenant, sent).await;
    let out = folder.path().join("out");
    export(&server, &tenant, &out);
    let refused = operator(
        &server,
        &[
            "tenant",
            "export",
            &tenant.id,
            "--out",
            out.to_str().unwrap(),
        ],
    );
    assert_eq!(
        refused.status.code(),
        Some(2),
        "what is there is not written over"
    );
    let edges = out.join("edges.jsonl");
    let whole = std::fs::read(&edges).unwrap();
    std::fs::write(&edges, &whole[..whole.len() - 2]).unwrap();
    let damaged = import(&server, &out, &["--plan", "pro"]);
    let said = String::from_utf8_lossy(&damaged.stderr).into_owned();
    assert_eq!(damaged.status.code(), Some(1), "{said}");
    assert!(
        said.contains("edges.jsonl: checksum does not match"),
        "{said}"
    );
    std::fs::write(&edges, &whole).unwrap();

    let body = json!({"name": "Acme", "plan": "pro"})
        .to_string()
        .into_bytes();
    let begun = server
        .call(
            Method::POST,
            "/api/v1/admin/imports",
            Some(&server.operator),
            Some(body),
        )
        .await;
    assert_eq!(begun.status(), 202);
    let foreign: Value = begun.json().await.unwrap();
    let foreign = foreign["saga_id"].as_str().unwrap().to_owned();
    let mixed = import(&server, &out, &["--resume", &foreign]);
    assert_eq!(
        mixed.status.code(),
        Some(2),
        "an import of something else does not take this: {mixed:?}"
    );
    json_of(&operator(&server, &["saga", "compensate", &foreign]));
    let digest = kgrca_core::tenancy::hex(&sha2::Sha256::digest(
        std::fs::read(out.join("manifest.json")).unwrap(),
    ));
    let body = json!({"name": "Acme", "plan": "pro"}).to_string();
    let request = server
        .http
        .post(format!("{}/api/v1/admin/imports", server.url))
        .header("x-api-key", &server.operator);
    let begun: Value = request
        .header("idempotency-key", format!("{digest}-1"))
        .body(body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let saga = begun["saga_id"].as_str().unwrap();
    let path = format!("/api/v1/admin/imports/{saga}/resources");
    let wrong = server
        .call(
            Method::POST,
            &path,
            Some(&server.operator),
            Some(b"{}\n{\"id\":1}".to_vec()),
        )
        .await;
    assert_eq!(wrong.status(), 400, "a line that is no row");
    let some: Vec<u8> = std::fs::read(out.join("resources.jsonl"))
        .unwrap()
        .split_inclusive(|b| *b == b'\n')
        .take(3)
        .flatten()
        .copied()
        .collect();
    assert_eq!(
        server
            .call(Method::POST, &path, Some(&server.operator), Some(some))
            .await
            .status(),
        200
    );
    // `resume` alone does not serve a tenant that is not loaded.
    json_of(&operator(&server, &["saga", "resume", saga]));
    let open = json_of(&operator(&server, &["saga", "list", "--open"]));
    assert_eq!(
        open["items"].as_array().unwrap().len(),
        1,
        "it still waits for the rest: {open}"
    );
    let created = json_of(&import(&server, &out, &["--resume", saga]));
    let again = Tenant::from_created(&created);
    let count = |stats: &Value| stats["stored"].clone();
    let (old, new) = (
        server.get("/api/v1/graph/stats", &tenant.key).await,
        server.get("/api/v1/graph/stats", &again.key).await,
    );
    assert_eq!(count(&old)["incidents"], count(&new)["incidents"]);
    let late = server
        .call(
            Method::POST,
            &path,
            Some(&server.operator),
            Some(Vec::new()),
        )
        .await;
    assert_eq!(late.status(), 409, "who is served takes no more rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_export_is_read_with_its_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let sent = send(&server, &tenant, faults::records(now()).into_iter()).await;
    server.settled(&tenant, sent).await;
    let before = seen(&server, &tenant).await;
    serve(&server, &tenant, json!({"state": "suspended"})).await;
    let key = |name: &str, byte: u8| {
        let file = folder.path().join(name);
        let text = base64::engine::general_purpose::STANDARD.encode([byte; 32]);
        std::fs::write(&file, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, mode).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (own, other) = (key("own.key", 1), key("other.key", 2));
    let out = folder.path().join("out");
    let path = out.to_str().unwrap();
    let export = [
        "tenant",
        "export",
        &tenant.id,
        "--out",
        path,
        "--key-file",
        &own,
    ];
    json_of(&operator(&server, &export));
    for file in std::fs::read_dir(&out).unwrap() {
        let file = file.unwrap();
        let text = std::fs::read(file.path()).unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains("Acme") && !text.contains("shop"), "{file:?}");
    }
    for (more, why) in [
        (&["--plan", "pro"][..], "is encrypted"),
        (&["--plan", "pro", "--key-file", &other], "another key"),
    ] {
        let refused = import(&server, &out, more);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(why), "{said}");
    }
    let imported = import(&server, &out, &["--plan", "pro", "--key-file", &own]);
    let imported = Tenant::from_created(&json_of(&imported));
    assert_eq!(seen(&server, &imported).await, before);
}
