//! A Vault that refuses, is sealed, or is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kgrca_tests::Server;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::server::{Vault, refused};
use super::{DEADLINE, accept, checks, records, send, tenants};

/// Longest time that eight requests wait for a Vault that hangs: half of what they take one after the
/// other, with a timeout of ten seconds each.
const HELD: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_encrypt_and_decrypt_and_needs_nothing_else() {
    let vault = Vault::start();
    let folder = tempfile::tempdir().unwrap();
    let url = vault.url();
    for path in ["transit/keys/kgrca", "transit/export/encryption-key/kgrca"] {
        let token = vault.token();
        let (status, answer) = vault.call(&token, Method::GET, path, json!({})).await;
        assert_eq!(status, 403, "{path}: {answer}");
    }
    for policy in ["only-encrypt", "only-decrypt"] {
        vault.write_token(policy).await;
        let message = refused(folder.path(), &url);
        assert!(message.contains("permission denied"), "{policy}: {message}");
    }
    vault.write_token("kgrca").await;
    let without_ca = url.replace("ca=", "namespace=");
    let message = refused(folder.path(), &without_ca);
    assert!(message.contains("certificate"), "{message}");
    let server = Server::start(folder.path(), &["--master-key-url", &url]);
    tenants(&server).await;
    vault.write_token("only-encrypt").await;
    assert!(checks(&server).await.contains("permission denied"));
    vault.write_token("kgrca").await;
    assert!(!checks(&server).await.contains("permission denied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_stops_new_tenants_until_there_is_another() {
    let vault = Vault::start();
    let folder = tempfile::tempdir().unwrap();
    let url = vault.url();
    let options = ["--master-key-url", url.as_str()];
    let server = Server::start(folder.path(), &options);
    let tenants = tenants(&server).await;
    let late = server.tenant("late", "pro").await;
    vault.revoke_token().await;
    let (status, text) = send(&server, &late, "first").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    let is_internal = text.contains("vault") || text.contains("permission");
    assert!(!is_internal, "{text}");
    accept(&server, &tenants[0], "second").await;
    let found = checks(&server).await;
    assert!(found.contains("permission denied"), "{found}");
    assert!(server.terminate());
    let message = refused(folder.path(), &url);
    assert!(message.contains("permission denied"), "{message}");
    vault.write_token("kgrca").await;
    let server = Server::start(folder.path(), &options);
    vault.revoke_token().await;
    let (status, _) = send(&server, &late, "first").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    // The file is read again: no restart is needed.
    vault.write_token("kgrca").await;
    accept(&server, &late, "first").await;
    for tenant in &tenants {
        accept(&server, tenant, "third").await;
    }
    // Tenants that are in use do not need it.
    vault.administer("sys/seal", json!({})).await;
    let found = checks(&server).await;
    assert!(found.contains("Vault is sealed"), "{found}");
    assert!(!found.contains("data of tenant"), "once is enough: {found}");
    for tenant in &tenants {
        accept(&server, tenant, "fourth").await;
        assert!(records(&server, tenant).await.contains("<first>"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_vault_is_killed_and_started_again() {
    let vault = Vault::start();
    let folder = tempfile::tempdir().unwrap();
    let url = vault.url();
    let options = ["--master-key-url", url.as_str()];
    let server = Arc::new(Server::start(folder.path(), &options));
    let stop = Arc::new(AtomicBool::new(false));
    let mut senders = tokio::task::JoinSet::new();
    for tenant in tenants(&server).await {
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        senders.spawn(async move {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                accept(&server, &tenant, &format!("load-{sent}")).await;
                sent += 1;
            }
            (tenant, sent)
        });
    }
    for round in 0..3 {
        let late = server.tenant(&format!("late-{round}"), "pro").await;
        tokio::task::block_in_place(|| vault.service.kill());
        let (status, text) = send(&server, &late, "first").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
        tokio::task::block_in_place(|| vault.service.run());
        let deadline = Instant::now() + DEADLINE;
        while send(&server, &late, "first").await.0 != StatusCode::ACCEPTED {
            assert!(Instant::now() < deadline, "Vault is back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // A Vault that hangs delays the requests that need it, and no others.
    let late = server.tenant("late", "pro").await;
    vault.service.signal("STOP");
    let held = (0..8).map(|_| {
        let (server, late) = (Arc::clone(&server), late.clone());
        async move { send(&server, &late, "first").await }
    });
    let held: tokio::task::JoinSet<_> = held.collect();
    let began = Instant::now();
    for (status, text) in held.join_all().await {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    }
    assert!(began.elapsed() < HELD, "together, not one after the other");
    vault.service.signal("CONT");
    accept(&server, &late, "first").await;
    stop.store(true, Ordering::Relaxed);
    let sent = senders.join_all().await;
    Arc::into_inner(server).unwrap().kill();
    let server = Server::start(folder.path(), &options);
    for (tenant, sent) in sent {
        assert!(sent > 0);
        let stored = records(&server, &tenant).await;
        for i in 0..sent {
            assert!(stored.contains(&format!("<load-{i}>")), "{i} of {sent}");
        }
    }
}
