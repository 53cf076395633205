//! Encryption at rest: what is in the files of a daemon, and what becomes of it when keys change,
//! are missing, or are deleted.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use kgrca_core::billing::Metric;
use kgrca_core::jobs::{JobKind, NewJob};
use kgrca_core::model::{Time, Topic};
use kgrca_core::storage::embedded::files::RealFiles;
use kgrca_core::storage::embedded::log::FileLog;
use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::sql::{Database, Purpose, Reach};
use kgrca_core::storage::{
    DataKey, DataKeys, ErrorKind, EventLog, Jobs, StreamId, Tenants, Usage, UsageRow,
};
use kgrca_core::tenancy::TenantId;
use kgrca_tests::server::Tenant;
use kgrca_tests::{Server, binary, write_private};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

pub(crate) const CANARY: &str = "violet-hummingbird";

/// Two keys, as `openssl rand -base64 32` prints them.
pub(crate) const ONE: &str = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=";
pub(crate) const TWO: &str = "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI=";

/// A file with master keys outside of the data folder.
pub(crate) struct KeyFile {
    folder: tempfile::TempDir,
}

impl KeyFile {
    pub(crate) fn new(keys: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = Self { folder };
        file.write(keys);
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("master.key")
    }

    pub(crate) fn write(&self, keys: &[&str]) {
        write_private(&self.path(), &keys.join("\n"));
    }

    pub(crate) fn url(&self) -> String {
        format!("file:{}", self.path().display())
    }
}

pub(crate) fn event(id: &str, message: &str) -> Vec<u8> {
    let record = json!({
        "event_id": id, "event_time": jiff::Timestamp::now().to_string(), "cluster": "prod",
        "severity": "INFO", "reason": "Started", "message": message,
        "subject": {"kind": "Pod", "ns": "shop", "name": "web"},
    });
    record.to_string().into_bytes()
}

/// All files below a folder.
pub(crate) fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The files of a data folder that hold a text.
pub(crate) fn holding(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    files(folder, &mut all);
    all.retain(|file| {
        let bytes = std::fs::read(file).unwrap();
        bytes.windows(text.len()).any(|w| w == text.as_bytes())
    });
    all
}

/// The records of a tenant as an export has them.
pub(crate) async fn records(server: &Server, tenant: &Tenant) -> String {
    let path = format!("/api/v1/admin/clients/{}/export/records", tenant.id);
    let key = Some(server.operator.as_str());
    let response = server.call(Method::GET, &path, key, None).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.text().await.unwrap()
}

pub(crate) async fn change(server: &Server, body: Value) -> (StatusCode, Value) {
    let body = body.to_string().into_bytes();
    let key = Some(server.operator.as_str());
    let path = "/api/v1/admin/encryption";
    let response = server.call(Method::POST, path, key, Some(body)).await;
    (response.status(), response.json().await.unwrap())
}

/// Master keys by the number of data keys that are under them, and the current one.
pub(crate) async fn status(server: &Server) -> Value {
    server
        .get("/api/v1/admin/encryption", &server.operator)
        .await
}

/// Starts a daemon that must refuse to; returns what it says.
fn refused(folder: &Path, options: &[&str]) -> String {
    let output = Command::new(binary("kgrcad"))
        .arg("--data")
        .arg(folder)
        .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .args(options)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn records_are_in_no_file_that_is_encrypted() {
    let key = KeyFile::new(&[ONE]);
    for is_encrypted in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let url = key.url();
        let options = ["--master-key-url", &url];
        let options = if is_encrypted { &options[..] } else { &[] };
        let server = Server::start(folder.path(), options);
        let tenant = server.tenant("acme", "pro").await;
        server.ingest(&tenant, "events", event("e1", CANARY)).await;
        let rejected = format!(r#"{{"event_id":"e2","message":"{CANARY}"}}"#);
        let answer = server
            .ingest(&tenant, "events", rejected.into_bytes())
            .await;
        assert_eq!(answer["rejected_count"], 1, "{answer}");
        server.settled(&tenant, 1).await;
        assert!(server.terminate(), "it saves a snapshot");
        let mut found = holding(folder.path(), CANARY);
        // docs/encryption.md names these.
        found.retain(|file| !file.starts_with(folder.path().join("graph")));
        found.retain(|file| {
            !file
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("meta.db")
        });
        assert_eq!(found.is_empty(), is_encrypted, "{found:?}");
        let snapshots = folder.path().join("snapshots").join(&tenant.id);
        assert_eq!(holding(&snapshots, "encrypted").is_empty(), !is_encrypted);
        let meta = SqliteMeta::open(&folder.path().join("meta.db"))
            .await
            .unwrap();
        let id = TenantId::parse(&tenant.id).unwrap();
        let secret = meta.tenant_secret(&id, "none").await.unwrap();
        assert_eq!(secret.starts_with("sealed:"), is_encrypted);
        let server = Server::start(folder.path(), options);
        assert!(records(&server, &tenant).await.contains(CANARY));
        server.ingest(&tenant, "events", event("e3", "after")).await;
        server.settled(&tenant, 2).await;
        let letters = server.get("/api/v1/dlq", &tenant.key).await;
        assert!(letters.to_string().contains(CANARY), "{letters}");
    }
}

#[tokio::test]
async fn a_start_without_the_master_key_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (key, other) = (KeyFile::new(&[ONE]), KeyFile::new(&[TWO]));
    let server = Server::start(folder.path(), &["--master-key-url", &key.url()]);
    let tenant = server.tenant("acme", "pro").await;
    server.ingest(&tenant, "events", event("e1", CANARY)).await;
    server.settled(&tenant, 1).await;
    assert!(server.terminate());
    let log = folder.path().join("log");
    let content = || {
        let mut all = Vec::new();
        files(&log, &mut all);
        all.sort();
        let read = |path: PathBuf| (std::fs::read(&path).unwrap(), path);
        all.into_iter().map(read).collect::<Vec<_>>()
    };
    let before = content();
    let without = refused(folder.path(), &[]);
    assert!(
        without.contains("data of 1 tenant is encrypted under master key ")
            && without.contains(", and --master-key-url is not set"),
        "{without}"
    );
    let wrong = refused(folder.path(), &["--master-key-url", &other.url()]);
    assert!(wrong.contains("which is not given"), "{wrong}");
    let missing = refused(folder.path(), &["--master-key-url", "file:/nowhere"]);
    assert!(missing.contains("/nowhere"), "{missing}");
    for output in [&without, &wrong, &missing] {
        assert!(
            output.contains("from its backup"),
            "a new key does not help: {output}"
        );
    }
    let given = refused(folder.path(), &["--master-key-url", ONE]);
    assert!(
        given.contains("file:PATH") && !given.contains(ONE),
        "{given}"
    );
    assert_eq!(content(), before);
    let both = format!("{},{}", other.url(), key.url());
    let server = Server::start(folder.path(), &["--master-key-url", &both]);
    assert!(records(&server, &tenant).await.contains(CANARY));
    let checks = server.get("/api/v1/admin/checks", &server.operator).await;
    let is_damage = |check: &Value| check["what"].as_str().unwrap().starts_with("log of");
    assert!(!checks["items"].as_array().unwrap().iter().any(is_damage));
}

#[tokio::test]
async fn encryption_can_be_switched_on_and_off() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyFile::new(&[ONE]);
    let url = key.url();
    let on = ["--master-key-url", &url];
    let off = ["--master-key-url", &url, "--no-encryption"];
    let mut tenant = None;
    let runs: [(&str, &[&str], bool); 3] = [
        ("first", &[], false),
        ("second", &on, true),
        ("third", &off, false),
    ];
    for (number, (message, options, is_encrypted)) in runs.into_iter().enumerate() {
        let server = Server::start(folder.path(), options);
        if tenant.is_none() {
            tenant = Some(server.tenant("acme", "pro").await);
        }
        let tenant = tenant.as_ref().unwrap();
        let text = format!("{CANARY}-{message}");
        server.ingest(tenant, "events", event(message, &text)).await;
        server.settled(tenant, number as u64 + 1).await;
        let exported = records(&server, tenant).await;
        for (message, ..) in &runs[..=number] {
            assert!(
                exported.contains(&format!("{CANARY}-{message}")),
                "{exported}"
            );
        }
        assert_eq!(status(&server).await["enabled"], is_encrypted);
        assert!(server.terminate());
        let found = holding(&folder.path().join("log"), &text);
        assert_eq!(found.is_empty(), is_encrypted, "{message}: {found:?}");
    }
    assert!(refused(folder.path(), &[]).contains("--master-key-url"));
}

#[tokio::test]
async fn a_key_that_is_missing_meanwhile_is_no_fault_of_the_sender() {
    let folder = tempfile::tempdir().unwrap();
    let (key, other) = (KeyFile::new(&[ONE]), KeyFile::new(&[TWO]));
    let both = format!("{},{}", key.url(), other.url());
    let server = Server::start(folder.path(), &["--master-key-url", &both]);
    let tenant = server.tenant("acme", "pro").await;
    server.ingest(&tenant, "events", event("e1", CANARY)).await;
    // Under a key that the next daemon does not get: as when another daemon has a newer file.
    assert!(server.terminate());
    let server = Server::start(folder.path(), &["--master-key-url", &key.url()]);
    let meta = SqliteMeta::open(&folder.path().join("meta.db"))
        .await
        .unwrap();
    let known = meta.all_data_keys().await.unwrap().remove(0);
    let moved = DataKey {
        master_key: "0123456789abcdef".into(),
        ..known.clone()
    };
    let late = server.tenant("late", "pro").await;
    let id = TenantId::parse(&late.id).unwrap();
    let of_late = DataKey {
        client_id: id.to_string(),
        ..moved
    };
    meta.add_data_key(&of_late).await.unwrap();
    let path = "/api/v1/ingest/events";
    let body = event("e2", CANARY);
    let answer = server
        .call(Method::POST, path, Some(&late.key), Some(body))
        .await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let text = answer.text().await.unwrap();
    assert!(
        !text.contains("master") && !text.contains("0123456789"),
        "{text}"
    );
    server.ingest(&tenant, "events", event("e2", CANARY)).await;
}

#[tokio::test]
async fn storage_is_measured_although_a_tenant_cannot_be_decrypted() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyFile::new(&[ONE]);
    let url = key.url();
    let options = ["--master-key-url", &url];
    let server = Server::start(folder.path(), &options);
    let (altered, intact) = (
        server.tenant("altered", "pro").await,
        server.tenant("intact", "pro").await,
    );
    for tenant in [&altered, &intact] {
        server.ingest(tenant, "events", event("e1", CANARY)).await;
        server.settled(tenant, 1).await;
    }
    assert!(server.terminate());
    let database = folder.path().join("meta.db");
    let meta = SqliteMeta::open(&database).await.unwrap();
    let id = TenantId::parse(&altered.id).unwrap();
    let keys = meta.all_data_keys().await.unwrap();
    let (own, other): (Vec<_>, Vec<_>) = keys
        .into_iter()
        .partition(|key| key.client_id == altered.id);
    let swapped = DataKey {
        wrapped: other[0].wrapped.clone(),
        ..own[0].clone()
    };
    assert!(meta.rewrap_data_key(&own[0], &swapped).await.unwrap());
    let now = Time(jiff::Timestamp::now().as_microsecond());
    let none = UsageRow {
        day: now.day(),
        metric: Metric::StorageBytes,
        amount: 0,
    };
    meta.set_usage(&id, &[none]).await.unwrap();
    let job = NewJob {
        tenant: Some(id.clone()),
        ..NewJob::new(
            "job_again".into(),
            JobKind::TenantMaintain,
            Value::Null,
            now,
        )
    };
    meta.enqueue(&job).await.unwrap();
    let server = Server::start(folder.path(), &options);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let measured = |rows: Vec<UsageRow>| {
        let is_storage = |row: &UsageRow| row.metric == Metric::StorageBytes && row.amount > 0;
        rows.iter().any(is_storage)
    };
    while !measured(meta.usage(&id, "0000", "9999").await.unwrap()) {
        assert!(std::time::Instant::now() < deadline, "not measured");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // Others are not concerned.
    server.ingest(&intact, "events", event("e2", CANARY)).await;
    server.settled(&intact, 2).await;
    let path = "/api/v1/ingest/events";
    let (key, body) = (Some(altered.key.as_str()), event("e2", CANARY));
    let answer = server.call(Method::POST, path, key, Some(body)).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let checks = server.get("/api/v1/admin/checks", &server.operator).await;
    let items = checks["items"].as_array().unwrap();
    let what = format!("data of tenant {}", altered.id);
    let found = items.iter().find(|check| check["what"] == what).unwrap();
    assert!(found.to_string().contains("was altered"), "{found}");
}

#[tokio::test]
async fn a_deleted_key_is_erased_although_the_database_is_read_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("meta.db");
    let meta = SqliteMeta::open(&database).await.unwrap();
    let tenant = kgrca_core::tenancy::Tenant {
        client_id: "client-a-abc123".into(),
        name: "A".into(),
        plan: "free".into(),
        state: kgrca_core::tenancy::TenantState::Active,
        contact_email: String::new(),
        created_at: Time(1),
        deleted_at: None,
        partitions: 1,
        limits: kgrca_core::billing::Overrides::default(),
    };
    meta.put_tenant(&tenant).await.unwrap();
    let key = |wrapped: &str| DataKey {
        client_id: tenant.client_id.clone(),
        key_id: 1,
        wrapped: wrapped.into(),
        master_key: "m".into(),
        created_at: Time(1),
    };
    let (before, after) = (key("scarlet-ibis"), key("indigo-bunting"));
    meta.add_data_key(&before).await.unwrap();
    let reader = SqliteMeta::open(&database).await.unwrap();
    let reading = reader.database().begin(Reach::Operator, Purpose::Read);
    let mut reading = reading.await.unwrap();
    let rows = reading.rows("SELECT COUNT(*) FROM data_keys", Vec::new());
    assert_eq!(rows.await.unwrap().len(), 1);
    meta.rewrap_data_key(&before, &after).await.unwrap();
    let busy = meta.erase_replaced_keys().await.unwrap_err();
    assert_eq!(busy.kind, ErrorKind::Unavailable, "{busy}");
    let id = TenantId::parse(&tenant.client_id).unwrap();
    assert!(meta.forget_tenant(&id, true).await.is_err());
    drop(reading);
    // Repeated as a saga repeats it: the keys are gone, and still in the journal.
    assert!(!holding(folder.path(), "indigo-bunting").is_empty());
    meta.forget_tenant(&id, true).await.unwrap();
    for key in ["scarlet-ibis", "indigo-bunting"] {
        assert_eq!(holding(folder.path(), key), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn without_a_master_key_there_is_nothing_to_rotate() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("acme", "pro").await;
    server.ingest(&tenant, "events", event("e1", CANARY)).await;
    assert_eq!(status(&server).await["enabled"], false);
    let (code, refused) = change(&server, json!({"act": "rewrap"})).await;
    assert_eq!(code, StatusCode::CONFLICT);
    assert!(
        refused.to_string().contains("--master-key-url"),
        "{refused}"
    );
    let audit = server.get("/api/v1/admin/audit", &server.operator).await;
    assert!(!audit.to_string().contains("encryption."), "{audit}");
}

#[tokio::test]
async fn what_is_left_of_a_deleted_tenant_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyFile::new(&[ONE]);
    let url = key.url();
    let server = Server::start(folder.path(), &["--master-key-url", &url]);
    let (gone, stays) = (
        server.tenant("gone", "pro").await,
        server.tenant("stays", "pro").await,
    );
    for tenant in [&gone, &stays] {
        server.ingest(tenant, "events", event("e1", CANARY)).await;
        server.settled(tenant, 1).await;
    }
    let id = TenantId::parse(&gone.id).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let mut segments = Vec::new();
    files(&folder.path().join("log").join(&gone.id), &mut segments);
    for segment in &segments {
        let name = segment.strip_prefix(folder.path().join("log")).unwrap();
        let to = copy.path().join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(segment, to).unwrap();
    }
    let database = folder.path().join("meta.db");
    let wrapped = {
        let meta = SqliteMeta::open(&database).await.unwrap();
        meta.data_keys(&id).await.unwrap().remove(0).wrapped
    };
    let path = format!("/api/v1/admin/clients/{}?grace_days=0", gone.id);
    let operator = Some(server.operator.as_str());
    let deleted = server.call(Method::DELETE, &path, operator, None).await;
    assert_eq!(deleted.status(), StatusCode::ACCEPTED);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let meta = SqliteMeta::open(&database).await.unwrap();
    while !meta.data_keys(&id).await.unwrap().is_empty() {
        assert!(std::time::Instant::now() < deadline, "not deleted");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(
        meta.all_data_keys().await.unwrap().len(),
        1,
        "of the other tenant"
    );
    // Also in the journal of the database, while it is in use.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !holding(folder.path(), &wrapped).is_empty() {
        assert!(std::time::Instant::now() < deadline, "not erased");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(records(&server, &stays).await.contains(CANARY));
    server.kill();
    assert_eq!(holding(folder.path(), &wrapped), Vec::<PathBuf>::new());
    // The copy is intact, and nobody can read it.
    let log = FileLog::open(Arc::new(RealFiles::default()), copy.path());
    let partition = 0;
    let stream = StreamId {
        topic: Topic::Events,
        partition,
    };
    assert_eq!(
        log.ends(&id)
            .await
            .unwrap()
            .iter()
            .map(|(_, end)| end)
            .sum::<u64>(),
        1
    );
    let error = log.read(&id, stream, 0, 10).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Corrupt, "{error}");
    assert!(log.set_aside(&id).await.unwrap().is_empty());
    assert!(holding(copy.path(), CANARY).is_empty());
}
