//! Heartbeats of agents.

use crate::model::Time;
use crate::model::time::DAY;
use crate::storage::{AgentRow, MetaStore};
use crate::tenancy::TenantId;

pub(super) async fn agents(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    let agent = |name: &str, cluster: &str, mode: &str, seen: i64| {
        let status = format!(
            r#"{{"cluster":"{cluster}","agent":"{name}",{mode},"version":"0.1.0",
            "started_at":"2026-01-01T00:00:00Z","lag_seconds":0,"spooled_bytes":0}}"#
        );
        AgentRow {
            status: serde_json::from_str(&status).unwrap(),
            seen_at: Time(seen),
        }
    };
    let (watch, logs) = (r#""mode":"watch""#, r#""mode":"logs","node":"n1""#);
    for heartbeat in [
        agent("one", "prod", watch, 1),
        agent("two", "prod", watch, 7),
        agent("three", "prod", logs, 5),
    ] {
        meta.put_agent(a, &heartbeat).await.unwrap();
    }
    let mut known = [
        agent("three", "prod", logs, 5),
        agent("two", "prod", watch, 7),
    ];
    known[1].status.before = vec!["one".into()];
    assert_eq!(
        meta.agents(a, None, 9).await.unwrap(),
        known,
        "a watcher remembers the one it replaced"
    );
    assert_eq!(
        meta.agents(b, None, 9).await.unwrap(),
        [],
        "tenants do not see each other's agents"
    );
    let first = meta.agents(a, None, 1).await.unwrap();
    assert_eq!(first, known[..1]);
    let behind = first[0].position();
    assert_eq!(meta.agents(a, Some(&behind), 9).await.unwrap(), known[1..]);
    let later = agent("four", "stage", watch, 2 * DAY);
    meta.put_agent(a, &later).await.unwrap();
    assert_eq!(
        meta.agents(a, None, 9).await.unwrap(),
        [known[1].clone(), later.clone()],
        "a silent log reader is dropped after a day"
    );
    let back = agent("one", "prod", watch, 2 * DAY);
    meta.put_agent(a, &back).await.unwrap();
    assert_eq!(
        meta.agents(a, None, 9).await.unwrap()[0]
            .status
            .rival
            .as_deref(),
        Some("two"),
        "a watcher that returns competes with the other"
    );
    assert_eq!(meta.forget_agents(a, "stage").await.unwrap(), 1);
    let much_later = agent("five", "stage", watch, 33 * DAY);
    meta.put_agent(a, &much_later).await.unwrap();
    assert_eq!(
        meta.agents(a, None, 9).await.unwrap(),
        [much_later],
        "a silent watcher is dropped after a month"
    );
}
