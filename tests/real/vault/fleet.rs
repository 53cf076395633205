//! Two daemons that share metadata in PostgreSQL and a master key in Vault. Neo4j's Community
//! edition has one tenant.

use std::process::Command;
use std::time::Instant;

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use kgrca_tests::stack::{OPERATOR, Stack};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::server::Vault;
use super::{DEADLINE, ENCRYPTION, accept, change};

const RECORDS: usize = 20;

/// What `psql` prints for a query.
fn query(url: &str, sql: &str) -> String {
    let output = Command::new("psql").arg(url).args(["-Atc", sql]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn data_keys(server: &Server) -> Value {
    let status = server.get(ENCRYPTION, &server.operator).await;
    status["data_keys"].clone()
}

/// Sends records to both daemons at once.
async fn accept_both(daemons: [&Server; 2], tenant: &Tenant, id: &str) {
    for i in 0..RECORDS {
        let id = format!("{id}-{i}");
        let [one, two] = daemons.map(|daemon| accept(daemon, tenant, &id));
        tokio::join!(one, two);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn daemons_share_the_keys_of_a_tenant() {
    let (vault, stack) = (Vault::start(), Stack::start());
    let folder = tempfile::tempdir().unwrap();
    let (url, meta) = (vault.url(), stack.postgres.url());
    let options = [("KGRCA_MASTER_KEY_URL", url.as_str())];
    let daemon = |name: &str| stack.daemon_with(&folder.path().join(name), &options);
    let (one, two) = (daemon("one"), daemon("two"));
    let tenant = one.tenant("acme", "pro").await;
    accept_both([&one, &two], &tenant, "first").await;
    assert_eq!(data_keys(&one).await, data_keys(&two).await);
    // A rotation by both, while records come in.
    vault.rotate().await;
    let ((), rewrapped, rotated) = tokio::join!(
        accept_both([&one, &two], &tenant, "second"),
        change(&one, "rewrap"),
        change(&two, "rotate"),
    );
    for done in [rewrapped, rotated] {
        assert_eq!(done["failed"], json!([]), "{done}");
    }
    assert_eq!(change(&two, "rewrap").await["changed"], 0);
    vault.decrypt_from(2).await;
    accept_both([&one, &two], &tenant, "third").await;
    let plain = "SELECT COUNT(*) FROM tenant_secrets WHERE secret NOT LIKE 'sealed:%'";
    assert_eq!(query(&meta, plain), "0");
    let all = "SELECT COUNT(*) FROM tenant_secrets";
    assert_eq!(query(&meta, all), "1");
    one.kill();
    assert!(two.terminate());
    let (one, two) = (daemon("one"), daemon("two"));
    accept_both([&two, &one], &tenant, "fourth").await;
    let path = format!("/api/v1/admin/clients/{}?grace_days=0", tenant.id);
    let answer = one.call(Method::DELETE, &path, Some(OPERATOR), None).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let left = format!(
        "SELECT COUNT(*) FROM data_keys WHERE client_id = '{}'",
        tenant.id
    );
    let deadline = Instant::now() + DEADLINE;
    while query(&meta, &left) != "0" {
        assert!(Instant::now() < deadline, "its keys are not deleted");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
