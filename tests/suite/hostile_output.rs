//! What a hostile server, or a record in an honest one, can do to the command line: nothing that
//! reaches a terminal is obeyed by it, and no key reaches another host.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use kgrca_tests::server::Tenant;
use kgrca_tests::{Server, binary, repository};
use serde_json::Value;

/// Sets a title, rings, clears the screen, goes back in the line, turns text around and hides.
const ESCAPES: &str = "\u{1b}]0;x\u{7}\u{1b}[2J\r\u{9b}31m\u{202e}\u{2066}\u{200b}\n\t=$(id)";

/// Keys of JSON whose values are words of a closed set, so that other text cannot be in them.
const WORDS: [&str; 17] = [
    "state",
    "severity",
    "verdict",
    "risk",
    "scopes",
    "mode",
    "metric",
    "to",
    "step",
    "scorer",
    "quantity",
    "price_month",
    "total",
    "amount",
    "unit_price",
    "domain",
    "events_1000",
];

/// An exit code with everything that was printed.
struct Printed {
    code: Option<i32>,
    out: String,
    err: String,
}

fn kgrca(args: &[&str], variables: &[(&str, &str)]) -> Printed {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(binary("kgrca"))
        .args(args)
        .current_dir(home.path())
        .env_clear()
        .env("HOME", home.path())
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Printed {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Whether a terminal, or a reader's eye, would obey a character.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn assert_harmless(args: &[&str], printed: &Printed) {
    // Tabs separate the columns of a table that is not printed to a terminal.
    let is_table = !args.contains(&"-o");
    let found = |text: &str| {
        text.chars()
            .find(|c| is_obeyed(*c) && *c != '\n' && !(is_table && *c == '\t'))
    };
    for text in [&printed.out, &printed.err] {
        assert_eq!(found(text), None, "{args:?}: {text:?}");
    }
}

/// Adds escapes to every string that may be any text.
fn poison(key: &str, value: &mut Value) {
    match value {
        Value::String(text) => {
            let is_time = text.parse::<jiff::Timestamp>().is_ok();
            let is_word = WORDS.contains(&key) || is_time;
            if !is_word {
                *text += ESCAPES;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|v| poison(key, v)),
        Value::Object(map) => {
            let is_saga = map.contains_key("saga_id");
            for (key, value) in map.iter_mut() {
                // The kind of a saga is a word, that of a resource any text.
                if !(is_saga && key == "kind") {
                    poison(key, value);
                }
            }
        }
        _ => {}
    }
}

/// The head and the body of an HTTP message.
fn read_message(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: "));
            let length = length.map(|n| n.parse().unwrap()).unwrap_or(0);
            if bytes.len() - end - 4 >= length {
                let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                return Some((head, bytes[end + 4..].to_vec()));
            }
        }
        let n = stream.read(&mut buffer).unwrap_or(0);
        if n == 0 {
            return None;
        }
        bytes.extend_from_slice(&buffer[..n]);
    }
}

/// Answers each request with what a function makes of it. Returns the address.
fn serve(answer: impl Fn(&str, &[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if let Some((head, body)) = read_message(&mut stream) {
                // The command may stop reading.
                let _ = stream.write_all(&answer(&head, &body));
            }
        }
    });
    address
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A proxy that adds escapes to every answer of a server.
fn poisoned(url: &str) -> String {
    let server: SocketAddr = url.trim_start_matches("http://").parse().unwrap();
    let address = serve(move |head, body| {
        let mut upstream = TcpStream::connect(server).unwrap();
        let head = format!("{head}\r\nconnection: close\r\n\r\n");
        upstream
            .write_all(&[head.as_bytes(), body].concat())
            .unwrap();
        let (head, body) = read_message(&mut upstream).unwrap();
        let status = head
            .lines()
            .next()
            .unwrap()
            .trim_start_matches("HTTP/1.1 ")
            .to_owned();
        let mut value: Value = serde_json::from_slice(&body).unwrap_or_default();
        poison("", &mut value);
        response(
            &status,
            "content-type: application/json\r\n",
            value.to_string().as_bytes(),
        )
    });
    format!("http://{address}")
}

/// Sends a recorded incident, and a record that is rejected.
async fn send_incident(server: &Server, tenant: &Tenant) {
    let file = repository().join("tests/scenarios/service/selector-mismatch-typo.jsonl");
    let scenario = std::fs::read_to_string(file).unwrap();
    let lines = scenario
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap());
    let lines: Vec<Value> = lines.collect();
    let mut sent = 0;
    let topics = [
        ("state.k8s.resource", "resources"),
        ("events.normalized", "events"),
        ("logs.normalized", "logs"),
        ("alerts.raw", "alerts"),
    ];
    for (topic, route) in topics {
        let mut batch = String::new();
        for line in lines.iter().filter(|l| l["topic"] == topic) {
            let mut value = line["value"].clone();
            value["cluster"] = "prod".into();
            if route == "resources" {
                value["at"] = "2026-03-16T04:32:34Z".into();
            }
            batch += &format!("{value}\n");
        }
        let answer = server.ingest(tenant, route, batch.into_bytes()).await;
        sent += answer["accepted"].as_u64().unwrap();
    }
    server
        .ingest(tenant, "events", b"{\"torn\": ".to_vec())
        .await;
    server.settled(tenant, sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_prints_what_a_terminal_obeys() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("acme", "enterprise").await;
    send_incident(&server, &tenant).await;
    let incidents = server.get("/api/v1/incidents", &tenant.key).await;
    let incident = incidents["items"][0]["incident_id"].as_str().unwrap();
    let resources = server.get("/api/v1/resources?kind=Pod", &tenant.key).await;
    let uid = resources["items"][0]["uid"].as_str().unwrap();
    let sagas = server.get("/api/v1/admin/sagas", &server.operator).await;
    let saga = sagas["items"][0]["saga_id"].as_str().unwrap();
    let url = poisoned(&server.url);
    let variables = [
        ("KGRCA_URL", url.as_str()),
        ("KGRCA_API_KEY", &tenant.key),
        ("KGRCA_OPERATOR_KEY", &server.operator),
    ];
    let commands: Vec<Vec<&str>> = vec![
        vec!["rca", incident],
        vec!["rca", incident, "--tree"],
        vec!["incident", "list"],
        vec!["incident", "show", incident],
        vec!["resource", "list"],
        vec!["resource", "show", uid],
        vec!["query", "MATCH (r:Resource) RETURN r.kind, r.name"],
        vec!["stats"],
        vec!["cluster", "list"],
        vec!["agent", "list"],
        vec!["dlq", "list"],
        vec!["key", "list"],
        vec!["key", "list", "--operator"],
        vec!["key", "create", "--role", "viewer"],
        vec!["audit", "list"],
        vec!["billing", "report"],
        vec!["billing", "limits"],
        vec!["billing", "preview", "--tenant", &tenant.id],
        vec!["tenant", "list"],
        vec!["tenant", "show", &tenant.id],
        vec!["saga", "list"],
        vec!["saga", "show", saga],
        vec!["job", "list"],
        vec!["doctor"],
    ];
    for command in &commands {
        for format in ["table", "json", "yaml", "csv", "name"] {
            let args = match format {
                "table" => command.clone(),
                _ => [&command[..], &["-o", format]].concat(),
            };
            let printed = kgrca(&args, &variables);
            let is_printed = printed.code == Some(0) || command[0] == "doctor";
            assert!(is_printed, "{args:?}: {}", printed.err);
            assert_harmless(&args, &printed);
        }
    }
    offers_safe_words_only(&variables);
}

/// What the shell's completion asks for.
fn offers_safe_words_only(variables: &[(&str, &str)]) {
    for words in [
        ["resource", "show", ""],
        ["incident", "show", ""],
        ["tenant", "show", ""],
    ] {
        let args: Vec<&str> = ["--", "kgrca"].into_iter().chain(words).collect();
        let variables: Vec<(&str, &str)> = [("COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", "3")]
            .into_iter()
            .chain(variables.iter().copied())
            .collect();
        let printed = kgrca(&args, &variables);
        let words = printed.out.split(['\u{b}', '\n']);
        for word in words {
            let is_safe = |c: char| c.is_ascii_alphanumeric() || "._:/@-".contains(c);
            assert!(word.chars().all(is_safe), "{word:?} of {args:?}");
        }
    }
}

#[test]
fn errors_of_a_hostile_server_are_text() {
    let detail = serde_json::json!({"error": {"code": ESCAPES, "message": ESCAPES,
        "hint": ESCAPES, "request_id": ESCAPES}});
    let body = detail.to_string();
    let address = serve(move |_, _| response("400 Bad Request", "", body.as_bytes()));
    let url = format!("http://{address}");
    let variables = [("KGRCA_URL", url.as_str()), ("KGRCA_API_KEY", "kg_x")];
    for args in [
        &["stats"][..],
        &["rca"],
        &["incident", "show", ESCAPES],
        &["fault", ESCAPES],
    ] {
        let printed = kgrca(args, &variables);
        assert_ne!(printed.code, Some(0));
        assert_harmless(args, &printed);
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let received = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&received);
    let other = serve(move |head, _| {
        log.lock().unwrap().push(head.to_owned());
        response("200 OK", "", b"{}")
    });
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        let location = format!("location: http://{other}/elsewhere\r\n");
        let address = serve(move |_, _| response(status, &location, b""));
        let url = format!("http://{address}");
        let variables = [
            ("KGRCA_URL", url.as_str()),
            ("KGRCA_API_KEY", "kg_x"),
            ("KGRCA_OPERATOR_KEY", "kg_o"),
        ];
        for args in [
            &["stats"][..],
            &["tenant", "list"],
            &["tenant", "create", "acme"],
            &["incident", "resolve", "inc-1"],
            &["incident", "watch"],
            &["doctor"],
        ] {
            let printed = kgrca(args, &variables);
            assert_ne!(printed.code, Some(0), "{args:?}");
            let text = printed.out + &printed.err;
            assert!(
                text.contains(&format!("redirects to http://{other}/elsewhere")),
                "{args:?}: {text}"
            );
        }
    }
    assert_eq!(*received.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn an_endless_answer_ends_the_command_and_not_the_machine() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = read_message(&mut stream);
            let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[");
            while sent.is_ok() {
                sent = stream.write_all(&vec![b' '; 64 << 10]);
            }
        }
    });
    let variables = [("KGRCA_URL", url.as_str()), ("KGRCA_API_KEY", "kg_x")];
    let printed = kgrca(&["stats"], &variables);
    assert_eq!(printed.code, Some(1));
    assert!(
        printed.err.contains("larger than 64 MiB"),
        "{}",
        printed.err
    );
}

#[test]
fn a_key_that_cannot_be_a_header_is_named_and_a_line_break_is_cut() {
    let received = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&received);
    let address = serve(move |head, _| {
        head.clone_into(&mut log.lock().unwrap());
        response("400 Bad Request", "", b"")
    });
    let url = format!("http://{address}");
    for key in ["kg_gehe\u{ef}m", "kg_a\nb", "kg_\u{7f}"] {
        let variables = [("KGRCA_URL", url.as_str()), ("KGRCA_API_KEY", key)];
        let printed = kgrca(&["stats"], &variables);
        assert_eq!(printed.code, Some(2), "{}", printed.err);
        assert!(printed.err.contains("KGRCA_API_KEY"), "{}", printed.err);
    }
    assert_eq!(*received.lock().unwrap(), "");
    let variables = [("KGRCA_URL", url.as_str()), ("KGRCA_API_KEY", "kg_x\r\n")];
    kgrca(&["stats"], &variables);
    assert!(received.lock().unwrap().contains("x-api-key: kg_x\r\n"));
}
