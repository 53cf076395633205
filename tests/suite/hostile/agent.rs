//! What others in its cluster may try at an agent's own endpoints.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kgrca_tests::kube::AgentProcess;

const TOKEN: &str = "token-of-alertmanager";

/// An agent that reads the logs of a node without pods; its server is away.
fn agent(folder: &std::path::Path, more: &[(&str, &str)]) -> AgentProcess {
    let logs = folder.join("pods");
    std::fs::create_dir_all(&logs).unwrap();
    let environment = [
        ("KGRCA_CLUSTER", "prod"),
        ("KGRCA_URL", "http://127.0.0.1:9"),
        ("KGRCA_API_KEY", "key"),
        ("KGRCA_LOGS_FROM", logs.to_str().unwrap()),
        ("KGRCA_NODE", "node-1"),
        ("KGRCA_ALERTS_TOKEN", TOKEN),
    ];
    let all = environment.iter().chain(more);
    let all: Vec<_> = all
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    AgentProcess::start(&folder.join("agent"), &all)
}

fn connect(agent: &AgentProcess) -> TcpStream {
    let stream = TcpStream::connect(agent.url.strip_prefix("http://").unwrap()).unwrap();
    let timeout = Some(Duration::from_secs(20));
    stream.set_read_timeout(timeout).unwrap();
    stream
}

/// The status of the answer to a head, of which the body is not sent.
fn status(agent: &AgentProcess, head: &str) -> String {
    ask(&mut connect(agent), head)
}

fn ask(stream: &mut TcpStream, head: &str) -> String {
    let head = format!("{head}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    String::from_utf8_lossy(&start[9..]).into_owned()
}

/// What Prometheus asks for from another machine; the same machine sends a host of its own.
fn get(path: &str, host: &str, token: Option<&str>) -> String {
    let token = token.map(|token| format!("\r\nAuthorization: Bearer {token}"));
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}{}",
        token.unwrap_or_default()
    )
}

#[test]
fn metrics_and_status_are_for_the_machine_and_those_with_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let closed = agent(folder.path(), &[]);
    let far = "kgrca-agent.observability:7610";
    for path in ["/metrics", "/status"] {
        assert_eq!(status(&closed, &get(path, "localhost:7610", None)), "200");
        assert_eq!(status(&closed, &get(path, far, None)), "401");
        assert_eq!(status(&closed, &get(path, far, Some("guess"))), "401");
        assert_eq!(status(&closed, &get(path, far, Some(TOKEN))), "200");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(status(&closed, &get(path, far, None)), "200");
    }
    drop(closed);
    let open = agent(folder.path(), &[("KGRCA_OPEN_METRICS", "true")]);
    assert_eq!(status(&open, &get("/metrics", far, None)), "200");
}

#[test]
fn nothing_is_read_of_alerts_before_their_token_and_size_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(folder.path(), &[]);
    let alerts = |token: &str, bytes: usize| {
        format!(
            "POST /alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {bytes}"
        )
    };
    assert_eq!(status(&agent, &alerts("guess", 1 << 30)), "401");
    assert_eq!(status(&agent, &alerts(TOKEN, 1 << 30)), "413");
    let text = r#"{"version": "4", "alerts": [{"labels": {}}]}"#;
    let whole = format!("{}\r\n\r\n{text}", alerts(TOKEN, text.len()));
    assert_eq!(status(&agent, &whole), "400");
}

#[test]
fn connections_of_an_address_are_few_and_those_that_send_nothing_end_soon() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(folder.path(), &[]);
    let mut idle: Vec<_> = (0..3).map(|_| connect(&agent)).collect();
    let began = Instant::now();
    for stream in &mut idle {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "they ended after {took:?}");
    let mut open = Vec::new();
    while open.len() <= 16 {
        let mut stream = connect(&agent);
        if ask(&mut stream, &get("/livez", "x", None)) == "503" {
            break;
        }
        open.push(stream);
    }
    // Those that ended may count for a moment more.
    assert!((13..=16).contains(&open.len()), "{} are open", open.len());
}
