//! Bodies that are small to send and large to hold, and bodies that end after their sender lost its
//! rights.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::Method;
use serde_json::{Value, json};

use super::Watchdog;

/// Every route that takes a JSON object: its method and its path.
async fn routes(server: &Server) -> Vec<(Method, String)> {
    let document = server.get("/openapi.json", &server.operator).await;
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            // Records are not one object: they come as `Value`s or lines.
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if schema["$ref"].is_null() {
                continue;
            }
            let mut parts: Vec<&str> = path.split('/').collect();
            for part in &mut parts {
                if part.starts_with('{') {
                    *part = "inc-1";
                }
            }
            let method = method.to_uppercase().parse().unwrap();
            routes.push((method, parts.join("/")));
        }
    }
    assert!(routes.len() >= 12, "{routes:?}");
    routes
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The status of a compressed body, and the answer.
async fn send(server: &Server, route: &(Method, String), key: &str, body: &[u8]) -> (u16, Value) {
    let (method, path) = route;
    let request = server
        .http
        .request(method.clone(), format!("{}{path}", server.url))
        .header("x-api-key", key)
        .header("content-encoding", "gzip")
        .body(body.to_vec());
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_builds_millions_of_values_from_a_small_body() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let attacker = server.tenant("attacker", "enterprise").await;
    let victim = server.tenant("victim", "pro").await;
    let routes = routes(&server).await;
    let too_large = gzip(&format!(r#"{{"a":[{}0]}}"#, "[],".repeat(9_000_000)));
    let within = |value: &str| {
        let count = (1 << 20) / (value.len() + 1) - 16;
        gzip(&format!(
            r#"{{"a":[{}0]}}"#,
            format!("{value},").repeat(count)
        ))
    };
    let within = ["[]", r#"{"":0}"#, "0", r#"{"a":{"a":{}}}"#].map(within);
    let watchdog = Watchdog::start(&server, &victim).await;
    for route in &routes {
        let is_operator = route.1.contains("/admin/");
        let key = if is_operator {
            &server.operator
        } else {
            &attacker.key
        };
        let (status, answer) = send(&server, route, key, &too_large).await;
        assert_eq!(status, 413, "{route:?}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("iB after decompression"), "{message}");
        for body in &within {
            let (status, answer) = send(&server, route, key, body).await;
            assert!([400, 413].contains(&status), "{route:?}: {status} {answer}");
        }
    }
    watchdog.check().await;
}

/// A request whose head was sent and checked, and whose body is held back.
struct Held {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Held {
    fn begin(server: &Server, key: &str, method: &str, path: &str, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        let address = server.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        // The answer `100 Continue` shows that the handler waits for the body.
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\nexpect: 100-continue\r\n\
             content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let timeout = Some(Duration::from_mins(1));
        stream.set_read_timeout(timeout).unwrap();
        let mut answer = [0; 25];
        stream.read_exact(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 100"), "{answer:?}");
        stream.write_all(&body[..1]).unwrap();
        Self {
            stream,
            rest: body[1..].to_vec(),
        }
    }

    /// Sends the rest. Returns the status.
    fn end(mut self) -> u16 {
        self.stream.write_all(&self.rest).unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        answer[9..12].parse().unwrap()
    }
}

async fn call(server: &Server, method: Method, path: &str, key: &str, body: Value) -> Value {
    let body = Some(body.to_string().into_bytes());
    let response = server.call(method, path, Some(key), body).await;
    let status = response.status();
    assert!(status.is_success(), "{path}: {status}");
    response.json().await.unwrap_or_default()
}

/// What a tenant's admin can do with a body: method, path and body.
fn acts() -> [(&'static str, &'static str, Value); 6] {
    let log = json!({"cluster": "c", "severity": "ERROR", "pod": "p", "message": "GHOST"});
    let status = json!({"cluster": "c", "agent": "a", "version": "1"});
    [
        (
            "POST",
            "/api/v1/keys",
            json!({"name": "x", "role": "admin"}),
        ),
        ("POST", "/api/v1/ingest/logs", json!([log])),
        ("POST", "/api/v1/agents", status),
        (
            "PATCH",
            "/api/v1/incidents/inc-1",
            json!({"state": "resolved"}),
        ),
        (
            "POST",
            "/api/v1/incidents/inc-1/feedback",
            json!({"cause": 1}),
        ),
        (
            "POST",
            "/api/v1/query/cypher",
            json!({"query": "RETURN 1 AS a"}),
        ),
    ]
}

fn begin_all(server: &Server, key: &str) -> Vec<Held> {
    let begin =
        |(method, path, body): &(&str, &str, Value)| Held::begin(server, key, method, path, body);
    acts().iter().map(begin).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_before_the_body_ends_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let acme = server.tenant("acme", "pro").await;
    let (id, stolen) = server
        .key(&acme, &["admin", "ingest", "read", "query"])
        .await;
    let held = begin_all(&server, &stolen);
    let admin = json!({"name": "second", "role": "admin"});
    let keys = "/api/v1/admin/keys";
    let second = call(&server, Method::POST, keys, &server.operator, admin).await;
    let second_key = second["api_key"].as_str().unwrap();
    let tenant = json!({"name": "Ghost", "plan": "free"});
    let of_operator = [
        Held::begin(
            &server,
            second_key,
            "POST",
            "/api/v1/admin/clients",
            &tenant,
        ),
        Held::begin(&server, second_key, "POST", keys, &json!({"role": "admin"})),
    ];
    let path = format!("/api/v1/keys/{id}");
    call(&server, Method::DELETE, &path, &acme.key, json!({})).await;
    let path = format!("{keys}/{}", second["key_id"].as_str().unwrap());
    call(&server, Method::DELETE, &path, &server.operator, json!({})).await;
    for (held, act) in held.into_iter().zip(acts()) {
        assert_eq!(held.end(), 401, "{act:?}");
    }
    for held in of_operator {
        assert_eq!(held.end(), 401);
    }
    let listed = server.get("/api/v1/keys", &acme.key).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "{listed}");
    let tenants = server.get("/api/v1/admin/clients", &server.operator).await;
    assert_eq!(tenants["items"].as_array().unwrap().len(), 1, "{tenants}");
    let stats = server.get("/api/v1/stats", &acme.key).await;
    assert_eq!(stats["records"]["seen"], 0, "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_suspended_before_the_body_ends_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let acme = server.tenant("acme", "pro").await;
    let held = begin_all(&server, &acme.key);
    let path = format!("/api/v1/admin/clients/{}", acme.id);
    let change = json!({"state": "suspended"});
    call(&server, Method::PATCH, &path, &server.operator, change).await;
    for (held, act) in held.into_iter().zip(acts()) {
        assert_eq!(held.end(), 403, "{act:?}");
    }
}

/// The files below a folder whose names or contents have a text.
fn with_text(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let is_named = name.to_string_lossy().contains(text);
        if path.is_dir() {
            found.extend(with_text(&path, text));
        }
        let is_log = name == "daemon.log" || name.to_string_lossy().starts_with("meta.db");
        let bytes = std::fs::read(&path).unwrap_or_default();
        let holds = bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes());
        if is_named || holds && !is_log {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Deletes a tenant without a grace period, and waits until its data is gone.
async fn delete(server: &Server, tenant: &Tenant) {
    let path = format!("/api/v1/admin/clients/{}", tenant.id);
    let now = format!("{path}?grace_days=0");
    call(server, Method::DELETE, &now, &server.operator, json!({})).await;
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let response = server.call(Method::GET, &path, Some(&server.operator), None);
        if response.await.status() == 404 {
            return;
        }
        assert!(Instant::now() < deadline, "{} is still there", tenant.id);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_leaves_nothing_and_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let acme = server.tenant("acme", "pro").await;
    let log = json!([{"cluster": "c", "severity": "ERROR", "pod": "p", "message": "first"}]);
    server
        .ingest(&acme, "logs", log.to_string().into_bytes())
        .await;
    server.settled(&acme, 1).await;
    let held = begin_all(&server, &acme.key);
    delete(&server, &acme).await;
    for (held, act) in held.into_iter().zip(acts()) {
        let status = held.end();
        assert!([401, 403].contains(&status), "{act:?}: {status}");
    }
    assert_eq!(with_text(folder.path(), &acme.id), [""; 0]);
    assert_eq!(with_text(folder.path(), "GHOST"), [""; 0]);
    // What a daemon wrote that died before it noticed the deletion is removed at the next start.
    server.kill();
    let segment = format!("log/{}/logs/0/00000000000000000000.seg", acme.id);
    let segment = folder.path().join(segment);
    std::fs::create_dir_all(segment.parent().unwrap()).unwrap();
    std::fs::write(&segment, "GHOST").unwrap();
    let graph = folder.path().join(format!("graph/{}.mars", acme.id));
    std::fs::create_dir_all(graph.parent().unwrap()).unwrap();
    std::fs::write(&graph, "GHOST").unwrap();
    let _server = Server::start(folder.path(), &[]);
    let deadline = Instant::now() + Duration::from_mins(1);
    while !with_text(folder.path(), &acme.id).is_empty() {
        assert!(Instant::now() < deadline, "its files are still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
