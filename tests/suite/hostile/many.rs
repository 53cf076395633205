//! Many tenants that take all they can at the same time: another one and the operator are served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::query::{SLOW, ask, bombs, with_pods};
use super::state::agree;
use super::stores::start;
use super::work::unplaceable;
use super::{PROCESSORS, Watchdog};

/// Bytes that a body begins with, and that it says it has.
const SENT: usize = 24 << 20;
const SAID: usize = 30 << 20;

async fn tenants(server: &Server, count: usize) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for n in 0..count {
        let tenant = server.tenant(&format!("attacker {n}"), "enterprise").await;
        tenants.push(tenant);
    }
    tenants
}

/// Sends a large part of a body without its end. Returns the status that it gets in the end, and
/// after how long.
fn begin_body(url: &str, key: &str) -> (String, Duration) {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/ingest/logs HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\
         Content-Length: {SAID}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // It is refused midway when there is no room.
    let _ = stream.write_all(&vec![b'a'; SENT]);
    let sent = Instant::now();
    stream
        .set_read_timeout(Some(Duration::from_secs(40)))
        .unwrap();
    let mut answer = [0; 12];
    let status = match stream.read_exact(&mut answer) {
        Ok(()) => String::from_utf8_lossy(&answer[9..]).into_owned(),
        // What was sent after the refusal resets the connection.
        Err(_) => "reset".to_owned(),
    };
    (status, sent.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_bodies_of_many_tenants_stop_no_other_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let attackers = tenants(&server, 5).await;
    let victim = server.tenant("victim", "pro").await;
    let watchdog = Watchdog::start(&server, &victim).await;
    let mut bodies = Vec::new();
    for attacker in &attackers {
        let (_, second) = server.key(attacker, &["ingest"]).await;
        for key in [&attacker.key, &attacker.key, &second] {
            let (url, key) = (server.url.clone(), key.clone());
            bodies.push(std::thread::spawn(move || begin_body(&url, &key)));
        }
    }
    // Those that found no room have ended; the others wait for the rest.
    let deadline = Instant::now() + Duration::from_secs(30);
    while bodies.iter().filter(|body| body.is_finished()).count() < 5 {
        assert!(Instant::now() < deadline, "there was room for all");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let line = json!({"cluster": "c", "severity": "ERROR", "pod": "p", "message": "x".repeat(900)});
    let lines = format!("{line}\n").repeat(900);
    let path = "/api/v1/ingest/logs";
    let body = Some(lines.into_bytes());
    let answer = server
        .call(Method::POST, path, Some(&victim.key), body)
        .await;
    assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
    let path = format!("/api/v1/admin/clients/{}", attackers[0].id);
    let body = Some(br#"{"state": "suspended"}"#.to_vec());
    let answer = server.call(Method::PATCH, &path, Some(&server.operator), body);
    assert_eq!(answer.await.status(), 200);
    let ends = tokio::task::block_in_place(|| {
        let ends = bodies.into_iter().map(|body| body.join().unwrap());
        ends.collect::<Vec<_>>()
    });
    let late: Vec<_> = ends.iter().filter(|(status, _)| status == "408").collect();
    assert!(late.len() >= 4, "{ends:?}");
    for (_, after) in &late {
        assert!(*after < Duration::from_secs(15), "{ends:?}");
    }
    watchdog.check().await;
    let whole = Some(vec![b' '; SENT]);
    let path = "/api/v1/ingest/logs";
    let answer = server
        .call(Method::POST, path, Some(&victim.key), whole)
        .await;
    assert!(
        [202, 400].contains(&answer.status().as_u16()),
        "all is given back"
    );
}

/// Runs something again and again for each tenant until it is told to stop.
fn repeatedly<F: Future<Output = u16> + Send + 'static>(
    stop: &Arc<AtomicBool>,
    act: impl Fn() -> F + Send + 'static,
) -> tokio::task::JoinHandle<Vec<u16>> {
    let stop = Arc::clone(stop);
    tokio::spawn(async move {
        let mut statuses = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            statuses.push(act().await);
        }
        statuses
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_of_many_tenants_take_no_more_memory_than_those_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(start(folder.path(), &[]));
    let victim = server.tenant("victim", "pro").await;
    let mut attackers = Vec::new();
    for n in 0..5 {
        attackers.push(with_pods(&server, &format!("attacker {n}"), 50).await);
    }
    let watchdog = Watchdog::start(&server, &victim).await;
    let mut asking = Vec::new();
    for attacker in attackers {
        for half in 0..2 {
            let (server, attacker) = (Arc::clone(&server), attacker.clone());
            asking.push(tokio::spawn(async move {
                let mut exhausted = 0;
                for bomb in bombs().into_iter().skip(half).step_by(2) {
                    let answer = ask(&server, &attacker, bomb).await;
                    exhausted += usize::from(answer.body.contains("memory limit"));
                }
                exhausted
            }));
        }
    }
    let mut exhausted = 0;
    for one in asking {
        exhausted += one.await.unwrap();
    }
    assert!(exhausted > 0, "no query took all its memory");
    watchdog.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_queries_of_many_tenants_delay_one_of_another_by_seconds() {
    let _processors = PROCESSORS.write().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(start(folder.path(), &[]));
    let victim = with_pods(&server, "victim", 3).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut asking = Vec::new();
    for n in 0..9 {
        let attacker = with_pods(&server, &format!("attacker {n}"), 100).await;
        for _ in 0..2 {
            let (server, attacker) = (Arc::clone(&server), attacker.clone());
            asking.push(repeatedly(&stop, move || {
                let (server, attacker) = (Arc::clone(&server), attacker.clone());
                async move {
                    let question = json!({"query": SLOW, "timeout_ms": 30_000});
                    ask(&server, &attacker, question).await.status
                }
            }));
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let question = json!({"query": "MATCH (n:Pod) RETURN count(*) AS n", "timeout_ms": 10_000});
    for _ in 0..2 {
        let answer = ask(&server, &victim, question.clone()).await;
        assert!(
            answer.body.contains("[[3]]"),
            "{} {}",
            answer.status,
            answer.body
        );
        assert!(answer.took < Duration::from_secs(15), "{:?}", answer.took);
    }
    stop.store(true, Ordering::Relaxed);
    let mut gave_way = 0;
    for one in asking {
        let statuses = one.await.unwrap();
        gave_way += statuses.iter().filter(|status| **status == 503).count();
    }
    assert!(gave_way > 0, "the places were not taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_analyses_of_many_tenants_delay_one_of_another_by_seconds() {
    let _processors = PROCESSORS.write().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(start(folder.path(), &[]));
    let victim = server.tenant("victim", "pro").await;
    let stop = Arc::new(AtomicBool::new(false));
    let body = unplaceable(1000);
    let mut asking = Vec::new();
    for attacker in tenants(&server, 4).await {
        agree(&server, &attacker, json!({"rca_hour": 1_000_000})).await;
        let (server, body) = (Arc::clone(&server), body.clone());
        asking.push(repeatedly(&stop, move || {
            let (server, body, key) = (Arc::clone(&server), body.clone(), attacker.key.clone());
            async move {
                let path = "/api/v1/rca/analyze";
                let answer = server
                    .call(Method::POST, path, Some(&key), Some(body))
                    .await;
                answer.status().as_u16()
            }
        }));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let began = Instant::now();
    let line = json!({"cluster": "c", "severity": "ERROR", "pod": "p", "message": "failed"});
    let mut answers: Vec<(u16, Value)> = Vec::new();
    while !answers.iter().any(|(status, _)| *status == 200) {
        let body = Some(line.to_string().into_bytes());
        let path = "/api/v1/rca/analyze";
        let answer = server
            .call(Method::POST, path, Some(&victim.key), body)
            .await;
        answers.push((answer.status().as_u16(), answer.json().await.unwrap()));
        assert!(answers.len() <= 2, "{answers:?}");
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(40), "{took:?} {answers:?}");
    stop.store(true, Ordering::Relaxed);
    let mut done = Vec::new();
    for one in asking {
        done.extend(one.await.unwrap());
    }
    assert!(
        done.contains(&200),
        "none of the attackers' was analyzed: {done:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn evaluations_of_many_tenants_delay_the_incident_of_another_by_seconds() {
    let _processors = PROCESSORS.write().await;
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let victim = server.tenant("victim", "pro").await;
    let body = unplaceable(1000);
    for attacker in tenants(&server, 8).await {
        server.ingest(&attacker, "resources", body.clone()).await;
    }
    let at = jiff::Timestamp::now().to_string();
    let pod = json!({"at": at, "cluster": "c", "kind": "Pod", "namespace": "shop", "name": "cart",
        "uid": "cart", "status": {"phase": "Running", "containerStatuses": [{"name": "web",
        "restartCount": 9, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]}});
    let began = Instant::now();
    let body = pod.to_string().into_bytes();
    server.ingest(&victim, "resources", body).await;
    let key = Some(&*victim.key);
    while server
        .call(Method::GET, "/api/v1/rca", key, None)
        .await
        .status()
        != StatusCode::OK
    {
        let waited = began.elapsed();
        assert!(
            waited < Duration::from_mins(1),
            "no incident after {waited:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
