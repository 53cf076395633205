//! Bodies that are small to send and large to hold, and bodies that end after their sender lost its
//! rights.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use kgrca_tests::Server;
use reqwest::Method;
use serde_json::{Value, json};

use super::Watchdog;
use super::stores::start;

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
    let server = start(folder.path(), &[]);
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
pub(super) struct Held {
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
    pub(super) fn end(mut self) -> u16 {
        self.stream.write_all(&self.rest).unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        answer[9..12].parse().unwrap()
    }
}

pub(super) async fn call(
    server: &Server,
    method: Method,
    path: &str,
    key: &str,
    body: Value,
) -> Value {
    let body = Some(body.to_string().into_bytes());
    let response = server.call(method, path, Some(key), body).await;
    let status = response.status();
    assert!(status.is_success(), "{path}: {status}");
    response.json().await.unwrap_or_default()
}

/// What a tenant's admin can do with a body: method, path and body.
pub(super) fn acts() -> [(&'static str, &'static str, Value); 6] {
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

pub(super) fn begin_all(server: &Server, key: &str) -> Vec<Held> {
    let begin =
        |(method, path, body): &(&str, &str, Value)| Held::begin(server, key, method, path, body);
    acts().iter().map(begin).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_before_the_body_ends_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
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
    let server = start(folder.path(), &[]);
    let acme = server.tenant("acme", "pro").await;
    let held = begin_all(&server, &acme.key);
    let path = format!("/api/v1/admin/clients/{}", acme.id);
    let change = json!({"state": "suspended"});
    call(&server, Method::PATCH, &path, &server.operator, change).await;
    for (held, act) in held.into_iter().zip(acts()) {
        assert_eq!(held.end(), 403, "{act:?}");
    }
}
