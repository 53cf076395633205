//! What one record may hold, and what records may cost that nobody counts: lists, ends of listings,
//! deletions, and records with times of long ago.

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::Watchdog;
use super::state::agree;
use super::stores::{start, stored};

async fn send(server: &Server, tenant: &Tenant, kind: &str, body: String) -> (StatusCode, Value) {
    let response = server
        .http
        .post(format!("{}/api/v1/ingest/{kind}", server.url))
        .header("x-api-key", &tenant.key)
        .header("x-cluster", "prod")
        .body(body)
        .send()
        .await
        .unwrap();
    let status = response.status();
    (status, response.json().await.unwrap_or_default())
}

fn event(i: usize) -> Value {
    json!({
        "event_id": format!("e{i}"), "type": "Warning", "reason": "Failed", "message": "m",
        "subject": {"kind": "Pod", "ns": "shop", "name": format!("p{i}")},
    })
}

fn pod(op: &str, name: &str) -> Value {
    json!({"op": op, "kind": "Pod", "namespace": "shop", "name": name, "uid": name})
}

/// Ways to write a list.
fn lists(items: &[Value]) -> Vec<Value> {
    vec![
        json!({"kind": "List", "items": items}),
        json!({"items": items}),
        json!({"cluster": "prod", "items": items}),
        json!({"kind": "Basket", "name": "b", "items": items}),
        json!({"kind": "", "items": items}),
        json!([{"items": items}]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_item_of_a_list_counts_as_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let (attacker, victim) = (
        server.tenant("Attacker", "free").await,
        server.tenant("Victim", "pro").await,
    );
    let watchdog = Watchdog::start(&server, &victim).await;
    let mut sent = 0;
    for (at, list) in lists(&[event(0), event(1), event(2)]).iter().enumerate() {
        let (status, answer) = send(&server, &attacker, "events", list.to_string()).await;
        assert_eq!(
            (status.as_u16(), &answer["accepted"]),
            (202, &json!(3)),
            "{at}: {answer}"
        );
        sent += 3;
    }
    for list in lists(&[event(0)]) {
        let nested = json!({"items": [list]}).to_string();
        let (_, answer) = send(&server, &attacker, "events", nested).await;
        let rejected = &answer["rejected"][0];
        assert_eq!(answer["accepted"], 0, "{answer}");
        assert_eq!(rejected["reason"], "unknown_shape", "{answer}");
        sent += 1;
    }
    server.settled(&attacker, sent).await;
    // Records of nearly 1 MiB, each a list of thousands of events.
    let mut statuses = Vec::new();
    for block in 0..4 {
        let events = (0..6000).map(|i| event(block * 6000 + i));
        let list = json!({"cluster": "prod", "items": events.collect::<Vec<_>>()});
        statuses.push(
            send(&server, &attacker, "events", list.to_string())
                .await
                .0
                .as_u16(),
        );
    }
    assert_eq!(statuses, [202, 202, 429, 429], "10,000 events a day");
    server.settled(&attacker, sent + 12_000).await;
    let limits = server.get("/api/v1/limits", &attacker.key).await;
    let first: u64 = lists(&[]).len() as u64 * 3;
    assert_eq!(limits["events_today"], first + 12_000, "{limits}");
    watchdog.check().await;
}

#[tokio::test]
async fn each_object_of_a_list_is_kept_under_its_own_key() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "pro").await;
    let mut seen = 0;
    let forms = lists(&[]).len();
    for form in 0..forms {
        let name = |i: usize| format!("web-{form}-{i}");
        let items = [
            pod("DELETE", &name(0)),
            pod("UPSERT", &name(1)),
            pod("UPSERT", &name(2)),
        ];
        let list = &lists(&items)[form];
        let (_, answer) = send(&server, &tenant, "resources", list.to_string()).await;
        assert_eq!(answer["accepted"], 3, "{form}: {answer}");
        seen += 3;
    }
    let count = async |server: &Server, seen| {
        server.settled(&tenant, seen).await;
        let listed = server
            .get("/api/v1/resources?limit=1000", &tenant.key)
            .await;
        listed["items"].as_array().unwrap().len()
    };
    assert_eq!(count(&server, seen).await, 2 * forms, "before a restart");
    let stats = server.settled(&tenant, seen).await;
    assert_eq!(stats["records"]["rejected"], 0, "{stats}");
}

/// Builds the record of a number.
type Record = Box<dyn Fn(usize) -> Value>;

/// Sends until a batch is refused. Returns how many were taken in.
async fn until_refused(server: &Server, tenant: &Tenant, batch: impl Fn(usize) -> String) -> usize {
    for i in 0..60 {
        let (status, answer) = send(server, tenant, "resources", batch(i)).await;
        match status {
            StatusCode::ACCEPTED => {}
            StatusCode::TOO_MANY_REQUESTS => {
                let message = answer["error"]["message"].as_str().unwrap();
                assert!(message.contains("daily limit of 1 MB"), "{answer}");
                return i;
            }
            _ => panic!("{status} {answer}"),
        }
    }
    panic!("60 batches were taken in");
}

#[tokio::test]
async fn what_only_ends_something_is_bounded_and_stored_without_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let junk = "x".repeat(400_000);
    let now = jiff::Timestamp::now().as_second();
    let at = move |i: usize| {
        let at = jiff::Timestamp::from_second(now - i as i64).unwrap();
        at.to_string()
    };
    let text = junk.clone();
    let sync: Record =
        Box::new(move |i| json!({"op": "SYNC", "kind": "Pod", "at": at(i), "junk": text}));
    let text = junk.clone();
    let new_kinds: Record =
        Box::new(move |i| json!({"op": "SYNC", "kind": format!("Kind{i}"), "sync_id": text}));
    let text = junk.clone();
    let delete: Record = Box::new(move |i| {
        let mut record = pod("DELETE", &format!("web-{i}"));
        record["status"] = json!({"message": text});
        record
    });
    for (name, record) in [("sync", sync), ("kinds", new_kinds), ("delete", delete)] {
        let tenant = server.tenant(name, "free").await;
        agree(&server, &tenant, json!({"state_mb_day": 1})).await;
        let taken = until_refused(&server, &tenant, |i| {
            let records = [2 * i, 2 * i + 1].map(|i| record(i).to_string());
            records.join("\n")
        })
        .await;
        assert!(
            (2..=14).contains(&taken),
            "{name}: {taken} batches of 0.8 MB"
        );
        let log = stored(folder.path(), &tenant);
        assert!(log < 100_000, "{name}: {log} bytes");
    }
}

#[tokio::test]
async fn a_cluster_is_active_by_when_its_records_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let tenant = server.tenant("Acme", "free").await;
    let old = |cluster: &str| {
        let mut event = event(1);
        event["cluster"] = cluster.into();
        event["event_time"] = "2020-01-01T00:00:00Z".into();
        event.to_string()
    };
    assert_eq!(send(&server, &tenant, "events", old("a")).await.0, 202);
    server.settled(&tenant, 1).await;
    assert_eq!(send(&server, &tenant, "events", old("b")).await.0, 429);
    // What was admitted is not remembered over a restart, but when it arrived is.
    assert!(server.terminate());
    let server = start(folder.path(), &[]);
    assert_eq!(send(&server, &tenant, "events", old("b")).await.0, 429);
    assert_eq!(send(&server, &tenant, "events", old("a")).await.0, 202);
}
