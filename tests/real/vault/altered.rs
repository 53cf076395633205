//! Data keys in the metadata that Vault does not decrypt.

use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::{DataKey, DataKeys};
use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::StatusCode;

use super::server::{Vault, refused};
use super::{TENANTS, accept, records, rewrap, send, tenants};

/// Ways in which the ciphertext of a data key can be damaged.
fn damaged(wrapped: &str, of_another: &str) -> Vec<String> {
    let (head, text) = wrapped.rsplit_once(':').unwrap();
    let flipped: String = text.chars().rev().collect();
    vec![
        format!("{head}:{flipped}"),
        format!("{head}:{}", &text[..text.len() / 2]),
        format!("{head}:"),
        format!("{head}:???"),
        format!("vault:v99:{text}"),
        format!("vault:vX:{text}"),
        text.to_owned(),
        String::new(),
        of_another.to_owned(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_data_key_stops_its_tenant_only() {
    let vault = Vault::start();
    let folder = tempfile::tempdir().unwrap();
    let url = vault.url();
    let options = ["--master-key-url", url.as_str()];
    let server = Server::start(folder.path(), &options);
    let tenants = tenants(&server).await;
    assert!(server.terminate());
    let database = folder.path().join("meta.db");
    let meta = SqliteMeta::open(&database).await.unwrap();
    let keys = meta.all_data_keys().await.unwrap();
    let of = |tenant: &Tenant| keys.iter().find(|k| k.client_id == tenant.id).unwrap();
    let (intact, other) = (of(&tenants[0]), of(&tenants[1]));
    let mut before = intact.clone();
    for (number, wrapped) in damaged(&intact.wrapped, &other.wrapped).iter().enumerate() {
        let altered = DataKey {
            wrapped: wrapped.clone(),
            ..intact.clone()
        };
        assert!(meta.rewrap_data_key(&before, &altered).await.unwrap());
        before = altered;
        let server = Server::start(folder.path(), &options);
        let id = format!("with-{number}");
        let (status, text) = send(&server, &tenants[0], &id).await;
        let expected = StatusCode::INTERNAL_SERVER_ERROR;
        assert_eq!(status, expected, "{wrapped}: {text}");
        accept(&server, &tenants[1], &id).await;
        vault.rotate().await;
        let done = rewrap(&server).await;
        assert_eq!(done["changed"], TENANTS - 1, "{wrapped}: {done}");
        let failed = done["failed"].as_array().unwrap();
        assert_eq!(failed.len(), 1, "{wrapped}: {done}");
        assert!(failed[0].as_str().unwrap().contains(&tenants[0].id));
        server.kill();
    }
    assert!(meta.rewrap_data_key(&before, intact).await.unwrap());
    let server = Server::start(folder.path(), &options);
    accept(&server, &tenants[0], "last").await;
    assert!(records(&server, &tenants[0]).await.contains("<first>"));
    assert!(server.terminate());
    // No data key opens: it is another key of the same name.
    vault.replace_key().await;
    let message = refused(folder.path(), &url);
    assert!(message.contains("vault:transit/kgrca"), "{message}");
}
