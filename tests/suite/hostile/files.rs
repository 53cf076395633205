//! Files of the daemon that other users of the machine must not read.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kgrca_tests::Server;

/// Everything below a folder that group or others could use.
fn exposed(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        if metadata.permissions().mode() & 0o077 != 0 {
            found.push(path.clone());
        }
        if metadata.is_dir() {
            exposed(&path, found);
        }
    }
}

#[tokio::test]
async fn files_are_private_and_loose_modes_are_fixed_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let event = br#"{"event_id":"e1","event_time":"2026-01-01T00:00:00Z","cluster":"prod",
        "severity":"WARNING","reason":"Failed","message":"m",
        "subject":{"kind":"Pod","ns":"shop","name":"web"}}"#;
    let tenant = {
        let server = Server::start(folder.path(), &[]);
        let tenant = server.tenant("acme", "free").await;
        server.ingest(&tenant, "events", event.to_vec()).await;
        server.settled(&tenant, 1).await;
        assert!(server.terminate());
        tenant
    };
    let mut found = Vec::new();
    exposed(folder.path(), &mut found);
    assert_eq!(found, Vec::<PathBuf>::new());
    let log = folder.path().join("log");
    std::fs::set_permissions(&log, std::fs::Permissions::from_mode(0o755)).unwrap();
    let server = Server::start(folder.path(), &[]);
    exposed(folder.path(), &mut found);
    assert_eq!(found, Vec::<PathBuf>::new(), "fixed at the start");
    let said = std::fs::read_to_string(folder.path().join("daemon.log")).unwrap();
    assert!(said.contains("fixed their modes"), "{said}");
    server.get("/api/v1/stats", &tenant.key).await;
}
