use super::*;
use crate::agent::spool::Spool;

fn event(kind: &str, name: &str, version: u32, annotations: &str) -> String {
    let meta = format!(
        r#"{{"name":"{name}","namespace":"shop","uid":"u-{name}",
        "resourceVersion":"{version}"{annotations}}}"#
    )
    .replace('\n', "");
    format!(r#"{{"type":"{kind}","object":{{"kind":"Pod","apiVersion":"v1","metadata":{meta}}}}}"#)
        + "\n"
}

struct Followed {
    ended: Result<(), Ended>,
    /// Version from which to continue.
    version: Option<String>,
    /// The spooled records.
    records: String,
}

/// Follows a response of the API server, from a version or with a list.
async fn follow(response: &str, from: Option<&str>) -> Followed {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let shared = Shared {
        spool: SharedSpool::new(Spool::open(folder.path(), 1 << 20, "x").unwrap()),
        health: Arc::default(),
        clock: Arc::default(),
    };
    let spool = Arc::clone(&shared.spool);
    let (outbox, gathering) = Outbox::open(Arc::clone(&spool), Arc::default());
    let unused = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let mut watcher = Watcher {
        kind: WATCHED.iter().find(|w| w.kind == "Pod").unwrap(),
        cluster: "prod".into(),
        client: Client::try_from(unused).unwrap(),
        outbox,
        shared,
        sent: SentObjects::default(),
        streams_lists: true,
        state_losses: 0,
    };
    let mut version = from.map(str::to_owned);
    let ended = watcher.follow(response.as_bytes(), &mut version).await;
    drop(watcher);
    gathering.await.unwrap();
    let spool = spool.lock();
    let records = spool
        .oldest(Topic::Resource)
        .map(|block| zstd::decode_all(&spool.body(&block).unwrap()[..]).unwrap())
        .unwrap_or_default();
    Followed {
        ended,
        version,
        records: String::from_utf8(records).unwrap(),
    }
}

#[tokio::test]
async fn only_a_complete_list_has_a_version_to_continue_from() {
    let list =
        event("ADDED", "a", 5, "") + &event("DELETED", "b", 9, "") + &event("ADDED", "c", 7, "");
    let partial = follow(&list, None).await;
    assert!(matches!(partial.ended, Err(Ended::Failed(_))));
    assert_eq!(partial.version, None);
    assert_eq!(partial.records.lines().count(), 3, "{}", partial.records);
    assert!(!partial.records.contains("SYNC"), "{}", partial.records);
    let annotation = r#","annotations":{"k8s.io/initial-events-end":"true"}"#;
    let complete = follow(&(list + &event("BOOKMARK", "", 12, annotation)), None).await;
    assert!(complete.ended.is_ok());
    assert_eq!(complete.version.as_deref(), Some("12"));
    assert_eq!(complete.records.lines().count(), 4, "{}", complete.records);
    assert!(complete.records.contains("SYNC"), "{}", complete.records);
}

#[tokio::test]
async fn a_watch_continues_after_its_last_complete_event() {
    let response = event("MODIFIED", "a", 20, "")
        + &event("DELETED", "b", 22, "")
        + "{\"type\":\"ADDED\",\"obj";
    let followed = follow(&response, Some("12")).await;
    assert!(followed.ended.is_ok(), "a partial line is requested again");
    assert_eq!(followed.version.as_deref(), Some("22"));
    assert_eq!(followed.records.lines().count(), 2, "{}", followed.records);
}

#[tokio::test]
async fn an_expired_version_leads_to_a_new_list() {
    let expired =
        r#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#.to_owned();
    let followed = follow(&(expired + "\n"), Some("12")).await;
    assert!(matches!(followed.ended, Err(Ended::Gone)));
}
