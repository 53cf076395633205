//! The stores of the daemons that are attacked: servers that all of them share, and a database of
//! PostgreSQL for each folder.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use kgrca_core::storage::sql::{Database, Purpose, Reach};
use kgrca_daemon::storage::postgres::{self, PostgresMeta};
use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use kgrca_tests::services;
use kgrca_tests::stack::OPERATOR;

/// Starts a daemon on a folder, which may hold data of an earlier one.
pub(super) fn start(folder: &Path, options: &[&str]) -> Server {
    start_with(folder, options, &[("KGRCA_OPERATOR_KEY", OPERATOR)])
}

/// The same with variables of the environment.
pub(super) fn start_with(folder: &Path, options: &[&str], environment: &[(&str, &str)]) -> Server {
    let urls = [
        ("KGRCA_META_URL", database_of(folder)),
        ("KGRCA_LOG_URL", services::kafka().url()),
        ("KGRCA_LIMITS_URL", services::redis().url()),
    ];
    let urls = urls.iter().map(|(name, url)| (*name, url.as_str()));
    let environment: Vec<_> = urls.chain(environment.iter().copied()).collect();
    Server::start_with(folder, options, &environment)
}

/// The URL of the database of a folder, which is made for the first daemon.
fn database_of(folder: &Path) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let file = folder.join("database");
    if let Ok(url) = fs::read_to_string(&file) {
        return url;
    }
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let url = services::database(&format!("hostile_{number}"));
    let migrated = std::process::Command::new(kgrca_tests::binary("kgrcad"))
        .arg("migrate")
        .env("KGRCA_META_URL", &url)
        .status();
    assert!(migrated.unwrap().success());
    fs::write(file, &url).unwrap();
    url
}

/// How many bytes Kafka has of a tenant.
pub(super) fn stored(_folder: &Path, tenant: &Tenant) -> u64 {
    let logs = services::kafka().data().join("logs");
    assert!(logs.exists(), "Kafka keeps its topics elsewhere");
    bytes_of(&logs, &tenant.id, false)
}

/// Bytes of the files below folders whose names begin so.
fn bytes_of(folder: &Path, name: &str, is_within: bool) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |entry: fs::DirEntry| {
        let is_within = is_within || entry.file_name().to_string_lossy().starts_with(name);
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_of(&entry.path(), name, is_within),
            // Indexes are allocated ahead.
            Ok(meta) if is_within && entry.path().extension().is_some_and(|e| e == "log") => {
                meta.len()
            }
            _ => 0,
        }
    };
    entries.map(bytes).sum()
}

/// The metadata of a running daemon.
pub(super) async fn meta(server: &Server) -> PostgresMeta {
    postgres::open(&database_of(&server.folder)).await.unwrap()
}

/// From now on no key can be created.
pub(super) async fn refuse_keys(server: &Server) {
    services::psql(
        &database_of(&server.folder),
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'refused by the test'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON api_keys FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
}

/// From now on the role that writes the audit log may also change it: whoever owns the table can
/// give it that right.
pub(super) async fn let_change_audit_log(server: &Server) {
    let database = database_of(&server.folder);
    let refused = meta(server).await;
    let begun = refused.database().begin(Reach::Operator, Purpose::Durable);
    let cut = "DELETE FROM audit_log";
    let cut = begun.await.unwrap().run(cut, Vec::new()).await;
    assert!(cut.is_err(), "the daemon itself has no right to cut it");
    let grant = "GRANT UPDATE, DELETE ON audit_log TO kgrca_operator";
    services::psql(&database, grant);
}

/// Keys can be created again.
pub(super) async fn accept_keys(server: &Server) {
    services::psql(
        &database_of(&server.folder),
        "DROP TRIGGER refuse ON api_keys",
    );
}
