//! Requests whose meaning is ambiguous, and headers of answers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use kgrca_tests::Server;
use reqwest::Method;

use super::stores::start;

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream
}

/// The status line of the answer to raw bytes.
fn status(server: &Server, request: &[u8]) -> String {
    let mut stream = connect(server);
    stream.write_all(request).unwrap();
    let mut answer = [0; 512];
    let n = stream.read(&mut answer).unwrap_or(0);
    let text = String::from_utf8_lossy(&answer[..n]);
    text.lines().next().unwrap_or("closed").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_requests_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "free").await;
    let key = &tenant.key;
    tokio::task::block_in_place(|| {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        let answer = status(&server, preface);
        assert!(
            !answer.contains("200") && !answer.starts_with('\0'),
            "{answer:?}"
        );
        let get = |headers: &str| {
            let request =
                format!("GET /api/v1/stats HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
            status(&server, request.as_bytes())
        };
        let twice = get(&format!("Host: a\r\nHost: b\r\nX-API-Key: {key}\r\n"));
        assert!(twice.contains("400"), "{twice}");
        for keys in [
            format!("X-API-Key: {key}\r\nX-API-Key: kg_other\r\n"),
            format!("X-API-Key: kg_other\r\nAuthorization: Bearer {key}\r\n"),
            format!("X-API-Key: k\u{fc}\r\nAuthorization: Bearer {key}\r\n"),
            "X-API-Key: k\u{fc}\r\n".to_owned(),
            "Authorization: Basic YTpi\r\n".to_owned(),
        ] {
            let answer = get(&format!("Host: a\r\n{keys}"));
            assert!(answer.contains("401"), "{keys}: {answer}");
        }
        let fine = get(&format!("Host: a\r\nAuthorization: Bearer {key}\r\n"));
        assert!(fine.contains("200"), "{fine}");
    });
}

/// A proxy in front that reads such a request otherwise would let another one through.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_two_ends_is_refused_and_its_connection_closed() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "free").await;
    let key = &tenant.key;
    tokio::task::block_in_place(|| {
        let behind = "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let post = |headers: &str, body: &str| {
            let request = format!(
                "POST /api/v1/ingest/events HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\
                 {headers}\r\n{body}{behind}"
            );
            let mut stream = connect(&server);
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            // A reset because of what was not read ends it, too.
            let _ = stream.read_to_string(&mut answer);
            answer
        };
        for (headers, body) in [
            (
                "Content-Length: 8\r\nTransfer-Encoding: chunked\r\n",
                "2\r\n{}\r\n0\r\n\r\n",
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 8\r\n",
                "2\r\n{}\r\n0\r\n\r\n",
            ),
            ("Content-Length: 2\r\nContent-Length: 2\r\n", "{}"),
            ("Content-Length: 2, 2\r\n", "{}"),
            ("Content-Length : 2\r\n", "{}"),
            ("X: y\r\n z\r\nContent-Length: 2\r\n", "{}"),
            ("Content-Length: 2\n", "{}"),
            (
                "Transfer-Encoding: gzip, chunked\r\n",
                "2\r\n{}\r\n0\r\n\r\n",
            ),
        ] {
            let answer = post(headers, body);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{headers:?}: {answer}");
            assert_eq!(
                answer.matches("HTTP/1.1 ").count(),
                1,
                "{headers:?}: {answer}"
            );
        }
        for (headers, body) in [
            ("Content-Length: 2\r\n", "{}"),
            (
                "Transfer-Encoding: chunked\r\n",
                "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            ),
        ] {
            let answer = post(headers, body);
            assert!(answer.starts_with("HTTP/1.1 202 "), "{headers:?}: {answer}");
            assert_eq!(
                answer.matches("HTTP/1.1 200 ").count(),
                1,
                "{headers:?}: {answer}"
            );
        }
    });
}

/// PostgreSQL fails on it, SQLite compares it: neither is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_nul_in_a_url_is_refused_before_a_store_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "free").await;
    for path in [
        "/api/v1/incidents?component=%00",
        "/api/v1/incidents/inc%001",
        "/api/v1/resources/a%00b",
        "/api/v1/timeline?resource=x%00",
        "/api/v1/keys/%00",
    ] {
        let answer = server
            .call(Method::GET, path, Some(&tenant.key), None)
            .await;
        assert_eq!(answer.status(), 400, "{path}");
    }
    let path = "/api/v1/incidents?component=%2500";
    let answer = server
        .call(Method::GET, path, Some(&tenant.key), None)
        .await;
    assert_eq!(answer.status(), 200, "an escaped percent sign");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_cannot_be_read_is_not_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "free").await;
    for (name, value) in [
        ("idempotency-key", "ä"),
        ("idempotency-key", " "),
        ("x-cluster", "prod\u{e9}"),
    ] {
        let request = server
            .http
            .post(format!("{}/api/v1/ingest/events", server.url))
            .header("x-api-key", &tenant.key)
            .header(name, value.as_bytes())
            .body("{}");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 400, "{name}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_not_text_is_refused_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "free").await;
    for path in [
        "rca/%ff",
        "incidents/%C3",
        "resources/%c3%28/health",
        "agents/%ff",
    ] {
        let path = format!("/api/v1/{path}");
        let response = server.call(Method::GET, &path, Some(&tenant.key), None);
        let response = response.await;
        assert_eq!(response.status(), 400, "{path}");
        let answer: serde_json::Value = response.json().await.unwrap();
        assert_eq!(answer["error"]["code"], "invalid_request", "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_security_headers() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    for path in ["/docs", "/openapi.json", "/livez", "/api/v1/stats", "/nope"] {
        let response = server.call(Method::GET, path, None, None).await;
        let headers = response.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_send_does_not_use_up_the_rate_of_senders() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "free").await;
    let (_, viewer) = server.key(&tenant, &["read"]).await;
    let mut refused = 0;
    for _ in 0..2100 {
        let body = Some(b"{}".to_vec());
        let path = "/api/v1/ingest/events";
        let response = server.call(Method::POST, path, Some(&viewer), body).await;
        refused += u32::from(response.status() == 429);
    }
    assert!(refused > 0, "the viewer ran into a limit of its own");
    server.ingest(&tenant, "events", b"{}".to_vec()).await;
}
