//! Queries that exhaust stack, memory or time end one process at most, and never the daemon.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kgrca_tests::Server;
use kgrca_tests::processes::{children, is_alive};
use kgrca_tests::server::Tenant;
use reqwest::Method;
use serde_json::{Value, json};

use super::Watchdog;
use super::state::agree;
use super::stores::{start, start_with};

pub(super) async fn with_pods(server: &Server, name: &str, count: u64) -> Tenant {
    let tenant = server.tenant(name, "enterprise").await;
    send_pods(server, &tenant, count).await;
    tenant
}

/// One of the smallest plan, of which only the rate of calls is larger: what protects others must
/// hold without it.
async fn attacker_with_pods(server: &Server, count: u64) -> Tenant {
    let tenant = server.tenant("Attacker", "free").await;
    agree(server, &tenant, json!({"api_minute": 100_000})).await;
    send_pods(server, &tenant, count).await;
    tenant
}

async fn send_pods(server: &Server, tenant: &Tenant, count: u64) {
    let pods: Vec<Value> = (0..count)
        .map(|i| {
            json!({
                "op": "UPSERT", "at": "2026-01-01T00:00:00Z", "cluster": "prod", "kind": "Pod",
                "uid": format!("u-{i}"), "namespace": "shop", "name": format!("web-{i}"),
                "status": {"phase": "Running"},
            })
        })
        .collect();
    let body = json!(pods).to_string().into_bytes();
    server.ingest(tenant, "resources", body).await;
    server.settled(tenant, count).await;
}

/// A query's status, its body, and how long it took.
pub(super) struct Answer {
    pub status: u16,
    pub body: String,
    pub took: Duration,
}

pub(super) async fn ask(server: &Server, tenant: &Tenant, question: Value) -> Answer {
    let started = Instant::now();
    let body = Some(question.to_string().into_bytes());
    let path = "/api/v1/query/cypher";
    let response = server
        .call(Method::POST, path, Some(&tenant.key), body)
        .await;
    Answer {
        status: response.status().as_u16(),
        body: response.text().await.unwrap(),
        took: started.elapsed(),
    }
}

#[tokio::test]
async fn no_form_of_nesting_ends_the_daemon() {
    let forms: [(&str, &str, &str); 16] = [
        ("RETURN ", "(", ")"),
        ("RETURN ", "[", "]"),
        ("RETURN ", "{a:", "}"),
        ("RETURN ", "NOT ", ""),
        ("RETURN ", "- ", ""),
        ("RETURN ", "1+", ""),
        ("RETURN ", "CASE WHEN true THEN ", " END"),
        ("RETURN ", "abs(", ")"),
        ("RETURN ", "[x IN [1] | ", "]"),
        ("RETURN ", "all(x IN [1] WHERE ", ")"),
        ("RETURN ", "1 IN [", "]"),
        ("WITH 1 AS a ", "WITH a ", "RETURN a //"),
        ("RETURN 1 AS a ", "UNION RETURN 1 AS a ", "//"),
        ("MATCH (n)", "-->(n)", ""),
        ("MATCH (n) WHERE ", "true AND ", ""),
        ("MATCH (n) WHERE ", "n.a = 1 OR ", ""),
    ];
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = with_pods(&server, "Deep", 3).await;
    for (before, open, close) in forms {
        for times in [1, 8, 16, 31, 32, 33, 85, 399, 1_000, 10_000] {
            let (open, close) = (open.repeat(times), close.repeat(times));
            let tail = if before.starts_with("MATCH") {
                " RETURN n"
            } else {
                " AS x"
            };
            let text = format!("{before}{open}1{close}{tail}");
            let answer = ask(&server, &tenant, json!({"query": text})).await;
            assert!(
                [200, 400].contains(&answer.status),
                "{before}{times}: {} {}",
                answer.status,
                answer.body
            );
            if times >= 1_000 {
                assert!(
                    answer.body.contains("too "),
                    "{before}{times}: {}",
                    answer.body
                );
            }
        }
    }
    let body = ask(
        &server,
        &tenant,
        json!({"query": "MATCH (n:Pod) RETURN count(*) AS n"}),
    )
    .await;
    assert!(body.body.contains("[[3]]"), "{}", body.body);
}

fn doubled(start: &str, step: &str, times: usize, end: &str) -> String {
    format!("WITH {start} {}{end}", step.repeat(times))
}

/// Queries that are small and would take seconds, gigabytes or both.
pub(super) fn bombs() -> Vec<Value> {
    let all = "MATCH (n) WITH collect(n.name) AS l RETURN";
    let replaced = (0..8).fold("'ab'".to_owned(), |e, _| {
        format!("replace({e}, 'a', 'aaaaaaaaaaaaaaaa')")
    });
    let texts = [
        format!("RETURN {replaced} AS x"),
        doubled(
            "'aaaaaaaa' AS s",
            "WITH s + s AS s ",
            30,
            "RETURN size(s) AS n",
        ),
        doubled("[1, 2] AS l", "WITH l + l AS l ", 30, "RETURN size(l) AS n"),
        doubled(
            "[1, 2] AS l",
            "WITH [l, l, l, l] AS l ",
            20,
            "RETURN l AS l",
        ),
        doubled(
            "{a: [1]} AS m",
            "WITH {a: m.a + m.a, b: m} AS m ",
            28,
            "RETURN m AS m",
        ),
        doubled(
            "'a,a,a' AS s",
            "WITH replace(s, 'a', s) AS s ",
            9,
            "RETURN split(s, ',') AS l",
        ),
        doubled(
            "'a' AS s",
            "WITH toUpper(s + s) AS s ",
            32,
            "RETURN reverse(s) AS s",
        ),
        doubled("1 AS l", "WITH [[[[[[l]]]]]] AS l ", 40, "RETURN l AS l"),
        format!("{all} size([a IN l | [b IN l | [c IN l | a + b + c]]]) AS n"),
        format!("{all} [a IN l | [b IN l | l]] AS x"),
        format!(
            "{all} all(a IN l WHERE all(b IN l WHERE all(c IN l WHERE a + b + c <> 'x'))) AS n"
        ),
        format!("{all} none(a IN l WHERE any(b IN l WHERE any(c IN l WHERE a + b + c = ''))) AS n"),
        format!("{all} [a IN l WHERE a IN [b IN l WHERE b IN [c IN l | c + b]]] AS n"),
        "MATCH (a), (b), (c) RETURN collect(a.name + b.name + c.name) AS l".into(),
        "MATCH (a), (b), (c), (d) WHERE a.id + b.id + c.id + d.id = 'x' RETURN count(*) AS n"
            .into(),
        "MATCH (a), (b) WITH collect(a) AS l, b RETURN collect(l) AS x".into(),
        "MATCH (a), (b), (c) RETURN a, b, c ORDER BY a.name + b.name + c.name LIMIT 1".into(),
        "MATCH (a), (b), (c) RETURN DISTINCT a.name + b.name + c.name AS x".into(),
        "MATCH (a), (b), (c) RETURN a.name AS x UNION MATCH (a), (b), (c) RETURN b.id AS x".into(),
        "MATCH p = (a)-[*1..30]-(b) RETURN count(p) AS n".into(),
        "MATCH p = shortestPath((a)-[*]-(b)) RETURN count(p) AS n".into(),
        "MATCH (n) WHERE n.name =~ '(a+)+(b+)+(c+)+$' RETURN count(*) AS n".into(),
        "RETURN reduce(s = 'a', x IN [1, 2, 3, 4, 5, 6, 7, 8, 9] | s + s + s + s) AS x".into(),
        "RETURN {a: range(1, 1000000000)} AS x".into(),
        "MATCH (n) RETURN percentileCont(n.x, 0.5) + stdev(n.x) AS n".into(),
    ];
    let mut bombs: Vec<Value> = texts
        .into_iter()
        .map(|text| json!({"query": text, "timeout_ms": 1_500}))
        .collect();
    let many = vec!["u"; 60_000];
    let text = "MATCH (n), (m) WHERE n.uid IN $l AND m.uid IN $l RETURN count(*) AS n";
    bombs.push(json!({"query": text, "parameters": {"l": many}, "timeout_ms": 1_500}));
    let long = vec!["x".repeat(1_000); 500];
    let text = doubled(
        "[$l, $l] AS l",
        "WITH [l, l, l] AS l ",
        20,
        "RETURN size(l) AS n",
    );
    bombs.push(json!({"query": text, "parameters": {"l": long}, "timeout_ms": 1_500}));
    bombs
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_exhaust_memory_or_time_end_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(start(folder.path(), &[]));
    let attacker = attacker_with_pods(&server, 200).await;
    let victim = server.tenant("Victim", "pro").await;
    let watchdog = Watchdog::start(&server, &victim).await;
    // Two at a time: as many as a tenant may run.
    for pair in bombs().chunks(2) {
        let asked: Vec<_> = pair
            .iter()
            .map(|bomb| {
                let (server, attacker, bomb) =
                    (Arc::clone(&server), attacker.clone(), bomb.clone());
                tokio::spawn(async move { ask(&server, &attacker, bomb).await })
            })
            .collect();
        for (bomb, asked) in pair.iter().zip(asked) {
            let answer = asked.await.unwrap();
            let text = &bomb["query"];
            assert!(
                [200, 400].contains(&answer.status),
                "{text}: {}",
                answer.body
            );
            assert!(
                answer.took < Duration::from_millis(2_500),
                "{text}: {:?} {}",
                answer.took,
                answer.body
            );
        }
    }
    watchdog.check().await;
    // With time enough on a busy machine.
    let text = doubled("[1, 2] AS l", "WITH l + l AS l ", 30, "RETURN size(l) AS n");
    let answer = ask(
        &server,
        &attacker,
        json!({"query": text, "timeout_ms": 30_000}),
    )
    .await;
    assert!(answer.body.contains("memory limit"), "{}", answer.body);
    let metrics = server.http.get(format!("{}/metrics", server.metrics));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    for outcome in ["time", "memory", "refused"] {
        let counted = format!("kg_queries_total{{outcome=\"{outcome}\"}}");
        assert!(metrics.contains(&counted), "{counted}");
    }
}

pub(super) const SLOW: &str = "MATCH (n) WITH collect(n.name) AS l RETURN \
    all(a IN l WHERE all(b IN l WHERE all(c IN l WHERE all(d IN l WHERE a + b + c + d <> 'x')))) \
    AS n";

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_runs_two_queries_at_a_time_and_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(start(folder.path(), &[]));
    let attacker = attacker_with_pods(&server, 200).await;
    let other = with_pods(&server, "Other", 3).await;
    let victim = server.tenant("Victim", "pro").await;
    let watchdog = Watchdog::start(&server, &victim).await;
    let slow: Vec<_> = (0..30)
        .map(|_| {
            let (server, attacker) = (Arc::clone(&server), attacker.clone());
            tokio::spawn(async move {
                ask(
                    &server,
                    &attacker,
                    json!({"query": SLOW, "timeout_ms": 2_000}),
                )
                .await
            })
        })
        .collect();
    let question = json!({"query": "MATCH (n:Pod) RETURN count(*) AS n"});
    let mut slowest = Duration::ZERO;
    let mut most = 0;
    while slow.iter().any(|one| !one.is_finished()) {
        let answer = ask(&server, &other, question.clone()).await;
        assert!(answer.body.contains("[[3]]"), "{}", answer.body);
        slowest = slowest.max(answer.took);
        most = most.max(children(server.id()).len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    watchdog.check().await;
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(most <= 10, "{most} processes");
    let mut refused = 0;
    for one in slow {
        let answer = one.await.unwrap();
        assert!([400, 429].contains(&answer.status), "{}", answer.body);
        refused += usize::from(answer.status == 429);
    }
    assert!(refused > 10, "{refused}");
}

async fn child_at_work(server: &Server) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let busy = children(server.id()).into_iter().find(|process| {
            let fields = std::fs::read_to_string(format!("/proc/{process}/stat"));
            let fields = fields.unwrap_or_default();
            let ticks = fields
                .rsplit_once(") ")
                .and_then(|(_, f)| f.split(' ').nth(11));
            ticks.and_then(|t| t.parse::<u64>().ok()).unwrap_or(0) > 20
        });
        if let Some(busy) = busy {
            return busy;
        }
        assert!(Instant::now() < deadline, "no process works on the query");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn gone(processes: &[u32]) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while processes.iter().any(|p| is_alive(*p)) {
        assert!(Instant::now() < deadline, "processes outlive the daemon");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_knows_no_secret_and_ends_with_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let key = "kg_operator_0123456789abcdefghijklmnopqrstuv";
    let server = start_with(folder.path(), &[], &[("KGRCA_OPERATOR_KEY", key)]);
    let tenant = with_pods(&server, "Acme", 200).await;
    let (url, secret) = (server.url.clone(), tenant.key.clone());
    let asked = tokio::spawn(async move {
        let question = json!({"query": SLOW, "timeout_ms": 20_000});
        let request = reqwest::Client::new().post(format!("{url}/api/v1/query/cypher"));
        // It ends when the daemon does.
        let _ = request
            .header("x-api-key", secret)
            .json(&question)
            .send()
            .await;
    });
    let child = child_at_work(&server).await;
    let environment = std::fs::read(format!("/proc/{child}/environ")).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    assert_eq!(
        environment.trim_end_matches('\0'),
        "MIMALLOC_ARENA_RESERVE=0"
    );
    let files: Vec<String> = std::fs::read_dir(format!("/proc/{child}/fd"))
        .unwrap()
        .map(|f| {
            std::fs::read_link(f.unwrap().path())
                .unwrap()
                .display()
                .to_string()
        })
        .filter(|f| !f.starts_with("pipe:") && !f.starts_with("socket:") && f != "/dev/null")
        .collect();
    assert!(
        !files.is_empty() && files.iter().all(|f| f.contains("graph")),
        "{files:?}"
    );
    let limits = std::fs::read_to_string(format!("/proc/{child}/limits")).unwrap();
    for name in ["Max core file size", "Max file size", "Max processes"] {
        let line = limits.lines().find(|l| l.starts_with(name)).unwrap();
        let values: Vec<_> = line[name.len()..].split_whitespace().take(2).collect();
        assert_eq!(values, ["0", "0"], "{name}");
    }
    for name in ["Max address space", "Max cpu time"] {
        let line = limits.lines().find(|l| l.starts_with(name)).unwrap();
        assert!(!line.contains("unlimited"), "{line}");
    }
    let score = std::fs::read_to_string(format!("/proc/{child}/oom_score_adj")).unwrap();
    assert_eq!(score.trim(), "1000");
    let all = children(server.id());
    assert!(all.len() > 1, "spares wait for the next query");
    server.kill();
    gone(&all).await;
    asked.await.unwrap();
}
