//! Heartbeats of daemons.

use crate::model::Time;
use crate::storage::{DaemonRow, MetaStore};

pub(super) async fn daemons(meta: &dyn MetaStore) {
    let daemon = |owner: &str, seen: i64| DaemonRow {
        owner: owner.into(),
        address: "http://127.0.0.1:1".into(),
        roles: "api,worker".into(),
        version: "0.1.0".into(),
        started_at: Time(10),
        seen_at: Time(seen),
    };
    meta.beat(&daemon("one", 100)).await.unwrap();
    meta.beat(&daemon("two", 150)).await.unwrap();
    meta.beat(&daemon("one", 120)).await.unwrap();
    assert_eq!(
        meta.daemons(Time(0)).await.unwrap(),
        [daemon("one", 120), daemon("two", 150)]
    );
    assert_eq!(
        meta.daemons(Time(121)).await.unwrap().len(),
        1,
        "silent daemons are left out"
    );
    meta.leave("two").await.unwrap();
    assert_eq!(meta.daemons(Time(0)).await.unwrap().len(), 1);
}
