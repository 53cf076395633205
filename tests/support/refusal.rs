//! Records from which something follows that a store refuses: their sender's name, which becomes
//! part of the stored state of their cluster.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Server;
use crate::server::Tenant;

/// What is refused in the stored state of a cluster.
pub const REFUSED: &str = "poison";
const RECORDS: usize = 40;

/// Whether a record of a round is refused.
fn is_refused(i: usize) -> bool {
    [0, 17, 18].contains(&i)
}

fn event(round: usize, i: usize) -> Value {
    let source = if is_refused(i) { REFUSED } else { "good" };
    json!({
        "event_id": format!("e-{round}-{i}"), "event_time": jiff::Timestamp::now().to_string(),
        "cluster": "prod", "severity": "WARNING", "reason": "Failed", "message": "no image",
        "subject": {"kind": "Pod", "ns": "shop", "name": format!("web-{i}")},
        "src": format!("{source}-{round}-{i}"), "seq": 1,
    })
}

/// Sends a round of records, some of which are refused.
pub async fn send(server: &Server, tenant: &Tenant, round: usize) {
    let events = (0..RECORDS).map(|i| event(round, i)).collect::<Value>();
    let answer = server
        .ingest(tenant, "events", events.to_string().into_bytes())
        .await;
    assert_eq!(answer["accepted"], RECORDS, "{answer}");
}

/// Waits until the cluster was evaluated with so many episodes: parts of a batch are committed before.
async fn episodes(server: &Server, tenant: &Tenant, wanted: usize) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let stats = server.get("/api/v1/stats", &tenant.key).await;
        if stats["clusters"][0]["episodes"] == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{wanted} episodes: {stats}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Checks that everything else of the rounds was applied, and that what was refused is counted
/// and has dead letters.
pub async fn check(server: &Server, tenant: &Tenant, rounds: usize) {
    let refused = (0..RECORDS).filter(|i| is_refused(*i)).count();
    let stats = server.settled(tenant, (rounds * RECORDS) as u64).await;
    let records = &stats["records"];
    assert_eq!(records["applied"], rounds * (RECORDS - refused), "{stats}");
    assert_eq!(records["rejected"], rounds * refused, "{stats}");
    episodes(server, tenant, rounds * (RECORDS - refused)).await;
    let letters = server.get("/api/v1/dlq?limit=1000", &tenant.key).await;
    let letters = letters["items"].as_array().unwrap();
    let mut offsets: Vec<&str> = letters
        .iter()
        .map(|letter| {
            assert_eq!(letter["reason"], "refused", "{letter}");
            letter["message"].as_str().unwrap()
        })
        .collect();
    offsets.sort_unstable();
    // A crash between a letter and its commit makes a second one.
    offsets.dedup();
    assert_eq!(offsets.len(), rounds * refused, "{letters:?}");
    let path = format!("/api/v1/admin/billing/{}/verify", tenant.id);
    let days = server.get(&path, &server.operator).await;
    for day in days["items"].as_array().unwrap() {
        assert_eq!(
            day["agrees"], true,
            "skipped records are not charged: {day}"
        );
    }
}
