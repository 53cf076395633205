//! What callers are told when a request is refused: status, code, message and hint of each, as one
//! page to read. `KGRCA_WRITE_SNAPSHOTS=1` updates it.

use kgrca_tests::server::Tenant;
use kgrca_tests::{Server, repository};
use reqwest::Method;
use serde_json::{Value, json};

/// Whose key a request carries.
#[derive(Clone, Copy, Debug)]
enum By {
    Nobody,
    Unknown,
    Agent,
    Viewer,
    Admin,
    Operator,
    Accountant,
}

/// Requests of one tenant and its operator.
struct Callers {
    server: Server,
    tenant: Tenant,
    viewer: String,
    agent: String,
    accountant: String,
    page: String,
}

impl Callers {
    async fn start(folder: &std::path::Path) -> Self {
        let server = Server::start(folder, &["--max-body-mib", "1"]);
        let tenant = server.tenant("Acme", "free").await;
        let (_, viewer) = server.key(&tenant, &["read"]).await;
        let (_, agent) = server.key(&tenant, &["ingest"]).await;
        let body = json!({"role": "billing", "name": "books"});
        let operator = Some(server.operator.as_str());
        let body = Some(body.to_string().into_bytes());
        let created = server.call(Method::POST, "/api/v1/admin/keys", operator, body);
        let created: Value = created.await.json().await.unwrap();
        Self {
            accountant: created["api_key"].as_str().unwrap().to_owned(),
            server,
            tenant,
            viewer,
            agent,
            page: String::new(),
        }
    }

    fn key(&self, by: By) -> Option<&str> {
        Some(match by {
            By::Nobody => return None,
            By::Unknown => "kg_unknown",
            By::Agent => &self.agent,
            By::Viewer => &self.viewer,
            By::Admin => &self.tenant.key,
            By::Operator => &self.server.operator,
            By::Accountant => &self.accountant,
        })
    }

    /// Sends `METHOD path [header: value]` and notes the refusal.
    async fn refuse(&mut self, by: By, line: &str, body: &str) {
        let mut words = line.splitn(3, ' ');
        let method: Method = words.next().unwrap().parse().unwrap();
        let path = words.next().unwrap().replace("ACME", &self.tenant.id);
        let url = format!("{}/api/v1{path}", self.server.url);
        let mut request = self.server.http.request(method, url);
        if let Some(key) = self.key(by) {
            request = request.header("x-api-key", key);
        }
        if let Some((name, value)) = words.next().and_then(|h| h.split_once(": ")) {
            request = request.header(name, value.as_bytes());
        }
        let response = request.body(body.to_owned()).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(!status.is_success(), "{line} by {by:?}: {text}");
        let error: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let error = &error["error"];
        let said = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
        assert!(
            !said("message").is_empty() && !said("request_id").is_empty(),
            "{text}"
        );
        let mut page = format!("{line} by {by:?}");
        if !body.is_empty() {
            page += &format!(" {}", body.chars().take(80).collect::<String>());
        }
        page += &format!(
            "\n  {} {}: {}\n",
            status.as_u16(),
            said("code"),
            said("message")
        );
        if error["hint"].is_string() {
            page += &format!("  hint: {}\n", said("hint"));
        }
        self.page += &page.replace(&self.tenant.id, "ACME");
    }
}

#[tokio::test]
async fn every_refusal_reads_well() {
    let folder = tempfile::tempdir().unwrap();
    let mut callers = Callers::start(folder.path()).await;
    callers_without_a_right(&mut callers).await;
    parameters(&mut callers).await;
    bodies(&mut callers).await;
    what_does_not_exist(&mut callers).await;
    states(&mut callers).await;
    let file = repository().join("tests/suite/snapshots/api-errors.txt");
    if std::env::var_os("KGRCA_WRITE_SNAPSHOTS").is_some() {
        std::fs::write(&file, &callers.page).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(callers.page, expected);
}

async fn callers_without_a_right(c: &mut Callers) {
    c.refuse(By::Nobody, "GET /stats", "").await;
    c.refuse(By::Unknown, "GET /stats", "").await;
    c.refuse(By::Agent, "GET /stats", "").await;
    c.refuse(By::Viewer, "POST /ingest/events", "{}").await;
    c.refuse(By::Operator, "GET /stats", "").await;
    c.refuse(By::Admin, "GET /admin/clients", "").await;
    c.refuse(By::Admin, "GET /admin/billing/plans", "").await;
    c.refuse(By::Accountant, "GET /admin/jobs", "").await;
    c.refuse(By::Viewer, "POST /keys", r#"{"role":"viewer"}"#)
        .await;
}

async fn parameters(c: &mut Callers) {
    for line in [
        "GET /incidents?limit=0",
        "GET /incidents?limit=1001",
        "GET /incidents?state=broken",
        "GET /incidents?severity=bad",
        "GET /incidents?nope=1",
        "GET /rca?at=yesterday",
        "GET /agents?limit=201",
        "GET /resources?label=web",
        "GET /usage?from=2026-13-01",
        "GET /audit?after=-1",
        "GET /incidents/stream last-event-id: x",
        "GET /stats authorization: Bearer kg_other",
        "PUT /stats",
    ] {
        c.refuse(By::Admin, line, "").await;
    }
    for line in [
        "GET /admin/jobs?state=broken",
        "GET /admin/jobs?cursor=x",
        "GET /admin/billing/ACME/preview?month=2026-13",
        "GET /admin/clients/ACME/export/nope",
        "DELETE /admin/clients/ACME?grace_days=366",
    ] {
        c.refuse(By::Operator, line, "").await;
    }
}

async fn bodies(c: &mut Callers) {
    c.refuse(By::Admin, "POST /ingest/metrics", "{}").await;
    c.refuse(By::Admin, "POST /ingest/events", " ").await;
    c.refuse(By::Admin, "POST /ingest/events", "[1,").await;
    c.refuse(By::Admin, "POST /ingest/events content-encoding: br", "{}")
        .await;
    c.refuse(
        By::Admin,
        "POST /ingest/events content-encoding: gzip",
        "{}",
    )
    .await;
    c.refuse(By::Admin, "POST /ingest/events x-cluster: é", "{}")
        .await;
    let large = format!("\"{}\"", "a".repeat(1 << 20));
    c.refuse(By::Admin, "POST /ingest/events", &large).await;
    c.refuse(By::Admin, "POST /rca/analyze", " ").await;
    let many = json!({"incident_ids": vec!["inc-1"; 101]}).to_string();
    c.refuse(By::Admin, "POST /rca/bulk", &many).await;
    c.refuse(By::Admin, "POST /query/cypher", "[]").await;
    c.refuse(By::Admin, "POST /query/cypher", r#"{"query":1}"#)
        .await;
    c.refuse(
        By::Admin,
        "POST /query/cypher",
        r#"{"query":"RETURN 1","limit":0}"#,
    )
    .await;
    c.refuse(By::Admin, "POST /keys", "{}").await;
    c.refuse(By::Admin, "POST /keys", r#"{"role":"king"}"#)
        .await;
    for body in [
        r#"{"name":"","plan":"free"}"#,
        r#"{"name":"Globex","plan":"gold"}"#,
        r#"{"name":"a\tb","plan":"free"}"#,
        r#"{"name":"a\u0000b","plan":"free"}"#,
    ] {
        c.refuse(By::Operator, "POST /admin/clients", body).await;
    }
    for body in [
        r#"{"plan":"gold"}"#,
        r#"{"limits":{"retention_days":0}}"#,
        r#"{"limits":{"api_minute":9223372036854775807}}"#,
        r#"{"limits":{"api_minute":9223372036854775808}}"#,
        r#"{"partitions":0}"#,
    ] {
        c.refuse(By::Operator, "PATCH /admin/clients/ACME", body)
            .await;
    }
}

async fn what_does_not_exist(c: &mut Callers) {
    c.refuse(By::Admin, "GET /nope", "").await;
    c.refuse(By::Admin, "GET /rca", "").await;
    for line in [
        "GET /rca/inc-1",
        "GET /incidents/inc-1",
        "GET /incidents/x",
        "GET /incidents/inc-1/timeline",
        "GET /resources/u-1",
        "DELETE /agents/prod",
        "DELETE /keys/key_nope",
    ] {
        c.refuse(By::Admin, line, "").await;
    }
    c.refuse(By::Admin, "POST /keys/key_nope/rotate", "{}")
        .await;
    for line in [
        "GET /admin/clients/client-nope-abc123",
        "GET /admin/jobs/job_nope",
        "GET /admin/sagas/saga_nope",
        "GET /admin/billing/client-nope-abc123/report",
        "GET /admin/billing/ACME/verify/job_nope",
        "DELETE /admin/clients/ACME/keys/key_nope",
    ] {
        c.refuse(By::Operator, line, "").await;
    }
}

async fn states(c: &mut Callers) {
    let resume = r#"{"act":"resume"}"#;
    let sagas = c
        .server
        .get("/api/v1/admin/sagas", &c.server.operator)
        .await;
    let saga = sagas["items"][0]["saga_id"].as_str().unwrap().to_owned();
    let before = c.page.len();
    let compensate = r#"{"act":"compensate"}"#;
    let line = format!("POST /admin/sagas/{saga}");
    c.refuse(By::Operator, &line, resume).await;
    c.refuse(By::Operator, &line, compensate).await;
    let rest = c.page.split_off(before).replace(&saga, "SAGA");
    c.page += &rest;
    let state = |state: &str| Some(json!({"state": state}).to_string().into_bytes());
    let path = format!("/api/v1/admin/clients/{}", c.tenant.id);
    let operator = c.server.operator.clone();
    let change = |state| c.server.call(Method::PATCH, &path, Some(&operator), state);
    assert_eq!(change(state("suspended")).await.status(), 200);
    // A daemon knows a key for two seconds.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let key = c.tenant.key.clone();
    while c
        .server
        .call(Method::GET, "/api/v1/stats", Some(&key), None)
        .await
        .status()
        == 200
    {
        assert!(std::time::Instant::now() < deadline);
    }
    c.refuse(By::Admin, "GET /stats", "").await;
}
