//! The durable log.

use std::collections::BTreeMap;

use super::tenant;
use crate::model::time::MINUTE;
use crate::model::{Time, Topic};
use crate::storage::{Entry, ErrorKind, EventLog, MAX_KEY, MAX_VALUE, StreamId};
use crate::tenancy::TenantId;

fn entry(topic: Topic, key: &str, value: &str) -> Entry {
    let stream = StreamId {
        topic,
        partition: 0,
    };
    Entry {
        stream,
        key: key.as_bytes().into(),
        value: value.as_bytes().into(),
        received_at: Time(MINUTE),
    }
}

/// The largest entry is read back; a larger one is refused, with all that is appended together.
async fn whatever_is_written_can_be_read(log: &dyn EventLog, tenant: &TenantId, from: u64) {
    let sized = |key: usize, value: usize| {
        let (key, value) = ("k".repeat(key), "v".repeat(value));
        entry(Topic::Events, &key, &value)
    };
    let largest = sized(MAX_KEY, MAX_VALUE);
    log.append(tenant, vec![largest.clone()]).await.unwrap();
    for refused in [sized(MAX_KEY + 1, 1), sized(1, MAX_VALUE + 1)] {
        let batch = vec![entry(Topic::Events, "prod", "beside it"), refused];
        let error = log.append(tenant, batch).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    }
    let read = log.read(tenant, largest.stream, from, 10).await.unwrap();
    assert_eq!(
        read.len(),
        1,
        "nothing is written of a batch that is refused"
    );
    assert!(read[0].key == largest.key && read[0].value == largest.value);
}

/// What every [`EventLog`] does.
pub async fn event_log(log: &dyn EventLog) {
    let (a, b) = (tenant("a"), tenant("b"));
    let events = StreamId {
        topic: Topic::Events,
        partition: 0,
    };
    assert!(
        log.read(&a, events, 0, 10).await.unwrap().is_empty(),
        "a new stream is empty"
    );
    let batch = (0..5)
        .map(|i| entry(Topic::Events, "prod", &format!("v{i}")))
        .collect();
    log.append(&a, batch).await.unwrap();
    log.append(&a, vec![entry(Topic::Resource, "uid", "r0")])
        .await
        .unwrap();
    let read = log.read(&a, events, 0, 3).await.unwrap();
    assert_eq!(
        read.iter().map(|s| s.offset).collect::<Vec<_>>(),
        [0, 1, 2],
        "offsets rise by one"
    );
    let rest = log.read(&a, events, 3, 10).await.unwrap();
    assert_eq!(
        rest.iter().map(|s| &*s.value).collect::<Vec<_>>(),
        [b"v3", b"v4"],
        "reading continues where it stopped"
    );
    let ends: BTreeMap<StreamId, u64> = log.ends(&a).await.unwrap().into_iter().collect();
    assert_eq!(ends.get(&events), Some(&5));
    assert_eq!(
        log.resume_at(&a, events, 4).await.unwrap(),
        5,
        "a stream that is there already stays as it is"
    );
    assert_eq!(log.resume_at(&a, events, 9).await.unwrap(), 5);
    log.append(&a, vec![entry(Topic::Events, "prod", "v9")])
        .await
        .unwrap();
    let gap = log.read(&a, events, 4, 10).await.unwrap();
    assert_eq!(
        gap.iter().map(|s| s.offset).collect::<Vec<_>>(),
        [4, 9],
        "offsets that were lost are not given out again"
    );
    whatever_is_written_can_be_read(log, &a, 10).await;
    assert!(
        log.ends(&b).await.unwrap().is_empty(),
        "tenants do not see each other"
    );
    assert!(log.read(&b, events, 0, 10).await.unwrap().is_empty());
    assert!(log.bytes(&a).await.unwrap() > 0);
    log.remove(&a).await.unwrap();
    assert!(
        log.ends(&a).await.unwrap().is_empty(),
        "nothing is left of a removed tenant"
    );
}
