//! Connections and bodies that a free tenant holds, and what others notice of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::Method;
use serde_json::{Value, json};

use super::Watchdog;
use super::stores::start;

fn connect(server: &Server) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(40)))
        .unwrap();
    stream
}

/// What a server sends until it closes the connection, or is silent.
fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut part = [0; 4096];
    while let Ok(n) = stream.read(&mut part) {
        if n == 0 {
            break;
        }
        text.extend_from_slice(&part[..n]);
        let so_far = String::from_utf8_lossy(&text);
        if so_far.contains("\r\n\r\n") && so_far.trim_end().ends_with('}') {
            break;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_bodies_of_one_key_hold_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let attacker = server.tenant("attacker", "free").await;
    let victim = server.tenant("victim", "pro").await;
    let watchdog = Watchdog::start(&server, &victim).await;
    let held = tokio::task::block_in_place(|| hold_bodies(&server, &attacker, 60));
    let refused = held.iter().filter(|text| text.contains(" 429 ")).count();
    assert!(refused > 40, "{refused} of 60 were refused");
    let polite = held.iter().filter(|text| text.contains("retry-after: 1"));
    assert_eq!(polite.count(), refused, "each refusal says when to retry");
    watchdog.check().await;
    let accepted = server.ingest(&attacker, "events", b"{}".to_vec()).await;
    assert_eq!(accepted["accepted"], 0, "what was held is given back");
}

/// Sends bodies of 24 MiB without their end. Returns what was answered to each.
fn hold_bodies(server: &Server, attacker: &Tenant, count: usize) -> Vec<String> {
    let head = format!(
        "POST /api/v1/ingest/logs HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nContent-Length: {}\r\n\r\n",
        attacker.key,
        30 << 20
    );
    let body = vec![b'a'; 24 << 20];
    let mut open: Vec<TcpStream> = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..count {
        let mut stream = connect(server);
        stream.write_all(head.as_bytes()).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        match stream.write_all(&body) {
            // The daemon has it, and waits for the rest.
            Ok(()) => open.push(stream),
            Err(_) => answers.push(answer(&mut stream)),
        }
    }
    for stream in &mut open {
        stream
            .set_read_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        answers.push(answer(stream));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_refused_and_freed() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &["--max-connections-per-address", "20"]);
    let admitted = || {
        let mut stream = connect(&server);
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut start = [0; 15];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        stream
    };
    let held: Vec<TcpStream> =
        tokio::task::block_in_place(|| (0..20).map(|_| admitted()).collect());
    let mut one_more = connect(&server);
    one_more
        .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let text = tokio::task::block_in_place(|| answer(&mut one_more));
    assert!(text.starts_with("HTTP/1.1 503"), "{text}");
    assert!(text.contains("retry-after: 5"), "{text}");
    drop((held, one_more));
    let deadline = Instant::now() + Duration::from_secs(10);
    let ask = || async {
        let response = reqwest::get(format!("{}/livez", server.url)).await;
        response.is_ok_and(|r| r.status().is_success())
    };
    while !ask().await {
        assert!(Instant::now() < deadline, "closed connections still count");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An answer to a request that a proxy passed on for a client.
fn ask_for(stream: &mut TcpStream, key: &str, client: &str, path: &str) -> String {
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nX-Forwarded-For: {client}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    String::from_utf8_lossy(&start).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_behind_a_trusted_proxy_are_limited_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--max-connections-per-address", "10"];
    let server = start(
        folder.path(),
        &[&options[..], &["--trusted-proxies", "127.0.0.1"]].concat(),
    );
    let tenant = server.tenant("acme", "enterprise").await;
    let key = &tenant.key;
    tokio::task::block_in_place(|| {
        let mut idle: Vec<TcpStream> = (0..30).map(|_| connect(&server)).collect();
        for (i, stream) in idle.iter_mut().enumerate() {
            let client = format!("198.51.100.{i}");
            let answer = ask_for(stream, key, &client, "/api/v1/stats");
            assert_eq!(answer, "HTTP/1.1 200", "the proxy has no limit");
        }
        // Streams are requests that stay in flight.
        let stream = "/api/v1/incidents/stream";
        let mut held: Vec<TcpStream> = (0..10).map(|_| connect(&server)).collect();
        for connection in &mut held {
            let answer = ask_for(connection, key, "203.0.113.5", stream);
            assert_eq!(answer, "HTTP/1.1 200");
        }
        let one_more = |client: &str| ask_for(&mut connect(&server), key, client, "/api/v1/stats");
        assert_eq!(one_more("203.0.113.5"), "HTTP/1.1 429");
        // What the client wrote itself stands before what the proxy added.
        assert_eq!(one_more("203.0.113.9, 203.0.113.5"), "HTTP/1.1 429");
        assert_eq!(one_more("203.0.113.6"), "HTTP/1.1 200");
        drop(held);
        let deadline = Instant::now() + Duration::from_secs(10);
        while one_more("203.0.113.5") != "HTTP/1.1 200" {
            assert!(Instant::now() < deadline, "ended streams still count");
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}

/// Addresses 127.0.0.2 and following, each with as many connections as one may have.
async fn take_all(server: &Server, addresses: u8, each: usize) -> Vec<tokio::net::TcpStream> {
    let to = server.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut held = Vec::new();
    for last in 2..2 + addresses {
        for _ in 0..each {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            let from = std::net::SocketAddr::from(([127, 0, 0, last], 0));
            socket.bind(from).unwrap();
            let mut stream = socket.connect(to).await.unwrap();
            let head = b"GET /livez HTTP/1.1\r\nHost: x\r\n";
            // Those beyond the limits are closed.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, head).await;
            held.push(stream);
        }
    }
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_a_key_leave_room_for_those_with_one_and_end_soon() {
    let folder = tempfile::tempdir().unwrap();
    let limits = [
        "--max-connections",
        "200",
        "--max-connections-per-address",
        "40",
    ];
    let server = start(folder.path(), &limits);
    let tenant = server.tenant("acme", "free").await;
    let victim = server.tenant("victim", "pro").await;
    let watchdog = Watchdog::start(&server, &victim).await;
    let began = Instant::now();
    let held = take_all(&server, 9, 40).await;
    for _ in 0..5 {
        // A connection of its own.
        let http = reqwest::Client::new();
        let url = format!("{}/api/v1/stats", server.url);
        let answer = http.get(url).header("x-api-key", &tenant.key).send().await;
        assert_eq!(answer.unwrap().status(), 200);
    }
    for mut stream in held {
        let mut rest = Vec::new();
        let end = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest);
        let _ = tokio::time::timeout(Duration::from_secs(20), end)
            .await
            .expect("a head without an end keeps its connection");
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "they ended after {took:?}");
    watchdog.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_and_heads_without_an_end_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let mut idle = connect(&server);
    let mut slow = connect(&server);
    slow.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        .unwrap();
    let mut kept = connect(&server);
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    tokio::task::block_in_place(|| {
        for stream in [&mut idle, &mut slow, &mut kept] {
            let mut rest = Vec::new();
            let end = stream.read_to_end(&mut rest);
            assert!(end.is_ok(), "still open after 40 s: {end:?}");
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_limited_and_end_with_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "enterprise").await;
    let (key_id, key) = server.key(&tenant, &["read"]).await;
    let victim = server.tenant("victim", "pro").await;
    let watchdog = Watchdog::start(&server, &victim).await;
    let mut streams = Vec::new();
    let follow = || server.call(Method::GET, "/api/v1/incidents/stream", Some(&key), None);
    let refusal = loop {
        let response = follow().await;
        if !response.status().is_success() {
            break response;
        }
        streams.push(response);
        assert!(streams.len() <= 64, "there is no limit");
    };
    assert_eq!(refusal.status(), 429);
    assert!(refusal.headers().contains_key("retry-after"));
    // The limit is that of the tenant, and of no other.
    let (_, another) = server.key(&tenant, &["read"]).await;
    for (key, status) in [(&another, 429), (&victim.key, 200)] {
        let path = "/api/v1/incidents/stream";
        let response = server.call(Method::GET, path, Some(key), None).await;
        assert_eq!(response.status(), status);
    }
    let path = format!("/api/v1/admin/clients/{}/keys/{key_id}", tenant.id);
    let operator = Some(server.operator.as_str());
    let revoked = server.call(Method::DELETE, &path, operator, None).await;
    assert_eq!(revoked.status(), 204);
    let started = Instant::now();
    for mut stream in streams {
        while let Ok(Some(_)) = stream.chunk().await {}
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "they ended after {took:?}");
    watchdog.check().await;
}

/// Opens a stream of events or rows and reads only its head.
fn follow_unread(server: &Server, key: &str, path: &str) -> TcpStream {
    let mut stream = connect(server);
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut start = [0; 15];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_ends_soon_after_its_key_was_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("acme", "enterprise").await;
    // More than fits into the buffers of a connection.
    let message = "x".repeat(4000);
    let log = |n: usize| {
        json!({"cluster": "c", "severity": "ERROR", "message": message,
        "pod_namespace": "n", "pod_name": format!("p{n}")})
    };
    for batch in 0..4 {
        let lines = (batch * 1500..(batch + 1) * 1500).map(|n| log(n).to_string());
        let lines = lines.collect::<Vec<_>>().join("\n");
        server.ingest(&tenant, "logs", lines.into_bytes()).await;
    }
    let operator = Some(server.operator.as_str());
    let keys = "/api/v1/admin/keys";
    let body = Some(
        json!({"role": "admin", "name": "second"})
            .to_string()
            .into_bytes(),
    );
    let second: Value = server
        .call(Method::POST, keys, operator, body)
        .await
        .json()
        .await
        .unwrap();
    let path = format!("/api/v1/admin/clients/{}/export/records", tenant.id);
    let key = second["api_key"].as_str().unwrap();
    let mut export = follow_unread(&server, key, &path);
    let path = format!("{keys}/{}", second["key_id"].as_str().unwrap());
    let revoked = server.call(Method::DELETE, &path, operator, None).await;
    assert_eq!(revoked.status(), 204);
    // Longer than between two checks of the key, in which the export is not read.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut rest = Vec::new();
    let end = tokio::task::block_in_place(|| export.read_to_end(&mut rest));
    assert!(
        !rest.ends_with(b"\r\n0\r\n\r\n"),
        "the export was completed: {end:?}"
    );
    assert!(rest.len() < 20 << 20, "{} bytes were sent", rest.len());
}
