use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::{DataKeys, Tenants};
use kgrca_core::tenancy::{Tenant, TenantState};

use super::*;
use crate::secret::write_private;

/// All tenants at once.
const ALL: Portion<'static> = Portion {
    after: None,
    until: Time(i64::MAX),
};

struct Daemon {
    folder: tempfile::TempDir,
    meta: Arc<SqliteMeta>,
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(&format!("client-{name}-abc123")).unwrap()
}

fn base64(key: u8) -> String {
    STANDARD.encode([key; KEY])
}

impl Daemon {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let meta = SqliteMeta::open(&folder.path().join("meta.db")).await;
        let daemon = Self {
            meta: Arc::new(meta.unwrap()),
            folder,
        };
        daemon.write_keys(&[1]);
        for name in ["a", "b", "c"] {
            daemon.create(&tenant(name)).await;
        }
        daemon
    }

    async fn create(&self, id: &TenantId) {
        let tenant = Tenant {
            client_id: id.to_string(),
            name: "A".into(),
            plan: "free".into(),
            state: TenantState::Active,
            contact_email: String::new(),
            created_at: Time(1),
            deleted_at: None,
            partitions: 1,
            limits: kgrca_core::billing::Overrides::default(),
        };
        self.meta.put_tenant(&tenant).await.unwrap();
    }

    fn file(&self) -> PathBuf {
        Path::join(self.folder.path(), "master.key")
    }

    fn write_keys(&self, keys: &[u8]) {
        let lines: Vec<String> = keys.iter().map(|key| base64(*key)).collect();
        write_private(&self.file(), &lines.join("\n")).unwrap();
    }

    async fn open(&self) -> Result<Encryption> {
        let url = format!("file:{}", self.file().display());
        Encryption::open(Arc::clone(&self.meta) as _, &[&url], true).await
    }
}

#[tokio::test]
async fn two_daemons_read_what_the_other_wrote() {
    let daemon = Daemon::new().await;
    let (one, two) = (daemon.open().await.unwrap(), daemon.open().await.unwrap());
    let a = tenant("a");
    // Read before there is a key.
    assert!(!two.sealer(&a).await.unwrap().has_keys());
    let secret = one.tenant_secret(&a, "first").await.unwrap();
    assert_eq!(two.tenant_secret(&a, "second").await.unwrap(), secret);
    one.rotate(&a).await.unwrap();
    let sealed = one.sealer(&a).await.unwrap().seal("x", b"text");
    let sealed = sealed.unwrap().unwrap();
    two.refresh().await;
    let sealer = two.sealer(&a).await.unwrap();
    assert_eq!(sealer.open("x", &sealed).unwrap(), b"text");
}

#[tokio::test]
async fn tasks_that_begin_at_once_create_one_key() {
    let daemon = Daemon::new().await;
    let encryption = Arc::new(daemon.open().await.unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..20 {
        let encryption = Arc::clone(&encryption);
        tasks.spawn(async move {
            let a = tenant("a");
            if i % 2 == 0 {
                encryption.sealer(&a).await.unwrap();
            }
            let sealer = encryption.sealer_to_write(&a).await.unwrap();
            sealer.seal("x", b"text").unwrap().unwrap()
        });
    }
    let pieces = tasks.join_all().await;
    let sealer = encryption.sealer(&tenant("a")).await.unwrap();
    for piece in pieces {
        assert_eq!(sealer.open("x", &piece).unwrap(), b"text");
    }
    assert_eq!(daemon.meta.data_keys(&tenant("a")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_that_is_missing_at_run_time_is_unavailable_and_those_in_memory_stay() {
    let daemon = Daemon::new().await;
    daemon
        .open()
        .await
        .unwrap()
        .sealer_to_write(&tenant("a"))
        .await
        .unwrap();
    let encryption = daemon.open().await.unwrap();
    // Replaced instead of added to.
    daemon.write_keys(&[2]);
    encryption.rewrap(ALL).await.unwrap();
    encryption.sealer_to_write(&tenant("a")).await.unwrap();
    daemon.write_keys(&[3]);
    let other = daemon.open().await.err().unwrap();
    assert_eq!(other.kind, ErrorKind::Refused, "at start: {other}");
    daemon.write_keys(&[2]);
    let behind = daemon.open().await.unwrap();
    daemon.write_keys(&[4, 2]);
    encryption.rewrap(ALL).await.unwrap();
    for text in ["", "damaged", &base64(2)] {
        write_private(&daemon.file(), text).unwrap();
        let error = behind.sealer(&tenant("a")).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    }
    daemon.write_keys(&[2, 4]);
    behind.sealer(&tenant("a")).await.unwrap();
}

#[tokio::test]
async fn a_data_key_in_the_place_of_another_is_refused() {
    let daemon = Daemon::new().await;
    let encryption = daemon.open().await.unwrap();
    for name in ["a", "b"] {
        encryption.sealer_to_write(&tenant(name)).await.unwrap();
    }
    let keys = daemon.meta.all_data_keys().await.unwrap();
    let swapped = DataKey {
        wrapped: keys[1].wrapped.clone(),
        ..keys[0].clone()
    };
    assert!(
        daemon
            .meta
            .rewrap_data_key(&keys[0], &swapped)
            .await
            .unwrap()
    );
    let encryption = daemon.open().await.unwrap();
    let error = encryption.sealer(&tenant("a")).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Corrupt, "{error}");
    let whole = daemon.meta.rewrap_data_key(&swapped, &keys[0]).await;
    assert!(whole.unwrap());
    let altered = DataKey {
        wrapped: keys[0].wrapped.clone(),
        ..keys[1].clone()
    };
    assert!(
        daemon
            .meta
            .rewrap_data_key(&keys[1], &altered)
            .await
            .unwrap()
    );
    let encryption = daemon.open().await.unwrap();
    encryption.sealer(&tenant("a")).await.unwrap();
    assert_eq!(
        encryption.sealer(&tenant("b")).await.err().unwrap().kind,
        ErrorKind::Corrupt
    );
    daemon.write_keys(&[2, 1]);
    let done = encryption.rewrap(ALL).await.unwrap();
    assert_eq!((done.changed, done.failed.len()), (1, 1), "{done:?}");
    assert!(done.failed[0].contains("client-b-abc123"), "{done:?}");
    let counts = encryption.data_keys().await.unwrap();
    assert_eq!(counts.len(), 2, "the other one was rewrapped: {counts:?}");
}

#[tokio::test]
async fn an_altered_data_key_stops_its_tenant_and_nobody_else() {
    let daemon = Daemon::new().await;
    let encryption = daemon.open().await.unwrap();
    encryption.sealer_to_write(&tenant("a")).await.unwrap();
    let key = daemon.meta.all_data_keys().await.unwrap().remove(0);
    let altered = DataKey {
        wrapped: base64(0),
        ..key.clone()
    };
    let meta = &daemon.meta;
    assert!(meta.rewrap_data_key(&key, &altered).await.unwrap());
    let encryption = daemon.open().await.unwrap();
    let error = encryption.sealer_to_write(&tenant("a")).await.err();
    assert_eq!(error.unwrap().kind, ErrorKind::Corrupt);
    encryption.sealer_to_write(&tenant("b")).await.unwrap();
}

#[tokio::test]
async fn a_rewrap_continues_where_its_time_ended() {
    let daemon = Daemon::new().await;
    let encryption = daemon.open().await.unwrap();
    for name in ["c", "a", "b"] {
        encryption.sealer_to_write(&tenant(name)).await.unwrap();
    }
    encryption.rotate(&tenant("b")).await.unwrap();
    daemon.write_keys(&[2, 1]);
    let mut after: Option<String> = None;
    let mut changed = Vec::new();
    loop {
        let portion = Portion {
            after: after.as_deref(),
            until: Time(0),
        };
        let done = encryption.rewrap(portion).await.unwrap();
        changed.push(done.changed);
        after = done.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(changed, [1, 2, 1], "a tenant at a time");
    let counts = encryption.data_keys().await.unwrap();
    let [under] = counts.as_slice() else {
        panic!("{counts:?}");
    };
    assert_eq!((under.tenants, under.data_keys), (3, 4));
    let done = encryption.rewrap(ALL).await.unwrap();
    assert_eq!((done.changed, done.unchanged), (0, 4));
}

#[tokio::test]
async fn a_running_daemon_uses_a_key_that_is_added_to_its_file() {
    let daemon = Daemon::new().await;
    let encryption = daemon.open().await.unwrap();
    for name in ["a", "b"] {
        encryption.sealer_to_write(&tenant(name)).await.unwrap();
    }
    // Another daemon encrypted under a key that this one has not read yet.
    daemon.write_keys(&[3, 2, 1]);
    let other = daemon.open().await.unwrap();
    other.sealer_to_write(&tenant("c")).await.unwrap();
    encryption.sealer(&tenant("c")).await.unwrap();
    let done = encryption.rewrap(ALL).await.unwrap();
    assert_eq!((done.changed, done.unchanged), (2, 1));
    daemon.write_keys(&[3]);
    daemon.open().await.unwrap();
    daemon.write_keys(&[2, 1]);
    let error = daemon.open().await.err().unwrap();
    assert!(error.message.contains("data of 3 tenants"), "{error}");
}

#[tokio::test]
async fn a_tenant_that_is_created_again_gets_other_keys() {
    let daemon = Daemon::new().await;
    let encryption = daemon.open().await.unwrap();
    let a = tenant("a");
    let before = encryption.sealer_to_write(&a).await.unwrap();
    let sealed = before.seal("x", b"text").unwrap().unwrap();
    let first = before.current();
    assert!(encryption.rotate(&a).await.unwrap());
    assert!(before.current().is_some() && before.current() != first);
    daemon.meta.forget_tenant(&a, true).await.unwrap();
    let error = encryption
        .add(&a, encryption.masters.as_ref().unwrap())
        .await;
    assert_eq!(
        error.unwrap_err().kind,
        ErrorKind::Conflict,
        "it does not exist"
    );
    daemon.create(&a).await;
    encryption.refresh().await;
    assert!(!encryption.rotate(&a).await.unwrap());
    assert!(
        !encryption.sealer(&a).await.unwrap().has_keys(),
        "reading makes none"
    );
    let after = encryption.sealer_to_write(&a).await.unwrap();
    assert!(after.open("x", &sealed).is_err());
}

#[tokio::test]
async fn a_secret_from_before_is_encrypted_and_stays_the_same() {
    let daemon = Daemon::new().await;
    let a = tenant("a");
    let off = Encryption::open(Arc::clone(&daemon.meta) as _, &[], true).await;
    let secret = off.unwrap().tenant_secret(&a, "first").await.unwrap();
    assert_eq!(secret, "first");
    for _ in 0..2 {
        let encryption = daemon.open().await.unwrap();
        let secret = encryption.tenant_secret(&a, "second").await.unwrap();
        assert_eq!(secret, "first");
        let stored = daemon.meta.tenant_secret(&a, "third").await.unwrap();
        assert!(stored.starts_with(SEALED), "{stored}");
    }
}

#[tokio::test]
async fn urls_that_do_not_say_which_key_it_is_are_refused() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let daemon = Daemon::new().await;
    let (old, new) = ("vault://old/transit/k", "vault://new/transit/k");
    let named = format!("{new}?id=new");
    for (urls, message) in [
        (vec!["file://etc/master.key"], "absolute path"),
        (vec![new, old], "two keys have the id vault:transit/k"),
        // They have different ids, so both are tried.
        (vec![&named, old], "no token"),
    ] {
        let error = Encryption::open(Arc::clone(&daemon.meta) as _, &urls, true).await;
        let error = error.err().unwrap();
        assert!(error.message.contains(message), "{urls:?}: {error}");
    }
}

/// A server that closes each connection; it counts them.
async fn unanswering() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(connection);
        }
    });
    (address, count)
}

#[tokio::test]
async fn requests_that_wait_for_a_key_fail_together() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let daemon = Daemon::new().await;
    let (address, connections) = unanswering().await;
    let token = Path::join(daemon.folder.path(), "token");
    write_private(&token, "hvs.token").unwrap();
    let token = token.display();
    let url = format!("vault://{address}/transit/k?tls=false&token-file={token}");
    let encryption = Encryption {
        masters: Some(MasterKeys::open(&[&url]).unwrap()),
        encrypts_new: true,
        ..Encryption::off(Arc::clone(&daemon.meta) as _)
    };
    let a = tenant("a");
    let one = || encryption.sealer_to_write(&a);
    let failed = |result: Result<_>| result.err().unwrap().kind == ErrorKind::Unavailable;
    assert!(failed(one().await));
    let attempts = connections.swap(0, Ordering::Relaxed);
    let (b, c, d) = tokio::join!(one(), one(), one());
    assert!([b, c, d].into_iter().all(failed));
    assert_eq!(connections.swap(0, Ordering::Relaxed), attempts);
    // Whoever asks later does not get an old answer.
    assert!(failed(one().await));
    assert_eq!(connections.load(Ordering::Relaxed), attempts);
}
