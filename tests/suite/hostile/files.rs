//! Files of the daemon that other users of the machine must not read.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kgrca_tests::{Server, binary};

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

/// Runs `kgrca` with a umask that denies nothing.
fn openly(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = Command::new("sh")
        .args(["-c", "umask 000; exec \"$0\" \"$@\""])
        .arg(binary("kgrca"))
        .args(arguments)
        .env("HOME", folder)
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn no_umask_makes_files_of_the_command_readable_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let all = folder.path().join("all");
    std::fs::create_dir(&all).unwrap();
    std::fs::set_permissions(&all, std::fs::Permissions::from_mode(0o700)).unwrap();
    let place = |name: &str| all.join(name).to_str().unwrap().to_owned();
    let (share, out, anchors) = (place("share"), place("out"), place("anchors"));
    let home = [("XDG_DATA_HOME", &*share)];
    openly(&all, &["up", "--detach", "--listen", "127.0.0.1:0"], &home);
    let data = format!("{share}/kgrca");
    let ready = std::fs::read_to_string(format!("{data}/ready")).unwrap();
    let url = ready.lines().find_map(|l| l.strip_prefix("api=")).unwrap();
    let operator = std::fs::read_to_string(format!("{data}/operator.key")).unwrap();
    let environment = [("KGRCA_URL", url), ("KGRCA_OPERATOR_KEY", operator.trim())];
    let run = |arguments: &[&str]| openly(&all, arguments, &environment);
    let created = run(&["tenant", "create", "Acme", "--plan", "pro", "-o", "json"]);
    let created: serde_json::Value = serde_json::from_str(&created).unwrap();
    let id = created["client_id"].as_str().unwrap();
    run(&["tenant", "export", id, "--out", &out]);
    run(&["audit", "anchor", "--out", &anchors]);
    run(&["context", "add", "prod", "--url", url]);
    let mut found = Vec::new();
    exposed(&all, &mut found);
    openly(&all, &["down"], &home);
    assert_eq!(found, Vec::<PathBuf>::new());
}
