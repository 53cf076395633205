//! Stores that need nothing installed.
#![expect(
    clippy::disallowed_methods,
    reason = "stores read and write files; the rest of core does not"
)]

pub mod files;
pub mod log;
pub mod mars;
pub mod memory;
mod migrations;
pub mod sqlite;

pub use migrations::{MigrationFile, migrator};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use super::files::{Files, ForgetfulFiles, RealFiles};
    use super::log::FileLog;
    use crate::model::{Time, Topic};
    use crate::storage::seal::{Keyring, Sealer, testing};
    use crate::storage::{
        Applied, Entry, ErrorKind, EventLog, GraphStore, Offset, Result, StreamId, conformance,
    };
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
        let encrypted = FileLog::open(Arc::new(ForgetfulFiles::default()), "/log");
        conformance::event_log(&encrypted.encrypted_by(Arc::new(TestKeys::default()))).await;
    }

    /// Keys of tenants that are made when they are first used.
    #[derive(Default)]
    struct TestKeys(Mutex<BTreeMap<TenantId, Arc<Sealer>>>);

    #[async_trait::async_trait]
    impl Keyring for TestKeys {
        async fn sealer(&self, tenant: &TenantId) -> Result<Arc<Sealer>> {
            let mut all = self.0.lock().unwrap();
            let made = || Arc::new(testing::sealer(tenant.as_str(), 1));
            Ok(Arc::clone(all.entry(tenant.clone()).or_insert_with(made)))
        }

        async fn sealer_to_write(&self, tenant: &TenantId) -> Result<Arc<Sealer>> {
            self.sealer(tenant).await
        }
    }

    #[tokio::test]
    async fn an_open_stream_takes_the_keys_of_a_tenant_that_was_created_again() {
        let disk = ForgetfulFiles::default();
        let keys = Arc::new(TestKeys::default());
        let log =
            FileLog::open(Arc::new(disk.clone()), "/log").encrypted_by(Arc::clone(&keys) as _);
        log.append(&tenant(), vec![entry("old")]).await.unwrap();
        let again = Arc::new(testing::sealer(tenant().as_str(), 2));
        keys.0.lock().unwrap().insert(tenant(), Arc::clone(&again));
        log.append(&tenant(), vec![entry("new")]).await.unwrap();
        let log = FileLog::open(Arc::new(disk), "/log").encrypted_by(keys);
        let read = log.read(&tenant(), STREAM, 1, 9).await.unwrap();
        assert_eq!(&*read[0].value, b"new");
        assert!(log.read(&tenant(), STREAM, 0, 9).await.is_err());
    }

    #[tokio::test]
    async fn a_log_without_its_key_is_an_error_and_no_damage() {
        let disk = ForgetfulFiles::default();
        let open = || FileLog::open(Arc::new(disk.clone()), "/log");
        let log = open().encrypted_by(Arc::new(TestKeys::default()));
        let state = StreamId {
            topic: Topic::Resource,
            partition: 0,
        };
        for stream in [STREAM, state] {
            let of_stream = Entry {
                stream,
                ..entry("secret")
            };
            log.append(&tenant(), vec![of_stream]).await.unwrap();
        }
        let path = Path::new("/log/client-a-abc123/events.normalized/0/00000000000000000000.seg");
        let before = disk.read(path, 0, 1 << 20).unwrap();
        assert!(!before.windows(6).any(|w| w == b"secret"));
        let without = open();
        for stream in [STREAM, state] {
            let error = without.tail(&tenant(), stream, 0, 9).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Corrupt);
        }
        // A second segment closes the first one, so that it is compacted.
        assert_eq!(without.resume_at(&tenant(), state, 5).await.unwrap(), 1);
        let offset = Offset {
            stream: state,
            next: 5,
        };
        let applied = Applied::new(vec![offset], Vec::new());
        let maintained = without.maintain(&tenant(), 0, Time(9), applied).await;
        assert_eq!(maintained.unwrap_err().kind, ErrorKind::Corrupt);
        assert_eq!(without.set_aside(&tenant()).await.unwrap(), []);
        assert_eq!(disk.read(path, 0, 1 << 20).unwrap(), before);
        // Nothing is written behind what cannot be read: the key would be lost for good.
        let appended = without.append(&tenant(), vec![entry("clear")]).await;
        assert_eq!(appended.unwrap_err().kind, ErrorKind::Corrupt);
        let log = open().encrypted_by(Arc::new(TestKeys::default()));
        let read = log.read(&tenant(), STREAM, 0, 9).await.unwrap();
        let values: Vec<&[u8]> = read.iter().map(|stored| &*stored.value).collect();
        assert_eq!(values, [&b"secret"[..]]);
    }

    #[tokio::test]
    async fn the_graph_in_files_conforms() {
        let folder = tempfile::tempdir().unwrap();
        conformance::graph_store(&super::mars::MarsGraph::open(folder.path())).await;
    }

    #[tokio::test]
    async fn a_graph_is_there_when_it_is_opened_again() {
        use crate::storage::{GraphBatch, IncidentNode};

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
        let empty = crate::storage::GraphCounts::default();
        assert_eq!(graph.counts(&tenant()).await.unwrap(), empty);
        let aside = folder.path().join("client-a-abc123.mars.damaged");
        assert!(aside.exists());
        assert_eq!(graph.take_lost(), [tenant()]);
        conformance::graph_store(&graph).await;
        assert!(!aside.exists(), "it is removed with the tenant");
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
    async fn what_one_tenant_cannot_write_costs_no_other_tenant_anything() {
        let disk = ForgetfulFiles::default();
        let log = Arc::new(FileLog::open(Arc::new(disk), "/log"));
        let other = TenantId::parse("client-b-abc123").unwrap();
        let mut refused = entry("");
        refused.key = vec![b'k'; crate::storage::MAX_KEY + 1].into();
        let bad: Vec<_> = (0..50)
            .map(|_| {
                let (log, entry) = (Arc::clone(&log), refused.clone());
                tokio::spawn(async move { log.append(&tenant(), vec![entry]).await })
            })
            .collect();
        let good: Vec<_> = (0..50)
            .map(|i| {
                let (log, tenant) = (Arc::clone(&log), other.clone());
                tokio::spawn(async move { log.append(&tenant, vec![entry(&i.to_string())]).await })
            })
            .collect();
        for one in bad {
            assert_eq!(one.await.unwrap().unwrap_err().kind, ErrorKind::Refused);
        }
        for one in good {
            one.await.unwrap().unwrap();
        }
        log.append(&tenant(), vec![entry("fits")]).await.unwrap();
        let read = log.read(&tenant(), STREAM, 0, 10).await.unwrap();
        assert_eq!((read.len(), &*read[0].value), (1, &b"fits"[..]));
    }

    #[tokio::test]
    async fn a_flipped_byte_costs_a_record_and_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let open = || FileLog::open(Arc::new(RealFiles::default()), folder.path());
        let log = open();
        for i in 0..5 {
            let entries = vec![entry(&format!("v{i}"))];
            log.append(&tenant(), entries).await.unwrap();
        }
        drop(log);
        let path = folder
            .path()
            .join("client-a-abc123/events.normalized/0/00000000000000000000.seg");
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        for _ in 0..2 {
            let log = open();
            let tail = log.tail(&tenant(), STREAM, 0, 10).await.unwrap();
            let offsets: Vec<u64> = tail.records.iter().map(|s| s.offset).collect();
            assert_eq!((offsets, tail.lost, tail.next), (vec![0, 1, 3, 4], 1, 5));
            let aside = log.set_aside(&tenant()).await.unwrap();
            assert_eq!(aside.len(), 1);
            assert_eq!((aside[0].records, aside[0].stream), (1, STREAM));
            assert!(aside[0].file.ends_with("0.damaged-2-3"), "{aside:?}");
        }
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
