//! The stores of the daemons that are attacked: embedded ones. `tests/real/hostile` attacks daemons on
//! servers in the same ways.

use std::path::Path;

use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::sql::{Database, Purpose, Reach};
use kgrca_tests::Server;
use kgrca_tests::server::Tenant;

use super::bytes_below;

/// Starts a daemon on a folder, which may hold data of an earlier one.
pub(super) fn start(folder: &Path, options: &[&str]) -> Server {
    Server::start(folder, options)
}

/// The same with variables of the environment.
pub(super) fn start_with(folder: &Path, options: &[&str], environment: &[(&str, &str)]) -> Server {
    Server::start_with(folder, options, environment)
}

/// How many bytes the log has of a tenant.
pub(super) fn stored(folder: &Path, tenant: &Tenant) -> u64 {
    bytes_below(&folder.join("log").join(&tenant.id))
}

/// The metadata of a running daemon.
pub(super) async fn meta(server: &Server) -> SqliteMeta {
    SqliteMeta::open(&server.folder.join("meta.db"))
        .await
        .unwrap()
}

/// From now on no key can be created.
pub(super) async fn refuse_keys(server: &Server) {
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON api_keys
        BEGIN SELECT RAISE(FAIL, 'refused by the test'); END";
    sql(server, refuse).await;
}

/// Keys can be created again.
pub(super) async fn accept_keys(server: &Server) {
    sql(server, "DROP TRIGGER refuse").await;
}

/// From now on the daemon's database lets its owner change the audit log: a file always does.
pub(super) async fn let_change_audit_log(_: &Server) {}

async fn sql(server: &Server, statement: &'static str) {
    let meta = meta(server).await;
    let begun = meta.database().begin(Reach::Operator, Purpose::Durable);
    let mut tx = begun.await.unwrap();
    tx.run(statement, Vec::new()).await.unwrap();
    tx.commit().await.unwrap();
}
