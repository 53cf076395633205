//! Stores that need nothing installed.
#![expect(
    clippy::disallowed_methods,
    reason = "stores read and write files; the rest of core does not"
)]

pub mod files;
pub mod log;
pub mod mars;
pub mod memory;
pub mod sqlite;

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::files::{Files, ForgetfulFiles, RealFiles};
    use super::log::FileLog;
    use crate::model::{Time, Topic};
    use crate::storage::{Entry, ErrorKind, EventLog, StreamId, conformance};
    use crate::tenancy::TenantId;

    fn tenant() -> TenantId {
        TenantId::parse("client-a-abc123").unwrap()
    }

    const STREAM: StreamId = StreamId {
        topic: Topic::Events,
        partition: 0,
    };

    fn entry(value: &str) -> Entry {
        Entry {
            stream: STREAM,
            key: b"prod"[..].into(),
            value: value.as_bytes().into(),
            received_at: Time(1),
        }
    }

    #[tokio::test]
    async fn the_log_in_files_conforms() {
        let folder = tempfile::tempdir().unwrap();
        conformance::event_log(&FileLog::open(
            Arc::new(RealFiles::default()),
            folder.path(),
        ))
        .await;
        conformance::event_log(&FileLog::open(Arc::new(ForgetfulFiles::default()), "/log")).await;
    }

    #[tokio::test]
    async fn the_graph_in_files_conforms() {
        let folder = tempfile::tempdir().unwrap();
        conformance::graph_store(&super::mars::MarsGraph::open(folder.path())).await;
    }

    #[tokio::test]
    async fn a_graph_is_there_when_it_is_opened_again() {
        use crate::storage::{GraphBatch, GraphStore, IncidentNode};

        let folder = tempfile::tempdir().unwrap();
        let incident = IncidentNode {
            id: "inc-1".into(),
            cluster: "prod".into(),
            state: crate::incident::State::Open,
            severity: crate::model::Severity::Error,
            started: Time(1),
            ended: None,
            symptoms: Vec::new(),
            causes: None,
            at: Time(2),
        };
        for _ in 0..3 {
            let graph = super::mars::MarsGraph::open(folder.path());
            let batch = GraphBatch {
                full_resync: true,
                incidents: vec![incident.clone()],
                ..GraphBatch::default()
            };
            graph.write(&tenant(), batch).await.unwrap();
            assert_eq!(graph.counts(&tenant()).await.unwrap().incidents, 1);
        }
    }

    #[tokio::test]
    async fn a_damaged_graph_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client-a-abc123.mars");
        std::fs::write(&path, vec![7_u8; 100_000]).unwrap();
        let graph = super::mars::MarsGraph::open(folder.path());
        conformance::graph_store(&graph).await;
        assert!(folder.path().join("client-a-abc123.mars.damaged").exists());
    }

    #[tokio::test]
    async fn limits_in_memory_conform() {
        conformance::limits(&super::memory::MemoryLimits::default()).await;
    }

    #[tokio::test]
    async fn sqlite_conforms() {
        let folder = tempfile::tempdir().unwrap();
        conformance::meta_store(
            &super::sqlite::SqliteMeta::open(&folder.path().join("meta.db"))
                .await
                .unwrap(),
        )
        .await;
    }

    #[tokio::test]
    async fn what_was_acknowledged_survives_a_power_cut_whatever_is_torn() {
        for keep in 0..80 {
            let disk = ForgetfulFiles::default();
            let log = FileLog::open(Arc::new(disk.clone()), "/log");
            for i in 0..5 {
                log.append(&tenant(), vec![entry(&format!("v{i}"))])
                    .await
                    .unwrap();
            }
            // A write that was begun and never synced.
            let path =
                Path::new("/log/client-a-abc123/events.normalized/0/00000000000000000000.seg");
            let whole = disk.read(path, 0, 1 << 20).unwrap();
            disk.append(path, &whole[..60]).unwrap();
            disk.power_cut(keep);
            let again = FileLog::open(Arc::new(disk), "/log");
            again.append(&tenant(), vec![entry("after")]).await.unwrap();
            let read = again.read(&tenant(), STREAM, 0, 100).await.unwrap();
            let values: Vec<_> = read
                .iter()
                .map(|s| String::from_utf8_lossy(&s.value).into_owned())
                .collect();
            assert_eq!(values.first().map(String::as_str), Some("v0"));
            assert!(
                values.len() >= 6 && values.last().map(String::as_str) == Some("after"),
                "{keep}: {values:?}"
            );
        }
    }

    #[tokio::test]
    async fn segments_that_roll_within_a_group_are_whole_or_not_there() {
        let disk = ForgetfulFiles::default();
        let log = Arc::new(FileLog::with_segments(Arc::new(disk.clone()), "/log", 100));
        let all: Vec<_> = (0..40)
            .map(|i| {
                let log = Arc::clone(&log);
                tokio::spawn(async move {
                    log.append(&tenant(), vec![entry(&format!("value {i}"))])
                        .await
                })
            })
            .collect();
        for one in all {
            one.await.unwrap().unwrap();
        }
        disk.power_cut(0);
        let again = FileLog::with_segments(Arc::new(disk.clone()), "/log", 100);
        assert_eq!(
            again.read(&tenant(), STREAM, 0, 100).await.unwrap().len(),
            40
        );
        disk.set_room(Some(150));
        let many = (0..8).map(|i| entry(&format!("too much {i}"))).collect();
        assert!(again.append(&tenant(), many).await.is_err());
        disk.set_room(None);
        again.append(&tenant(), vec![entry("after")]).await.unwrap();
        let last = FileLog::with_segments(Arc::new(disk), "/log", 100);
        let read = last.read(&tenant(), STREAM, 0, 100).await.unwrap();
        assert_eq!((read.len(), &*read[40].value), (41, &b"after"[..]));
    }

    #[tokio::test]
    async fn a_full_disk_refuses_and_recovers() {
        let disk = ForgetfulFiles::default();
        let log = FileLog::open(Arc::new(disk.clone()), "/log");
        log.append(&tenant(), vec![entry("one")]).await.unwrap();
        disk.set_room(Some(20));
        let error = log
            .append(&tenant(), vec![entry("too much")])
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Full);
        disk.set_room(None);
        log.append(&tenant(), vec![entry("two")]).await.unwrap();
        let again = FileLog::open(Arc::new(disk), "/log");
        let read = again.read(&tenant(), STREAM, 0, 100).await.unwrap();
        assert_eq!(
            read.iter()
                .map(|s| (s.offset, &*s.value))
                .collect::<Vec<_>>(),
            [(0, &b"one"[..]), (1, &b"two"[..])]
        );
    }
}
