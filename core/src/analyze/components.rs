//! No text can invent a component: whatever programs log, the components stay those of the objects.

use crate::detect::Catalogue;
use crate::engine::ClusterState;
use crate::model::{Kind, Time};
use crate::parse::{Context, parse_any};
use crate::rca::Weights;

/// Lines as 44 programs write them. `{f}` is a place in a source, `{c}` a class, `{l}` a logger,
/// `{v}` a version, `{n}` a number, `{w}` a word, `{j}` an archive.
const LINES: [&str; 44] = [
    "2026-01-01 10:00:00,{n} ERROR [main] {l}: {e}",
    "2026-01-01 10:00:00.{n} ERROR 1 --- [main] {c} : {e}",
    "10:00:00.{n} [pool-1-thread-{n}] ERROR {l} - {e}",
    "{c}: {e}\n\tat {l}.{w}({f}) ~[{j}:{v}]",
    "java.lang.IllegalStateException: {e}\n\tat {l}.{c}.{w}({f})\nCaused by: {c}: {e}",
    "E0101 10:00:00.{n}       1 {f}] \"{w} failed\" err=\"{e}\"",
    "time=\"2026-01-01T10:00:00Z\" level=error msg=\"{e}\" caller={f}",
    "level=error ts=2026-01-01T10:00:00.{n}Z caller={f} msg=\"{w}\" err=\"{e}\"",
    "{\"level\":\"error\",\"logger\":\"{l}\",\"caller\":\"{f}\",\"msg\":\"{e}\",\"n\":{n}}",
    "[2026-01-01 10:00:00 +0000] [{n}] [ERROR] {l}: {e}",
    "Traceback (most recent call last):\n  File \"/app/{f}\", line {n}, in {w}\n    x\n{c}: {e}",
    "{f}:{n}: ERROR {w}: {e}",
    "ERROR {f}:{n} {e}",
    "[{f}] {e}",
    "{{f}} ERROR - {e}",
    "Error: {e}\n    at {w} (/app/node_modules/{w}/{f}:{n}:{n})",
    "    at {c}.{w} (node:internal/{w}:{n}:{n}) {e}",
    "panic: {e}\n\ngoroutine 1 [running]:\nmain.{w}(...)\n\t/src/{f} +0x{n}",
    "Unhandled exception. {c}: {e}\n   at {c}.{w}() in /src/{f}:line {n}",
    "fail: {c}[{n}]\n      {e}",
    "I, [2026-01-01T10:00:00.{n} #{n}] ERROR -- : {l}: {e}",
    "PHP Fatal error:  Uncaught {c}: {e} in /var/www/{f}:{n}",
    "thread 'main' panicked at src/{f}:{n}: {e}",
    "nginx: [emerg] {e} in /etc/nginx/nginx.conf:{n}",
    "*{n} {e} while reading response header, client: {w}, request: \"GET /{w} HTTP/1.1\"",
    "[WARN  tini ({n})] {e}",
    "npm ERR! {w}@{v} start: `{w}`: {e}",
    "postgres[{n}]: [{n}-1] ERROR: {e} at character {n}",
    "[Server] [ERR-{n}] {w} v{v}: {e}",
    "{n}:M 01 Jan 2026 10:00:00.{n} # {e}",
    "[{n}] {l}:{n} {e}",
    "{l}:{n} - {e}",
    "module={l}:{n} version={v}:{n} {e}",
    "user-agent: {w}/{v} (+https://docs.{w}.org/{w}.html): {e}",
    "{e}. See https://{w}.dev/docs/errors#{n} for details",
    "{e} (loaded from {j}:{n}, checked at 10:{n}:00)",
    "ratio {n}:{n} took:{n} code:{n} line:{n}: {e}",
    "image {w}/{w}:{v} digest sha256:{n}: {e}",
    "label app.{w}.io/name={w} key metrics.{w}.total:{n} {e}",
    "socket unix:///run/{w}/{w}.sock:{n}: {e}",
    "publish to {w}.{w} failed: {e}",
    "message from {w}.{w}.{w} dropped: {e}",
    "handler {w} at {w}.{w}.{w}: {e}",
    "{\"log.level\":\"WARN\",\"message\":\"{e}\",\"event.dataset\":\"{w}.server\",\"{w}.{w}.name\":\"{w}[{n}]\"}",
];

/// What fails, in the words of clients that name no host.
const FAILURES: [&str; 10] = [
    "connection refused",
    "context deadline exceeded",
    "connection reset by peer",
    "x509: certificate signed by unknown authority",
    "read timed out",
    "rpc error: code = Unavailable desc = transport is closing",
    "no such host",
    "too many connections",
    "Communications link failure",
    "unknown method ListItems",
];

const FILES: [&str; 12] = [
    "scraper.go:140",
    "db.py:105",
    "client.go:88",
    "Driver.java:121",
    "main.rs:7",
    "server.ts:31",
    "index.js:12",
    "Program.cs:45",
    "app.rb:9",
    "kernel.php:77",
    "worker.kt:3",
    "pool.cpp:210",
];
const CLASSES: [&str; 6] = [
    "com.example.store.StoreException",
    "org.example.net.ClientError",
    "System.Net.Http.HttpRequestException",
    "io.example.rpc.StatusRuntimeException",
    "requests.exceptions.ConnectionError",
    "Example.Pool.TimeoutError",
];
const LOGGERS: [&str; 6] = [
    "com.example.store.client",
    "org.example.web",
    "o.e.s.web.dispatcher",
    "urllib3.connectionpool",
    "controller.orders.reconciler",
    "net.example.rpc.transport",
];
const ARCHIVES: [&str; 4] = [
    "store-driver-8.0.33.jar!/",
    "client_core-2.1.0.whl",
    "libpool.so",
    "app.jar",
];
const VERSIONS: [&str; 5] = ["8.0.33", "v1.29.3", "2.4", "1.0.0-rc.1", "5.4.21.final"];
const WORDS: [&str; 8] = [
    "fetch", "store", "connect", "request", "orders", "session", "cache", "proxy",
];

/// A sequence of numbers that is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

fn line(numbers: &mut Numbers) -> String {
    let mut text = numbers.of(&LINES).to_owned();
    for (name, all) in [
        ("{e}", &FAILURES[..]),
        ("{f}", &FILES),
        ("{c}", &CLASSES),
        ("{l}", &LOGGERS),
        ("{j}", &ARCHIVES),
        ("{v}", &VERSIONS),
        ("{w}", &WORDS),
    ] {
        while text.contains(name) {
            text = text.replacen(name, numbers.of(all), 1);
        }
    }
    while text.contains("{n}") {
        let n = numbers.below(59) + 1;
        text = text.replacen("{n}", &n.to_string(), 1);
    }
    text
}

fn record(topic: &str, value: &serde_json::Value) -> String {
    serde_json::json!({"topic": topic, "value": value}).to_string()
}

/// A cluster of one pod, in a namespace whose Services are known or not.
fn cluster(with_services: bool) -> Vec<String> {
    let object = |kind: &str, name: &str| {
        record(
            "state.k8s.resource",
            &serde_json::json!({
                "op": "UPSERT", "at": "2026-01-01T10:00:00Z", "cluster": "c", "kind": kind,
                "namespace": "shop", "name": name, "uid": format!("{kind}-{name}"),
                "spec": {"ports": [{"port": 80}]}, "status": {"phase": "Running"},
            }),
        )
    };
    let mut all = vec![object("Pod", "web-1")];
    if with_services {
        all.push(object("Service", "web"));
    }
    all
}

fn state(records: &[String]) -> ClusterState {
    let mut state = ClusterState::new("c");
    let (mut parsed, mut rejects) = (Vec::new(), Vec::new());
    let context = Context {
        received_at: Time(1_800_000_000_000_000),
        cluster: None,
        client_id: None,
    };
    for text in records {
        parse_any(text.as_bytes(), &context, &mut parsed, &mut rejects).unwrap();
    }
    for record in parsed {
        state.apply(record);
    }
    state
}

#[test]
fn ten_thousand_lines_add_no_component() {
    for with_services in [false, true] {
        let mut numbers = Numbers(7);
        // A writer keeps 200 patterns: as many batches as it takes to read every line.
        for batch in 0..100 {
            let mut records = cluster(with_services);
            let lines: Vec<String> = (0..100).map(|_| line(&mut numbers)).collect();
            records.extend(lines.iter().map(|message| {
                record(
                    "logs.normalized",
                    &serde_json::json!({
                        "event_time": "2026-01-01T10:05:00Z", "etype": "k8s.log", "cluster": "c",
                        "severity": "ERROR", "message": message,
                        "subject": {"kind": "Pod", "ns": "shop", "name": "web-1"},
                    }),
                )
            }));
            let mut state = state(&records);
            let at = Time::parse("2026-01-01T10:06:00Z").unwrap();
            state.evaluate(at, &Weights::shipped(), &Catalogue::shipped());
            let added = |kind: &Kind| -> Vec<String> {
                let all = state.graph.of_kind(kind);
                all.map(|i| state.graph.get(i).name().to_owned()).collect()
            };
            let external = added(&Kind::External);
            let mut services = added(&Kind::Service);
            services.retain(|name| name != "web");
            let culprits: Vec<&String> = lines
                .iter()
                .filter(|l| {
                    external
                        .iter()
                        .chain(&services)
                        .any(|name| l.contains(&**name))
                })
                .collect();
            assert!(
                external.is_empty() && services.is_empty(),
                "batch {batch}: {external:?} {services:?} by {culprits:#?}"
            );
        }
    }
}
