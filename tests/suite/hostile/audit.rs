//! The audit log, when whoever can write to the database rewrites or cuts it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kgrca_core::storage::AuditLog;
use kgrca_core::storage::sql::{Database, Purpose, Reach, Value};
use kgrca_core::tenancy::{AuditEntry, AuditHead};
use kgrca_tests::{Server, binary};

use super::stores::{let_change_audit_log, meta, start};

/// `kgrca audit …` as the operator; returns its exit code.
fn audit(server: &Server, arguments: &[&str]) -> i32 {
    let output = Command::new(binary("kgrca"))
        .arg("audit")
        .args(arguments)
        .env("KGRCA_URL", &server.url)
        .env("KGRCA_OPERATOR_KEY", &server.operator)
        .env("XDG_CONFIG_HOME", server.folder.join("home"))
        .output()
        .unwrap();
    let code = output.status.code().unwrap();
    assert!([0, 10].contains(&code), "{output:?}");
    code
}

/// Changes the database as whoever owns its tables.
async fn sql(server: &Server, statement: &'static str, values: Vec<Value>) {
    let meta = meta(server).await;
    let begun = meta.database().begin(Reach::Operator, Purpose::Durable);
    let mut tx = begun.await.unwrap();
    tx.run(statement, values).await.unwrap();
    tx.commit().await.unwrap();
}

/// Replaces what follows an entry by something else, with correct hashes and without signatures, of
/// which that entry and those before it lose theirs, too.
async fn rewrite_after(server: &Server, chain: &str, kept: i64) {
    rewrite(server, chain, kept).await;
    let blank = "UPDATE audit_log SET signature = NULL WHERE client_id = $1";
    sql(server, blank, vec![Value::from(chain)]).await;
}

/// Replaces what follows an entry by something else, with correct hashes and the old signatures.
async fn rewrite(server: &Server, chain: &str, kept: i64) {
    let log = meta(server).await;
    let entries = log.audit_log(Some(chain), 0, 100).await.unwrap();
    let (mut seq, mut hash) = (0, String::new());
    for old in entries {
        if old.seq <= kept {
            (seq, hash) = (old.seq, old.hash);
            continue;
        }
        let mut audit = old.audit;
        audit.target += " (rewritten)";
        let new = AuditEntry::after(seq, &hash, audit);
        let update = "UPDATE audit_log SET target = $3, previous = $4, hash = $5
            WHERE client_id = $1 AND seq = $2";
        let values = vec![
            Value::from(chain),
            Value::from(new.seq),
            Value::from(&new.audit.target),
            Value::from(&new.previous),
            Value::from(&new.hash),
        ];
        sql(server, update, values).await;
        (seq, hash) = (new.seq, new.hash);
    }
}

#[tokio::test]
async fn a_log_that_was_rewritten_or_cut_does_not_match_its_anchor() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let_change_audit_log(&server).await;
    let anchors = folder.path().join("anchors.jsonl");
    let file = anchors.to_str().unwrap();
    let (a, b, c) = (
        server.tenant("A", "pro").await,
        server.tenant("B", "pro").await,
        server.tenant("C", "pro").await,
    );
    for tenant in [&a, &b, &c] {
        server.key(tenant, &["read"]).await;
        server.key(tenant, &["query"]).await;
    }
    assert_eq!(audit(&server, &["anchor", "--out", file]), 0);
    server.key(&a, &["ingest"]).await;
    assert_eq!(audit(&server, &["anchor", "--out", file]), 0);
    let verify = |owner: &str, anchored: bool| {
        let mut arguments = vec!["verify", "--tenant", owner];
        if anchored {
            arguments.extend(["--anchor", file]);
        }
        audit(&server, &arguments)
    };
    assert_eq!(
        audit(&server, &["verify", "--operator", "--anchor", file]),
        0
    );
    for tenant in [&a, &b, &c] {
        assert_eq!(verify(&tenant.id, true), 0);
    }

    rewrite(&server, &a.id, 0).await;
    assert_eq!(verify(&a.id, false), 10, "the old signatures do not match");
    assert_eq!(verify(&a.id, true), 10);

    // The last entry came after the anchors. The daemon may add a count in the middle: then once
    // more.
    let heads = meta(&server).await.audit_heads().await.unwrap();
    let of_b = |h: &&AuditHead| h.client_id.as_deref() == Some(&*b.id);
    let anchored = heads.iter().find(of_b).unwrap().seq;
    server.key(&b, &["ingest"]).await;
    assert_eq!(verify(&b.id, true), 0);
    for _ in 0..5 {
        rewrite_after(&server, &b.id, anchored).await;
        if verify(&b.id, false) == 0 {
            break;
        }
    }
    assert_eq!(
        verify(&b.id, false),
        0,
        "it looks like one of an older version"
    );
    assert_eq!(verify(&b.id, true), 10, "what follows an anchor is signed");

    let cut = "DELETE FROM audit_log WHERE client_id = $1 AND seq > 1";
    sql(&server, cut, vec![Value::from(&*c.id)]).await;
    assert_eq!(verify(&c.id, false), 0, "what remains is correct");
    assert_eq!(verify(&c.id, true), 10);

    let text = std::fs::read_to_string(&anchors).unwrap();
    std::fs::write(&anchors, text.replacen(&a.id, &b.id, 1)).unwrap();
    let output = Command::new(binary("kgrca"))
        .args(["audit", "verify", "--operator", "--anchor", file])
        .env("KGRCA_URL", &server.url)
        .env("KGRCA_OPERATOR_KEY", &server.operator)
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(2),
        "a changed anchor: {output:?}"
    );
}

/// Waits for a file with a complete line.
fn line_of(file: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.ends_with('\n') {
            return text;
        }
        assert!(Instant::now() < deadline, "{}", file.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn anchors_are_written_on_a_schedule_and_the_key_outlives_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let anchors = folder.path().join("anchors.jsonl");
    let option = ["--audit-anchor", anchors.to_str().unwrap()];
    let server = start(folder.path(), &option);
    server.tenant("A", "pro").await;
    let line = line_of(&anchors);
    assert!(line.contains("public_key"), "{line}");
    let key = std::fs::read_to_string(folder.path().join("audit.key")).unwrap();
    server.kill();
    let server = start(folder.path(), &option);
    let again = std::fs::read_to_string(folder.path().join("audit.key")).unwrap();
    assert_eq!(key, again);
    let verify = ["verify", "--operator", "--anchor", option[1]];
    assert_eq!(audit(&server, &verify), 0);
}

/// Whoever relies on anchors sees at once that none would be written.
#[tokio::test]
async fn an_anchor_is_written_before_the_daemon_serves_or_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let anchors = folder.path().join("anchors.jsonl");
    let server = start(
        folder.path(),
        &["--audit-anchor", anchors.to_str().unwrap()],
    );
    let written = std::fs::read_to_string(&anchors).unwrap();
    assert!(written.contains("public_key"), "{written}");
    assert!(server.terminate());
    let missing = folder.path().join("missing").join("anchors.jsonl");
    let started = std::process::Command::new(kgrca_tests::binary("kgrcad"))
        .arg("--data")
        .arg(folder.path())
        .arg("--audit-anchor")
        .arg(&missing)
        .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&started.stderr);
    assert!(!started.status.success());
    assert!(text.contains(missing.to_str().unwrap()), "{text}");
    assert!(
        text.contains("hint: name a file with --audit-anchor"),
        "{text}"
    );
}
