//! Rotation of the keys of encryption at rest, also by a daemon that is killed in the middle.

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use kgrca_tests::vault::VaultStandIn;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::encryption::{CANARY, KeyFile, ONE, TWO, change, event, holding, records, status};

const TENANTS: u64 = 6;
/// Tenants whose keys are changed before the daemon is killed.
const BEFORE: u32 = 2;

/// Tenants with a record each.
async fn tenants(server: &Server) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for i in 0..TENANTS {
        let tenant = server.tenant(&format!("t{i}"), "pro").await;
        let first = event("first", CANARY);
        server.ingest(&tenant, "events", first).await;
        tenants.push(tenant);
    }
    tenants
}

/// The counts of data keys, by master key and its version: those in Vault first, newest first.
async fn counts(server: &Server) -> Vec<Value> {
    let status = status(server).await;
    let mut counts = status["data_keys"].as_array().unwrap().clone();
    counts.sort_by_key(|of| std::cmp::Reverse(of["version"].as_u64()));
    counts
}

fn numbers(counts: &[Value]) -> Vec<u64> {
    let of = |of: &Value| of["data_keys"].as_u64().unwrap();
    counts.iter().map(of).collect()
}

/// A change that does not end.
#[derive(Clone, Copy)]
struct Interrupted {
    act: &'static str,
    /// Encryptions that Vault still answers.
    after: u32,
    /// Id of a record that arrives meanwhile.
    record: &'static str,
}

/// Begins a change, and kills the daemon when it waits for Vault to encrypt once more.
async fn killed_during(
    server: Server,
    vault: &VaultStandIn,
    interrupted: Interrupted,
    meanwhile: &Tenant,
) {
    vault.hold_after(interrupted.after);
    let request = server
        .http
        .post(format!("{}/api/v1/admin/encryption", server.url))
        .header("x-api-key", &server.operator)
        .json(&json!({ "act": interrupted.act }));
    let change = tokio::spawn(request.send());
    tokio::task::block_in_place(|| vault.await_held());
    // What is known already does not wait for it.
    let record = event(interrupted.record, CANARY);
    server.ingest(meanwhile, "events", record).await;
    server.kill();
    vault.release();
    assert!(change.await.unwrap().is_err(), "not answered");
}

async fn all_readable(server: &Server, tenants: &[Tenant], in_first: usize) {
    for (i, tenant) in tenants.iter().enumerate() {
        let exported = records(server, tenant).await;
        let expected = if i == 0 { in_first } else { 1 };
        assert_eq!(exported.matches(CANARY).count(), expected, "{exported}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_during_a_rotation_continues_it() {
    let folder = tempfile::tempdir().unwrap();
    let (key, vault) = (KeyFile::new(&[ONE]), VaultStandIn::start());
    let server = Server::start(folder.path(), &["--master-key-url", &key.url()]);
    let tenants = tenants(&server).await;
    assert!(server.terminate());

    // From a file to Vault. A rewrap encrypts once to see the version of the key.
    let both = format!("{},{}", vault.url(), key.url());
    let options = ["--master-key-url", both.as_str()];
    let server = Server::start(folder.path(), &options);
    let rewrap = Interrupted {
        act: "rewrap",
        after: 1 + BEFORE,
        record: "during-1",
    };
    killed_during(server, &vault, rewrap, &tenants[0]).await;
    let server = Server::start(folder.path(), &options);
    let found = counts(&server).await;
    assert_eq!(numbers(&found), [2, TENANTS - 2], "{found:?}");
    all_readable(&server, &tenants, 2).await;
    let (code, done) = change(&server, json!({"act": "rewrap"})).await;
    assert_eq!(code, StatusCode::OK, "{done}");
    let expected = json!({"changed": TENANTS - 2, "unchanged": 2, "failed": []});
    assert_eq!(done, expected, "it continues");
    assert!(server.terminate());

    // Another version in Vault.
    let url = vault.url();
    let options = ["--master-key-url", url.as_str()];
    let server = Server::start(folder.path(), &options);
    vault.rotate();
    let rewrap = Interrupted {
        act: "rewrap",
        after: 1 + BEFORE,
        record: "during-2",
    };
    killed_during(server, &vault, rewrap, &tenants[0]).await;
    let server = Server::start(folder.path(), &options);
    let found = counts(&server).await;
    assert_eq!(numbers(&found), [2, TENANTS - 2], "{found:?}");
    assert_eq!(
        (&found[0]["version"], &found[1]["version"]),
        (&json!(2), &json!(1))
    );
    let (_, done) = change(&server, json!({"act": "rewrap"})).await;
    assert_eq!(done, expected);
    let (_, done) = change(&server, json!({"act": "rewrap"})).await;
    assert_eq!(
        (&done["changed"], &done["unchanged"]),
        (&json!(0), &json!(TENANTS))
    );

    // Other data keys.
    let rotate = Interrupted {
        act: "rotate",
        after: BEFORE,
        record: "during-3",
    };
    killed_during(server, &vault, rotate, &tenants[0]).await;
    let server = Server::start(folder.path(), &options);
    assert_eq!(numbers(&counts(&server).await), [TENANTS + 2]);
    let (_, done) = change(&server, json!({"act": "rotate"})).await;
    assert_eq!(done["changed"], TENANTS);
    server
        .ingest(&tenants[0], "events", event("last", CANARY))
        .await;
    all_readable(&server, &tenants, 5).await;
    server.kill();
    let server = Server::start(folder.path(), &options);
    all_readable(&server, &tenants, 5).await;
    assert!(holding(&folder.path().join("log"), CANARY).is_empty());
}

#[tokio::test]
async fn a_master_key_in_a_file_is_replaced_while_records_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyFile::new(&[ONE]);
    let url = key.url();
    let options = ["--master-key-url", url.as_str()];
    let server = Server::start(folder.path(), &options);
    let tenants = tenants(&server).await;
    let old = status(&server).await["master_key"].clone();
    key.write(&[TWO, ONE]);
    let (code, done) = change(&server, json!({"act": "rewrap"})).await;
    assert_eq!((code, &done["changed"]), (StatusCode::OK, &json!(TENANTS)));
    let (code, done) = change(&server, json!({"act": "rotate"})).await;
    assert_eq!((code, &done["changed"]), (StatusCode::OK, &json!(TENANTS)));
    let now = status(&server).await;
    assert_ne!(now["master_key"], old);
    let under =
        json!([{"master_key": now["master_key"], "tenants": TENANTS, "data_keys": TENANTS * 2}]);
    assert_eq!(now["data_keys"], under);
    server
        .ingest(&tenants[0], "events", event("last", CANARY))
        .await;
    key.write(&[TWO]);
    assert!(server.terminate());
    let server = Server::start(folder.path(), &options);
    all_readable(&server, &tenants, 2).await;
    assert!(holding(&folder.path().join("log"), CANARY).is_empty());
    for (body, code) in [
        (
            json!({"act": "rotate", "client_id": "client-none-abc123"}),
            404,
        ),
        (json!({"act": "rewrap", "client_id": tenants[0].id}), 409),
        (json!({"act": "melt"}), 400),
    ] {
        assert_eq!(change(&server, body.clone()).await.0, code, "{body}");
    }
    let own = Some(tenants[0].key.as_str());
    let path = "/api/v1/admin/encryption";
    let forbidden = server.call(Method::GET, path, own, None).await;
    assert_eq!(forbidden.status(), StatusCode::FORBIDDEN);
}

/// Serves a request for each answer, in this order. Returns the address, and what was sent.
fn answering(answers: Vec<Value>) -> (String, std::thread::JoinHandle<Vec<Value>>) {
    use std::io::{BufRead, BufReader, Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for answer in answers {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                let line = line.trim_end().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            requests.push(serde_json::from_slice(&body).unwrap());
            let body = answer.to_string();
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}");
            let answer = format!("{head}\r\n\r\n{body}");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
        requests
    });
    (url, served)
}

#[test]
fn the_command_continues_until_all_are_handled_and_names_what_failed() {
    let answers = vec![
        json!({"changed": 3, "unchanged": 1, "failed": ["data key 7 of client-b: altered"],
            "next": "client-c"}),
        json!({"changed": 2, "unchanged": 0}),
    ];
    let (url, served) = answering(answers);
    let home = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(kgrca_tests::binary("kgrca"))
        .args(["encryption", "rewrap"])
        .env_clear()
        .env("HOME", home.path())
        .env("KGRCA_URL", url)
        .env("KGRCA_OPERATOR_KEY", "kg_x")
        .output()
        .unwrap();
    let requests = served.join().unwrap();
    let expected = [
        json!({"act": "rewrap"}),
        json!({"act": "rewrap", "after": "client-c"}),
    ];
    assert_eq!(requests, expected);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("data keys rewrapped: 5;"), "{error}");
    let failed = "not changed: data key 7 of client-b: altered";
    assert!(error.contains(failed), "{error}");
}

/// Each step of the documented rotation shows in the status.
#[tokio::test]
async fn the_status_shows_each_step_of_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let file = KeyFile::new(&[ONE]);
    let server = Server::start(folder.path(), &["--master-key-url", &file.url()]);
    let tenant = server.tenant("acme", "pro").await;
    server
        .ingest(&tenant, "events", event("first", CANARY))
        .await;
    let shown = async || {
        let status = status(&server).await;
        let counts = numbers(status["data_keys"].as_array().unwrap());
        let ids = status["master_keys"].as_array().unwrap().clone();
        (ids, status["master_key"].clone(), counts)
    };
    let (one, current, counts) = shown().await;
    assert_eq!((one.len(), &current, &counts[..]), (1, &one[0], &[1][..]));
    file.write(&[ONE, TWO]);
    let (both, current, _) = shown().await;
    assert_eq!(
        (both.len(), &both[0], &current),
        (2, &one[0], &one[0]),
        "added"
    );
    file.write(&[TWO, ONE]);
    let (ids, current, _) = shown().await;
    assert_eq!(
        (&ids[0], &ids[1], &current),
        (&both[1], &one[0], &both[1]),
        "moved up"
    );
    let (code, _) = change(&server, json!({ "act": "rewrap" })).await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(status(&server).await["data_keys"][0]["master_key"], both[1]);
    file.write(&[TWO]);
    let (ids, _, counts) = shown().await;
    assert_eq!((&ids[..], &counts[..]), (&both[1..], &[1][..]), "removed");
    file.write(&["not a key"]);
    let problem = status(&server).await["problem"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(problem.contains("line 1 is not 32 bytes"), "{problem}");
}
