//! Snapshots of commands: exit code, stdout and stderr. `KGRCA_WRITE_SNAPSHOTS=1` updates them.

mod errors;
mod fake;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use kgrca_tests::{binary, repository};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Exit code, stdout and stderr of a command.
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        self.run_with(args, &[])
    }

    fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
        let output = Command::new(binary("kgrca"))
            .args(args)
            .current_dir(repository())
            .env_clear()
            .env("HOME", self.0.path())
            .env("TZ", "UTC")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |b: Vec<u8>| {
            String::from_utf8(b)
                .unwrap()
                .replace(&self.0.path().display().to_string(), "HOME")
        };
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

fn snapshot(name: &str, args: &[&str]) {
    compare(name, &shown(args, Home::new().run(args)));
}

/// A command line with its exit code and output.
fn shown(args: &[&str], (code, out, err): (i32, String, String)) -> String {
    format!(
        "$ kgrca {}\nexit {code}\n--- stdout\n{out}--- stderr\n{err}",
        args.join(" ")
    )
}

fn compare(name: &str, text: &str) {
    let file = repository()
        .join("tests/suite/snapshots")
        .join(format!("{name}.txt"));
    if std::env::var_os("KGRCA_WRITE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, expected, "{name}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "the steps build on each other")]
fn output_matches_the_snapshots() {
    snapshot("help", &["--help"]);
    snapshot("version", &["version"]);
    snapshot("no-command", &[]);
    snapshot("unknown-command", &["frobnicate"]);
    snapshot("no-context", &["rca"]);
    snapshot("context-list-empty", &["context", "list"]);
    snapshot("context-missing", &["rca", "--context", "nowhere"]);
    snapshot("config-show", &["config", "show"]);
    snapshot(
        "fault-list-family",
        &["fault", "list", "--family", "config"],
    );
    snapshot("fault-show", &["fault", "show", "config.secret_missing"]);
    snapshot("fault-missing", &["fault", "show", "config.nothing"]);
    snapshot(
        "explain-class",
        &[
            "explain-class",
            "HikariPool-1 - Connection is not available\nCaused by: java.net.ConnectException: \
             Connection refused",
        ],
    );
    snapshot("billing-plans", &["billing", "plans"]);
    snapshot("billing-plans-csv", &["billing", "plans", "-o", "csv"]);
    snapshot(
        "analyze",
        &[
            "analyze",
            "tests/scenarios/service/selector-mismatch-typo.jsonl",
        ],
    );
    snapshot(
        "analyze-json",
        &[
            "analyze",
            "-o",
            "json",
            "--top",
            "1",
            "tests/scenarios/scheduling/taint-not-tolerated.jsonl",
        ],
    );
    snapshot(
        "analyze-fail-on",
        &[
            "analyze",
            "--fail-on",
            "cause",
            "tests/scenarios/config/key-missing.jsonl",
        ],
    );
    snapshot(
        "analyze-fail-on-any",
        &[
            "analyze",
            "--fail-on",
            "any",
            "tests/scenarios/healthy/rollout.jsonl",
        ],
    );
    snapshot(
        "analyze-healthy",
        &[
            "analyze",
            "-o",
            "name",
            "tests/scenarios/healthy/rollout.jsonl",
        ],
    );
    snapshot(
        "analyze-csv",
        &[
            "analyze",
            "-o",
            "csv",
            "tests/scenarios/config/key-missing.jsonl",
        ],
    );
    snapshot("analyze-no-records", &["analyze", "LICENSE"]);
    snapshot("analyze-missing-file", &["analyze", "no-such-file.json"]);
    snapshot("analyze-no-kubeconfig", &["analyze"]);
    snapshot("analyze-live-and-file", &["analyze", "--watch", "x.json"]);
    snapshot("analyze-bad-selector", &["analyze", "-l", "app in web"]);
    snapshot(
        "analyze-bad-time",
        &["analyze", "--at", "yesterday", "x.json"],
    );
    snapshot(
        "replay",
        &["replay", "tests/scenarios/config/key-missing.jsonl"],
    );
    snapshot(
        "eval-report-format",
        &[
            "eval",
            "run",
            "tests/scenarios/node",
            "--report",
            "pdf",
            "x.pdf",
        ],
    );
    snapshot("eval-empty", &["eval", "run", "docs"]);
    let server = ["--server", "https://kgrca.example.com"];
    snapshot(
        "agent-manifest",
        &[
            &["agent", "manifest", "--cluster", "prod", "--logs"][..],
            &server,
        ]
        .concat(),
    );
    snapshot(
        "agent-manifest-no-server",
        &["agent", "manifest", "--cluster", "prod"],
    );
    snapshot(
        "agent-install-no-kubeconfig",
        &[&["agent", "install", "--cluster", "prod"][..], &server].concat(),
    );
    snapshot(
        "agent-uninstall-no-kubeconfig",
        &["agent", "uninstall", "--cluster", "prod", "--yes"],
    );
    snapshot("delete-without-terminal", &["context", "remove", "nothing"]);
}

fn manifest<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let first = ["agent", "manifest", "--server", "https://kgrca.example.com"];
    [&first[..], more].concat()
}

/// Each error that is found before a server is asked.
#[test]
fn errors_of_the_command_line_match_the_snapshot() {
    let home = Home::new();
    let file = |name: &str, content: &str| {
        let path = home.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let empty = file("empty.yaml", "");
    let invalid = file("invalid.txt", "no YAML: [");
    let missing = home.0.path().join("missing").display().to_string();
    let kafka = "--kafka=kafka://someone:secret@broker:9093";
    let url = [
        ("KGRCA_URL", "http://127.0.0.1:1"),
        ("KGRCA_API_KEY", "kg_x"),
    ];
    let offline = [
        vec!["context", "add", "x", "--url", "localhost:7600"],
        vec!["context", "use", "nowhere"],
        manifest(&["--cluster", ""]),
        vec![
            "agent",
            "manifest",
            "--cluster",
            "prod",
            "--server",
            "kgrca.example.com",
        ],
        manifest(&["--cluster", "prod", "--ca-file", &missing]),
        manifest(&["--cluster", "prod", "--ca-file", &invalid]),
        manifest(&["--cluster", "prod", kafka]),
        manifest(&[
            "--cluster",
            "prod",
            "--kafka=kafka://${env:USER}@broker:9093",
        ]),
        vec!["eval", "run", "tests/scenarios/node", "--labels", &invalid],
        vec!["eval", "run", "tests/scenarios/node", "--weights", &invalid],
        vec!["eval", "compare", &invalid, &invalid],
        vec!["replay", &empty],
        vec!["tenant", "import", &missing, "--plan", "free"],
        vec!["up", "--stop", "--detach"],
        vec!["incident", "feedback", "inc-1"],
    ];
    let online = [
        vec!["query", "RETURN $x", "--param", "x"],
        vec!["diff", "web"],
        vec!["key", "create"],
        vec!["key", "create", "--role", "viewer", "--scopes", "read"],
        vec!["key", "create", "--operator"],
        vec!["key", "revoke", "key_1"],
        vec!["audit", "list", "--tenant", "acme"],
        vec!["tenant", "update", "client-acme-000000"],
        vec![
            "tenant",
            "update",
            "client-acme-000000",
            "--limits",
            "rca_hour",
        ],
        vec![
            "tenant",
            "update",
            "client-acme-000000",
            "--limits",
            "rca_week=1",
        ],
        vec!["tenant", "list"],
    ];
    let mut text = String::new();
    for args in offline {
        text += &(shown(&args, home.run(&args)) + "\n");
    }
    for args in online {
        text += &(shown(&args, home.run_with(&args, &url)) + "\n");
    }
    compare(
        "usage-errors",
        &text.replace(&home.0.path().display().to_string(), "HOME"),
    );
}

/// Lists of changes as a server has them.
#[test]
fn changes_and_differences_match_the_snapshot() {
    let home = Home::new();
    let change = r#"{"cluster":"prod","at":"2026-01-01T10:00:00Z","kind":"Service","namespace":
        "shop","name":"cart","verb":"changed","fields":[{"path":"spec.selector.app","old":"cart",
        "new":"cart-v2"},{"path":"data.key","old":"changed","new":"changed"}],"more":2,
        "by":"kubectl-edit","via":"Helm release shop"}"#;
    let gone = r#"{"cluster":"prod","at":"2026-01-01T10:01:00Z","kind":"Secret","namespace":
        "shop","name":"db","verb":"deleted"}"#;
    let one = format!(r#"{{"items":[{change},{gone}],"next":null}}"#);
    let none = r#"{"items":[],"next":null}"#.to_owned();
    // More objects than are looked through for the one that is meant.
    let many = r#"{"items":[],"next":"1"}"#.to_owned();
    let (before, since) = ("2026-01-01T08:00:00Z", "2026-01-01T09:00:00Z");
    let commands = [
        (&one, vec!["changes", "--since", since, "-n", "shop"]),
        (&one, vec!["changes", "--since", since, "-o", "json"]),
        (
            &one,
            vec![
                "diff",
                "Service/cart",
                "--from",
                since,
                "--to",
                "2026-01-01T11:00:00Z",
            ],
        ),
        (&none, vec!["diff", "Service/cart", "--from", since]),
        (
            &none,
            vec!["diff", "svc", "cart", "--from", since, "--to", before],
        ),
        (&none, vec!["changes", "--since", since, "--until", before]),
        (
            &many,
            vec![
                "diff",
                "svc/cart",
                "--from",
                since,
                "--to",
                "2026-01-01T11:00:00Z",
            ],
        ),
    ];
    let mut text = String::new();
    for (body, args) in commands {
        let url = server_answering("200 OK", body);
        let variables = [("KGRCA_URL", url.as_str()), ("KGRCA_API_KEY", "kg_x")];
        text += &format!("{}\n", shown(&args, home.run_with(&args, &variables)));
    }
    compare("changes", &text);
}

/// A server that gives every request the same answer. Returns its URL.
fn server_answering(head: &str, body: &str) -> String {
    let answer = format!(
        "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

/// Each error of the API as a user sees it.
#[test]
fn errors_of_the_server_match_the_snapshot() {
    let home = Home::new();
    let detail = |code: &str, message: &str, hint: &str| {
        let error = format!(r#""code":"{code}","message":"{message}","hint":"{hint}""#);
        format!(r#"{{"error":{{{error},"request_id":"r1"}}}}"#)
    };
    let upgrade = "wait for the next day (UTC) or change the plan";
    let answers = [
        (
            "400 Bad Request",
            detail("invalid_request", "invalid limit", "use 1 to 1000"),
        ),
        (
            "401 Unauthorized",
            detail("unauthenticated", "unknown API key", "send a key"),
        ),
        (
            "403 Forbidden",
            detail(
                "forbidden",
                "the tenant is suspended",
                "contact your provider",
            ),
        ),
        (
            "404 Not Found",
            detail("not_found", "incident inc-9 not found", "GET /incidents"),
        ),
        (
            "409 Conflict",
            detail("conflict", "was modified concurrently", "reload and retry"),
        ),
        (
            "413 Payload Too Large",
            detail("payload_too_large", "body too large", "split it"),
        ),
        (
            "429 Too Many Requests\r\nretry-after: 7200",
            detail("quota_exceeded", "daily limit reached", upgrade),
        ),
        (
            "500 Internal Server Error",
            detail("internal", "the store failed", "see the log"),
        ),
        ("502 Bad Gateway", "<html>bad gateway</html>".to_owned()),
        (
            "503 Service Unavailable",
            detail("unavailable", "the log is full", "free space"),
        ),
        ("200 OK", "not JSON".to_owned()),
    ];
    let mut text = String::new();
    for (head, body) in answers {
        let url = server_answering(head, &body);
        let variables = [("KGRCA_URL", url.as_str()), ("KGRCA_API_KEY", "kg_x")];
        let args = ["incident", "show", "inc-9"];
        let result = home.run_with(&args, &variables);
        text += &format!("{}\n", shown(&args, result));
    }
    let lines = text
        .lines()
        .map(|line| match line.split_once("retry after ") {
            Some((before, after)) => {
                let rest = after.split_once(';').map(|(_, rest)| rest).unwrap();
                format!("{before}retry after TIME;{rest}\n")
            }
            None => format!("{line}\n"),
        });
    compare("server-errors", &lines.collect::<String>());
}

#[test]
fn an_unreachable_server_exits_with_6() {
    let home = Home::new();
    let output = Command::new(binary("kgrca"))
        .arg("stats")
        .env_clear()
        .env("HOME", home.0.path())
        .env("KGRCA_URL", "http://127.0.0.1:1")
        .env("KGRCA_API_KEY", "kg_x")
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(6),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint:"));
}

#[test]
fn an_invalid_server_url_is_a_usage_error() {
    let home = Home::new();
    for address in ["localhost:7600", "not a url", "ftp://host", "http://"] {
        let output = Command::new(binary("kgrca"))
            .arg("stats")
            .env_clear()
            .env("HOME", home.0.path())
            .env("KGRCA_URL", address)
            .env("KGRCA_API_KEY", "kg_x")
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{address}: {err}");
        assert!(
            err.contains(&format!("invalid server URL `{address}`")),
            "{err}"
        );
    }
}

#[test]
fn up_starts_finds_and_stops_its_own_daemon() {
    let home = Home::new();
    let (code, out, err) = home.run(&["up", "--status"]);
    assert_eq!(
        (code, out.as_str(), err.contains("no kgrcad is running in")),
        (10, "", true),
        "{err}"
    );
    let (code, _, err) = home.run(&["up", "--detach", "--listen", "127.0.0.1:0"]);
    assert_eq!(code, 0, "{err}");
    let (code, url, err) = home.run(&["up", "--status", "-o", "name"]);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = home.run(&["up", "--detach"]);
    assert!(
        code == 0 && err.contains(&format!("is already serving at {}", url.trim())),
        "{err}"
    );
    let (code, _, err) = home.run(&["stats"]);
    assert_eq!(code, 0, "the context is in effect: {err}");
    let (code, out, err) = home.run(&["key", "list", "--tenant", "local"]);
    assert_eq!(
        (code, out.lines().count()),
        (0, 1),
        "one tenant, found by name, with one key: {err}"
    );
    let (code, _, err) = home.run(&["tenant", "show", "nobody"]);
    assert_eq!(
        (code, err.contains("tenant `nobody` not found")),
        (3, true),
        "{err}"
    );
    administers_its_own_tenant(&home);
    let (code, _, err) = home.run(&["up", "--stop"]);
    assert!(code == 0 && err.contains("stopped kgrcad"), "{err}");
    let (code, _, err) = home.run(&["stats"]);
    assert_eq!(code, 6, "{err}");
    let (code, _, err) = home.run(&["up", "--stop"]);
    assert!(
        code == 0 && err.contains("no kgrcad is running in"),
        "{err}"
    );
}

/// With the tenant's key alone, all nouns work on the key's own tenant.
fn administers_its_own_tenant(home: &Home) {
    let all = std::fs::read_to_string(home.0.path().join(".config/kgrca/contexts.yaml")).unwrap();
    let line = |name: &str| {
        let value = all.lines().find_map(|l| l.trim().strip_prefix(name));
        value.unwrap().trim().to_owned()
    };
    let (url, key) = (line("url:"), line("api_key:"));
    let run = |args: &[&str]| {
        let variables = [("KGRCA_URL", url.as_str()), ("KGRCA_API_KEY", key.as_str())];
        home.run_with(args, &variables)
    };
    for args in [
        &["key", "list"][..],
        &["audit", "list"],
        &["audit", "verify"],
        &["billing", "report"],
        &["billing", "limits"],
        &["stats"],
        &["cluster", "list"],
        &["agent", "list"],
    ] {
        let (code, _, err) = run(args);
        assert_eq!(code, 0, "{args:?}: {err}");
    }
    let create = ["key", "create", "--name", "ci", "--role", "viewer"];
    let (code, created, err) = run(&create);
    assert_eq!(code, 0, "{err}");
    let id = created.split('\t').next().unwrap();
    let (code, rotated, err) = run(&["key", "rotate", id]);
    assert!(code == 0 && rotated != created, "{err}");
    let (code, _, err) = run(&["key", "revoke", id, "--yes"]);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = run(&["key", "list", "--tenant", "local"]);
    assert!(
        code == 4 && err.contains("--tenant needs the operator's key"),
        "{err}"
    );
    let (code, _, err) = run(&["tenant", "list"]);
    assert!(
        code == 4 && err.contains("this command needs the operator's key"),
        "{err}"
    );
    let (code, _, err) = run(&["incident", "show", "inc-99"]);
    assert!(
        code == 3 && err.contains("hint: kgrca incident list"),
        "{err}"
    );
}

#[test]
fn a_closed_pipe_is_success() {
    let script = format!(
        "{} fault list | head -1 >/dev/null; echo ${{PIPESTATUS[0]}}",
        binary("kgrca").display()
    );
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0");
}

#[test]
fn the_demo_explains_an_incident_and_cleans_up() {
    let home = Home::new();
    let (code, out, err) = home.run(&["demo"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("cause: app/presence service.selector_mismatch ("),
        "{out}"
    );
    assert!(
        err.contains("tenant client-demo-") && err.contains("usage:"),
        "{err}"
    );
    assert_eq!(
        std::fs::read_dir(home.0.path()).unwrap().count(),
        0,
        "the demo cleans up"
    );
}

#[test]
fn parallel_jobs_give_the_same_output() {
    let home = Home::new();
    let one = home.run(&[
        "analyze",
        "--separate",
        "-o",
        "json",
        "tests/scenarios/config",
    ]);
    let two = home.run(&[
        "analyze",
        "--separate",
        "-o",
        "json",
        "--jobs",
        "2",
        "tests/scenarios/config",
    ]);
    assert_eq!(one, two);
    assert!(one.1.lines().count() >= 6);
}
