//! What `docs/encryption.md` says to do when a master key is lost.

use kgrca_core::storage::DataKeys;
use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::sql::{Database, Purpose, Reach};
use kgrca_tests::{Server, repository};

use crate::encryption::{CANARY, KeyFile, ONE, TWO, event, records};

/// The statements of the page, for a lost master key.
fn statements(master_key: &str) -> Vec<&'static str> {
    let page = std::fs::read_to_string(repository().join("docs/encryption.md")).unwrap();
    let (_, block) = page.split_once("```sql\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let block = block.replace("ID", master_key);
    let statements = block.split(';').map(str::trim).filter(|s| !s.is_empty());
    statements.map(|s| &*s.to_owned().leak()).collect()
}

#[tokio::test]
async fn tenants_go_on_without_their_data_when_the_master_key_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (lost, other) = (KeyFile::new(&[ONE]), KeyFile::new(&[TWO]));
    let server = Server::start(folder.path(), &["--master-key-url", &lost.url()]);
    let concerned = server.tenant("concerned", "pro").await;
    let first = event("first", &format!("{CANARY}-first"));
    server.ingest(&concerned, "events", first).await;
    server.settled(&concerned, 1).await;
    assert!(server.terminate());
    // One whose keys are under the other master key.
    let both = format!("{},{}", other.url(), lost.url());
    let server = Server::start(folder.path(), &["--master-key-url", &both]);
    let intact = server.tenant("intact", "pro").await;
    let first = event("first", &format!("{CANARY}-first"));
    server.ingest(&intact, "events", first).await;
    server.settled(&intact, 1).await;
    assert!(server.terminate());

    let database = folder.path().join("meta.db");
    let meta = SqliteMeta::open(&database).await.unwrap();
    let keys = meta.all_data_keys().await.unwrap();
    let key = keys.iter().find(|key| key.client_id == concerned.id);
    let writing = meta.database().begin(Reach::Operator, Purpose::Durable);
    let mut writing = writing.await.unwrap();
    for statement in statements(&key.unwrap().master_key) {
        writing.run(statement, Vec::new()).await.unwrap();
    }
    writing.commit().await.unwrap();
    drop(meta);
    let away = tempfile::tempdir().unwrap();
    for place in ["log", "snapshots"] {
        let of_tenant = folder.path().join(place).join(&concerned.id);
        std::fs::rename(of_tenant, away.path().join(place)).unwrap();
    }

    let server = Server::start(folder.path(), &["--master-key-url", &other.url()]);
    for tenant in [&concerned, &intact] {
        let second = event("second", &format!("{CANARY}-second"));
        server.ingest(tenant, "events", second).await;
        server.settled(tenant, 2).await;
        let exported = records(&server, tenant).await;
        assert!(exported.contains(&format!("{CANARY}-second")), "{exported}");
        let has_first = exported.contains(&format!("{CANARY}-first"));
        assert_eq!(has_first, tenant.id == intact.id, "{exported}");
    }
}
