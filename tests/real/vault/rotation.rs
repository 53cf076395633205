//! Keys that are rotated in Vault, or move to another.

use kgrca_tests::Server;
use serde_json::json;

use super::server::{Vault, refused};
use super::{ENCRYPTION, TENANTS, accept, records, rewrap, tenants};

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_in_vault() {
    let vault = Vault::start();
    let folder = tempfile::tempdir().unwrap();
    let url = vault.url();
    let options = ["--master-key-url", url.as_str()];
    let server = Server::start(folder.path(), &options);
    let tenants = tenants(&server).await;
    assert!(server.terminate());
    let server = Server::start(folder.path(), &options);
    vault.rotate().await;
    let expected = json!({"changed": TENANTS, "unchanged": 0, "failed": []});
    assert_eq!(rewrap(&server).await, expected);
    assert_eq!(rewrap(&server).await["changed"], 0);
    let status = server.get(ENCRYPTION, &server.operator).await;
    let counts = json!([{
        "master_key": "vault:transit/kgrca", "version": 2, "tenants": TENANTS, "data_keys": TENANTS
    }]);
    assert_eq!(status["data_keys"], counts);
    // Nothing needs the old version any longer.
    vault.decrypt_from(2).await;
    server.kill();
    let server = Server::start(folder.path(), &options);
    for tenant in &tenants {
        assert!(records(&server, tenant).await.contains("<first>"));
    }
    // A version that Vault no longer decrypts is an error of its tenants, and Vault says why.
    vault.rotate().await;
    let late = server.tenant("late", "pro").await;
    accept(&server, &late, "first").await;
    vault.decrypt_from(3).await;
    let done = rewrap(&server).await;
    let failed = done["failed"].as_array().unwrap();
    assert_eq!(failed.len(), TENANTS, "{done}");
    assert!(done.to_string().contains("too old"), "{done}");
    server.kill();
    let server = Server::start(folder.path(), &options);
    accept(&server, &late, "second").await;
    vault.decrypt_from(2).await;
    assert_eq!(rewrap(&server).await["changed"], TENANTS);
    accept(&server, &tenants[0], "second").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_move_from_one_vault_to_another() {
    let (old, new) = (Vault::start(), Vault::start());
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--master-key-url", &old.url()]);
    let tenants = tenants(&server).await;
    assert!(server.terminate());
    let same = format!("{},{}", new.url(), old.url());
    let message = refused(folder.path(), &same);
    assert!(message.contains("two keys have the id"), "{message}");
    let new_url = format!("{}&id=second", new.url());
    let both = format!("{new_url},{}", old.url());
    let server = Server::start(folder.path(), &["--master-key-url", &both]);
    assert_eq!(rewrap(&server).await["changed"], TENANTS);
    let status = server.get(ENCRYPTION, &server.operator).await;
    assert_eq!(status["data_keys"][0]["master_key"], "vault:second");
    assert!(server.terminate());
    drop(old);
    let server = Server::start(folder.path(), &["--master-key-url", &new_url]);
    for tenant in &tenants {
        assert!(records(&server, tenant).await.contains("<first>"));
    }
}
