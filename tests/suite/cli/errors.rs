//! Every error of the command line is shown: on one of the pages of this file, in another snapshot,
//! or by a test that names its text.

use std::fmt::Write;

use kgrca_tests::repository;
use regex::Regex;
use serde_json::{Value, json};

use super::fake::{self, ECHO, Route, ok, with};
use super::{Home, compare, shown};

/// Messages that no test shows, and why.
const NOT_SHOWN: &[(&str, &str)] = &[
    (
        "cannot set up the HTTP client",
        "a fault of the TLS library",
    ),
    ("unexpected kind ", "a kind that the manifest does not have"),
    (
        "cannot print the objects as YAML",
        "plain values can be printed",
    ),
    (
        "cannot print the result as YAML",
        "plain values can be printed",
    ),
    (
        "cannot print the result as JSON",
        "plain values can be printed",
    ),
    (
        "cannot write the report as JSON",
        "plain values can be printed",
    ),
    ("cannot write the manifest", "plain values can be printed"),
    ("the analysis panicked", "a bug that is not known"),
    (
        "no completion script for ",
        "every shell that the parser takes has one",
    ),
    (" was not deleted within ", "takes a minute"),
    ("; gave up after ", "takes minutes"),
    (
        "the demo's incident did not appear within ",
        "needs a broken server of this version",
    ),
    (
        "a record of the demo was rejected: ",
        "needs a broken server of this version",
    ),
    ("cannot start ", "needs a kgrcad that cannot be executed"),
    ("cannot read stdin", "stdin can be read"),
    ("not confirmed; nothing was changed", "asked at a terminal"),
    ("cannot read the ", "asked at a terminal"),
    ("cannot list ", "root may list every directory"),
    ("cannot lock ", "root may open every file"),
    (
        "cannot stop process ",
        "needs a machine without the command kill",
    ),
    (" did not exit", "takes a minute"),
    (" but is not serving yet", "lasts milliseconds"),
    (
        "cannot get credentials for context `",
        "needs a credential plugin that fails later than at the start",
    ),
    ("invalid request", "a path that is fixed"),
];

/// Runs a command and adds it to a page.
struct Page {
    home: Home,
    text: String,
}

impl Page {
    fn new() -> Self {
        let (home, text) = (Home::new(), String::new());
        Self { home, text }
    }

    /// A file in the home directory.
    fn file(&self, name: &str, content: &str) -> String {
        let path = self.home.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    fn run(&mut self, line: &str, variables: &[(&str, &str)]) {
        let home = self.home.0.path().display().to_string();
        let line = line.replace("HOME", &home);
        let args: Vec<&str> = line.split(' ').collect();
        let result = self.home.run_with(&args, variables);
        writeln!(self.text, "{}", shown(&args, result)).unwrap();
    }

    /// Against a server with these answers.
    fn answered(&mut self, line: &str, routes: Vec<Route>) {
        let url = fake::serve(routes);
        let variables = [
            ("KGRCA_URL", url.as_str()),
            ("KGRCA_API_KEY", "kg_x"),
            ("KGRCA_OPERATOR_KEY", "kg_op_x"),
        ];
        self.run(line, &variables);
        self.text = self.text.replace(&url, "SERVER");
    }

    fn compare(self, name: &str) {
        let home = self.home.0.path().display().to_string();
        compare(name, &self.text.replace(&home, "HOME"));
    }
}

#[test]
fn errors_of_files_and_settings_match_the_snapshot() {
    let mut page = Page::new();
    page.file("empty/readme.txt", "");
    page.file("case/a.json", "{}");
    page.file("file", "");
    page.file("taken/kgrca", "");
    page.file("none.json", r#"{"kind": "List", "items": []}"#);
    let record =
        std::fs::read_to_string(repository().join("tests/scenarios/config/key-missing.jsonl"));
    let stored = record.unwrap() + "{\"topic\":\"answer\",\"value\":{}}\n";
    page.run("analyze HOME/empty", &[]);
    page.run(
        "analyze --before tests/scenarios/config/key-missing.jsonl --after HOME/none.json",
        &[],
    );
    page.run("eval run HOME/case", &[]);
    page.run(
        "eval run tests/scenarios/silent --report md HOME/file/x",
        &[],
    );
    page.run("fault list --family storms", &[]);
    page.run("man --dir HOME/file", &[]);
    let file = page.home.0.path().join("file").display().to_string();
    page.run("up --detach", &[("XDG_DATA_HOME", file.as_str())]);
    page.file("stored.jsonl", &stored);
    page.run("replay HOME/stored.jsonl", &[]);
    page.run("context list", &[("HOME", "")]);
    let taken = page.home.0.path().join("taken").display().to_string();
    let config = [("XDG_CONFIG_HOME", taken.as_str())];
    page.run("context add prod --url http://127.0.0.1:1", &config);
    let key = [("KGRCA_API_KEY", "kg_x")];
    page.run("context add prod --url http://127.0.0.1:1", &key);
    page.run("context add prod --url http://127.0.0.1:2", &[]);
    let url = ("KGRCA_URL", "http://127.0.0.1:1");
    page.run("stats", &[url, ("KGRCA_API_KEY", "kg_\u{e4}")]);
    let authority = page.file("ca.pem", "no certificate");
    page.run(
        "stats",
        &[
            url,
            ("KGRCA_API_KEY", "kg_x"),
            ("KGRCA_CA_FILE", &authority),
        ],
    );
    page.run(
        "billing report --from 2026-02-01 --to 2026-02-01",
        &[url, key[0]],
    );
    let pods = "NAMESPACE   NAME    READY   STATUS    RESTARTS   AGE\n\
                shop        api-0   1/1     Running   0          9m\n";
    page.file("pods.txt", pods);
    page.run("analyze HOME/pods.txt -n shpo", &[]);
    page.run("analyze HOME/pods.txt -n monitoring", &[]);
    for manifest in [json!({}), manifest(9, &[]), manifest(1, &[])] {
        page.file("export/manifest.json", &manifest.to_string());
        page.run("tenant import HOME/export --plan free", &[url]);
    }
    for (name, content, mode) in [
        ("no.key", "", 0o600),
        ("open.key", KEY, 0o644),
        ("own.key", KEY, 0o600),
    ] {
        let file = page.file(name, content);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(file, mode).unwrap();
        let import = format!("tenant import HOME/export --plan free --key-file HOME/{name}");
        page.run(&import, &[url]);
    }
    page.run(
        "tenant import HOME/export --plan free --key-file HOME/gone",
        &[url],
    );
    page.file("sealed/manifest.json.enc", "x");
    page.run("tenant import HOME/sealed --plan free", &[url]);
    page.file("large/manifest.json", &" ".repeat((1 << 20) + 1));
    page.run("tenant import HOME/large --plan free", &[url]);
    let own = page.home.0.path().join("own.key").display().to_string();
    let certificate = ("KGRCA_CLIENT_CERT", own.as_str());
    page.run("stats", &[url, certificate]);
    page.run(
        "stats",
        &[url, certificate, ("KGRCA_CLIENT_KEY", own.as_str())],
    );
    page.compare("file-errors");
}

const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

fn manifest(format: u32, files: &[Value]) -> Value {
    json!({"format": format, "version": "9.0.0", "client_id": "client-acme-000000",
        "name": "Acme", "plan": "free", "exported_at": "2026-01-01T00:00:00Z",
        "was_served": false, "files": files})
}

fn tenant(id: &str, lag: u64) -> Value {
    json!({"client_id": id, "name": "Acme", "plan": "free", "state": "suspended",
        "contact_email": "", "created_at": "2026-01-01T00:00:00Z", "partitions": 1, "lag": lag,
        "events_today": 0, "rejected": 0, "storage_bytes": 0})
}

fn saga(state: &str, load: &str) -> Value {
    json!({"saga_id": "sg_1", "client_id": "client-acme-000000", "kind": "create",
        "state": state, "error": "the server refused", "request": "other",
        "steps": [{"step": "load", "state": load}],
        "client": tenant("client-acme-000000", 0), "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z"})
}

fn letter(topic: &str, record: &str) -> String {
    json!({"items": [{"id": 7, "at": "2026-01-01T00:00:00Z", "topic": topic,
        "reason": "invalid", "message": "invalid time", "record": record}]})
    .to_string()
}

/// Answers that a server gives only in rare moments, or that are not those of this version.
#[test]
fn errors_of_unusual_answers_match_the_snapshot() {
    let mut page = Page::new();
    let elsewhere = "302 Found\r\nlocation: https://elsewhere.example.com/";
    page.answered("stats", vec![with("GET", elsewhere, "")]);
    let endless = "x".repeat((1 << 20) + 1);
    let stream = "GET /api/v1/incidents/stream";
    page.answered("incident watch -o json", vec![ok(stream, endless)]);
    page.answered("incident watch -o json", vec![ok(stream, "data: x\n\n")]);
    let open = json!({"incident_id": "inc-1", "cluster": "prod", "state": "open",
        "severity": "ERROR", "started_at": "2026-01-01T00:00:00Z", "symptoms": 1});
    let incident = vec![ok("GET /api/v1/incidents/inc-1", open.to_string())];
    page.answered("incident wait inc-1 --timeout 0", incident);
    let known = json!({"items": [{"kind": "Secret", "namespace": "shop", "name": "db",
        "cluster": "prod", "component": "app/web", "labels": {}}]});
    let known = vec![ok("GET /api/v1/resources?", known.to_string())];
    page.answered("resource show Secret/db", known);
    rejected_records(&mut page);
    tenants(&mut page);
    page.compare("unusual-answers");
}

fn rejected_records(page: &mut Page) {
    const LIST: &str = "GET /api/v1/dlq";
    page.answered("dlq show 7", vec![ok(LIST, r#"{"items":[]}"#)]);
    page.answered("dlq retry 7", vec![ok(LIST, letter("logs.normalized", ""))]);
    let done = json!({"at": "2026-01-01T00:00:00Z", "id": 7, "topic": "logs.normalized",
        "reason": "torn", "message": "x", "record": "{}", "retried_at": "2026-01-02T00:00:00Z"});
    let done = json!({"items": [done]}).to_string();
    page.answered("dlq retry 7", vec![ok(LIST, done)]);
    let again = json!({"accepted": 0, "duplicate": 0, "rejected_count": 1, "rejected": [
        {"index": 1, "reason": "invalid", "message": "invalid time"}]});
    let routes = vec![
        ok(LIST, letter("logs.normalized", "{}")),
        ok("POST /api/v1/dlq/7/retry?again=false", again.to_string()),
    ];
    page.answered("dlq retry 7", routes);
    let unknown = page.file(
        "notify.yaml",
        "receivers: []\nroutes:\n- receiver: nowhere\n",
    );
    page.answered(&format!("notify apply -f {unknown}"), vec![]);
    let refused = r#"{"accepted":false,"reason":"the receiver answered 404 Not Found"}"#;
    let test = ok("POST /api/v1/notify/receivers/oncall/test", refused);
    page.answered("notify send oncall", vec![test]);
    let no_cluster = r#"{"accepted":0,"duplicate":0,"rejected":[{"index":0,"reason":"cluster_missing",
        "message":"the record names no `cluster`, and neither does the header `X-Cluster`"}]}"#;
    let ingest = "POST /api/v1/ingest/changes";
    page.answered("change record flag", vec![ok(ingest, no_cluster)]);
    page.answered("change record new --object deploy/api", vec![]);
}

fn tenants(page: &mut Page) {
    const ONE: &str = "GET /api/v1/admin/clients/client-acme-000000";
    let lagging = || tenant("client-acme-000000", 3).to_string();
    let export = "tenant export client-acme-000000 --out HOME";
    page.answered(export, vec![ok(ONE, lagging())]);
    page.answered(&format!("{export}/new"), vec![ok(ONE, lagging())]);
    let parts = "200 OK\r\ncontent-length: 100";
    let cut = with(
        "GET /api/v1/admin/clients/client-acme-000000/export",
        parts,
        "{",
    );
    let current = ok(ONE, tenant("client-acme-000000", 0).to_string());
    page.answered(&format!("{export}/new"), vec![cut, current]);
    let two = json!({"items": [tenant("client-acme-000000", 0), tenant("client-acme-000001", 0)]});
    let two = vec![ok("GET /api/v1/admin/clients", two.to_string())];
    page.answered("tenant show Acme", two);
    let back = saga("compensated", "pending").to_string();
    let moved = vec![ok("POST", back)];
    page.answered(
        "tenant move client-acme-000000 --graph-server g2:7687",
        moved,
    );
    page.answered("saga compensate sg_1", vec![ok("POST", "{}")]);
    let verify = "billing verify --tenant client-acme-000000";
    page.answered(verify, vec![ok("GET", r#"{"items":1}"#)]);
    imports(page);
}

/// Imports of an export without rows.
fn imports(page: &mut Page) {
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let parts = [
        "records",
        "clusters",
        "incidents",
        "causes",
        "edges",
        "episodes",
        "resources",
    ];
    let files: Vec<Value> = parts
        .iter()
        .map(|part| json!({"part": part, "file": "x", "rows": 0, "sha256": EMPTY}))
        .collect();
    page.file("export/manifest.json", &manifest(1, &files).to_string());
    for part in parts {
        page.file(&format!("export/{part}.jsonl"), "");
    }
    for saga in [saga("done", "done"), saga("running", "pending")] {
        let routes = vec![ok("GET /api/v1/admin/sagas/sg_1", saga.to_string())];
        page.answered("tenant import HOME/export --resume sg_1", routes);
    }
    let routes = vec![
        ok("GET /livez", ""),
        ok(
            "POST /api/v1/admin/imports/sg_1/",
            r#"{"rows":0,"records":0}"#,
        ),
        ok(
            "POST /api/v1/admin/imports",
            saga("running", "pending").to_string(),
        ),
        ok("GET /api/v1/admin/imports/sg_1/", "one row\n"),
    ];
    page.answered("tenant import HOME/export --plan free", routes);
}

fn kubeconfig(page: &Page, routes: Vec<Route>) -> String {
    let url = fake::serve(routes);
    write_kubeconfig(page, &url);
    url
}

fn write_kubeconfig(page: &Page, url: &str) {
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {}}]});
    page.file("kubeconfig", &config.to_string());
}

fn deployment(metadata: &Value) -> Route {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata});
    let path = "GET /apis/apps/v1/namespaces/observability/deployments/";
    ok(path, object.to_string())
}

fn refused(code: u16, message: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "reason": "NotFound", "message": message})
    .to_string()
}

/// Errors of `kgrca agent`, from an API server of Kubernetes that refuses.
#[test]
fn errors_of_clusters_match_the_snapshot() {
    let mut page = Page::new();
    let absent = || with("GET /", "404 Not Found", refused(404, "not found"));
    let stats = |id: &str| {
        let stats = json!({"client_id": id, "clusters": [], "lag": 0, "records": {"seen": 0,
            "applied": 0, "duplicate": 0, "rejected": 0}});
        ok("GET /api/v1/stats", stats.to_string())
    };
    let server = || {
        let created = json!({"key_id": "key_1", "name": "agent of prod", "last4": "gent",
            "scopes": ["ingest"], "created_at": "2026-01-01T00:00:00Z", "api_key": "kg_agent"});
        vec![
            stats("client-acme-000000"),
            ok("GET /api/v1/", r#"{"items":[]}"#),
            ok("POST /api/v1/keys", created.to_string()),
        ]
    };
    let helm = json!({"name": "kgrca-agent",
        "annotations": {"meta.helm.sh/release-name": "kgrca"}});
    let conflict = refused(409, "conflict with \"helm\": .spec.replicas");
    let other = json!({"name": "kgrca-agent"});
    let install = "agent install --cluster prod --server https://kgrca.example.com \
        --kubeconfig HOME/kubeconfig --timeout 1";
    let upgrade = install.replace("install", "upgrade");
    let kafka =
        format!("{install} --kafka kafka://client-globex-000000:secret@broker:9093?tls=true");
    let apply = "PATCH /";
    let cases: Vec<(&str, Vec<Route>)> = vec![
        (&upgrade, vec![absent()]),
        (install, vec![deployment(&helm)]),
        (install, vec![deployment(&other)]),
        (&kafka, vec![absent()]),
        (
            install,
            vec![
                absent(),
                with(apply, "403 Forbidden", refused(403, "forbidden")),
            ],
        ),
        (
            install,
            vec![absent(), with(apply, "409 Conflict", conflict)],
        ),
        (install, vec![absent(), with(apply, "200 OK", ECHO)]),
    ];
    for (line, routes) in cases {
        let cluster = kubeconfig(&page, routes);
        page.answered(line, server());
        page.text = page.text.replace(&cluster, "CLUSTER");
    }
    let cluster = "http://127.0.0.1:1";
    write_kubeconfig(&page, cluster);
    page.answered(install, server());
    page.compare("cluster-errors");
}

/// Errors of `kgrca analyze` without a file, from an API server of Kubernetes that refuses.
#[test]
fn errors_of_a_live_cluster_match_the_snapshot() {
    let mut page = Page::new();
    let analyze = "analyze --kubeconfig HOME/kubeconfig -n shop -o name";
    write_kubeconfig(&page, "http://127.0.0.1:1");
    page.run(&format!("{analyze} --context nowhere"), &[]);
    page.run("analyze --kubeconfig HOME/kubeconfig -n ../shop", &[]);
    page.run(analyze, &[]);
    let refusing = |code| with("GET /", code, refused(401, "Unauthorized"));
    let forbidden = || with("GET /", "403 Forbidden", refused(403, "forbidden"));
    let pods = json!({"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": []});
    let watch = "GET /api/v1/namespaces/shop/pods?&watch=true";
    let unwatchable = vec![
        with(watch, "403 Forbidden", refused(403, "forbidden")),
        ok("GET /api/v1/namespaces/shop/pods", pods.to_string()),
        forbidden(),
    ];
    for (line, routes) in [
        (analyze.to_owned(), vec![refusing("401 Unauthorized")]),
        (analyze.to_owned(), vec![forbidden()]),
        (format!("{analyze} --watch"), unwatchable),
    ] {
        let cluster = kubeconfig(&page, routes);
        page.run(&line, &[]);
        page.text = page.text.replace(&cluster, "CLUSTER");
    }
    let config = page.home.0.path().join("kubeconfig");
    let text = std::fs::read_to_string(&config).unwrap();
    let unusable = text.replace(r#""user":{}"#, r#""user":{"client-certificate-data":"!"}"#);
    page.file("kubeconfig", &unusable);
    page.run(analyze, &[]);
    page.file(
        "kubeconfig",
        &text.replace("current-context", "former-context"),
    );
    page.run(analyze, &[]);
    page.compare("live-errors");
}

/// Errors of `kgrca up`, with a real daemon.
#[test]
fn errors_of_a_local_server_match_the_snapshot() {
    let mut page = Page::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    page.run("up --detach --listen 127.0.0.1:0", &[]);
    page.text.clear();
    page.run("up --listen 127.0.0.1:1", &[]);
    let at = Regex::new(r"http://[0-9.:]+, not").unwrap();
    page.text = at.replace(&page.text, "URL, not").into_owned();
    page.run("up --stop", &[]);
    page.text
        .truncate(page.text.find("$ kgrca up --stop").unwrap());
    let other = page.home.0.path().join("other").display().to_string();
    page.run(
        &format!("up --detach --listen {taken}"),
        &[("XDG_DATA_HOME", other.as_str())],
    );
    page.text = page.text.replace(&taken, "TAKEN");
    page.compare("local-server-errors");
}

/// The longest text between the placeholders of a message.
fn fragment(literal: &str) -> Option<String> {
    let placeholders = Regex::new(r"\{[^}]*\}").unwrap();
    let literal = literal.replace("\\\"", "\"");
    let parts = placeholders.split(&literal);
    let longest = parts.max_by_key(|part| part.len())?;
    (!longest.trim().is_empty()).then(|| longest.to_owned())
}

/// The text of all files below a folder whose names end so.
fn texts(folder: &str, ending: &str) -> Vec<String> {
    let continued = Regex::new("\\\\\n\\s*").unwrap();
    let mut found = Vec::new();
    let mut folders = vec![repository().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.display().to_string().ends_with(ending) && !path.ends_with(file!()) {
                let text = std::fs::read_to_string(path).unwrap();
                found.push(continued.replace_all(&text, "").into_owned());
            }
        }
    }
    found
}

#[test]
fn every_error_of_the_command_line_is_shown() {
    let message = Regex::new(
        r#"(?:CliError::(?:failed|usage|not_found|new)\(\s*(?:Kind::\w+,\s*)?|\bmessage = )(?:format!\(\s*)?"((?:[^"\\]|\\.)*)""#,
    )
    .unwrap();
    let mut shown = texts("tests/suite/snapshots", ".txt").join("\n");
    shown += &texts("tests/real", ".rs").join("\n");
    shown += &texts("tests/suite", ".rs").join("\n");
    let mut messages = Vec::new();
    for source in texts("cli/src", ".rs") {
        let (code, tests) = source.split_once("#[cfg(test)]").unwrap_or((&source, ""));
        shown += tests;
        let found = message.captures_iter(code);
        messages.extend(found.filter_map(|m| fragment(&m[1])));
    }
    assert!(messages.len() > 90, "{} messages found", messages.len());
    let is_excused = |m: &str| NOT_SHOWN.iter().any(|(text, _)| m.contains(text));
    let is_missing = |m: &&String| !shown.contains(m.as_str()) && !is_excused(m);
    let missing: Vec<_> = messages.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "no test shows: {missing:#?}");
    let is_stale = |(text, _): &&(&str, &str)| !messages.iter().any(|m| m.contains(text));
    let stale: Vec<_> = NOT_SHOWN.iter().filter(is_stale).collect();
    assert!(stale.is_empty(), "no such message any more: {stale:?}");
}
