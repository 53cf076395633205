//! Pages, and what becomes of them when the server is busy, slow, or has forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::super::api::{Api, Refusal};
use super::super::fake::{Answer, Fake, page, status};
use super::super::list::{Listed, Part, list};
use super::super::watcher::{Report, Watcher};

fn pods() -> Part {
    let mut parts = Part::all(None).into_iter();
    parts.find(|part| part.kind.kind == "Pod").unwrap()
}

fn ok(body: String) -> Answer {
    (200, "", body)
}

async fn listed(fake: &Fake) -> Result<Listed, Refusal> {
    let api = Api::new(fake.client());
    list(&api, "prod", &pods(), api.now()).await
}

fn names(listed: &Listed) -> Vec<usize> {
    listed.pages.iter().map(|page| page.items).collect()
}

#[test]
fn of_secrets_only_the_metadata_is_requested() {
    for part in Part::all(None) {
        for request in [part.list(500, ""), part.watch("7")] {
            let request = request.unwrap();
            let accept = request.headers().get("accept");
            let accept = accept.and_then(|a| a.to_str().ok()).unwrap_or_default();
            let is_partial = accept.contains("as=PartialObjectMetadata");
            assert_eq!(
                is_partial,
                part.kind.kind == "Secret",
                "{}",
                part.resource()
            );
        }
    }
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let fake = Fake::start(|path| match path {
        p if p.contains("continue=second") => ok(page(&["c"], "9", "")),
        _ => ok(page(&["a", "b"], "9", "second")),
    });
    let listed = listed(&fake).await.unwrap();
    assert_eq!((names(&listed), &*listed.version), (vec![2, 1], "9"));
    let requests = fake.requests();
    assert!(
        requests
            .iter()
            .all(|r| r.starts_with("/api/v1/pods?") && r.contains("limit=500"))
    );
}

#[tokio::test]
async fn a_list_whose_continuation_expired_begins_again() {
    let asked = AtomicUsize::new(0);
    let fake = Fake::start(move |path| {
        let is_first = asked.fetch_add(1, Ordering::Relaxed) < 2;
        match path {
            p if p.contains("continue=") && is_first => (410, "", status(410, "too old")),
            p if p.contains("continue=") => ok(page(&["b"], "9", "")),
            _ => ok(page(&["a"], "9", "next")),
        }
    });
    let listed = listed(&fake).await.unwrap();
    assert_eq!(
        names(&listed),
        [1, 1],
        "nothing of the first attempt is left"
    );
    assert_eq!(fake.requests().len(), 4);
    let never = Fake::start(|path| match path {
        p if p.contains("continue=") => (410, "", status(410, "too old")),
        _ => ok(page(&["a"], "9", "next")),
    });
    let refusal = self::listed(&never).await.err();
    assert_eq!(refusal, Some(Refusal::Status(410, "too old".to_owned())));
}

#[tokio::test]
async fn a_page_that_is_too_large_is_asked_for_in_parts() {
    let fake = Fake::start(|path| {
        if path.contains("limit=500") {
            return ok(" ".repeat(17 << 20));
        }
        ok(page(&["a"], "9", ""))
    });
    assert_eq!(names(&listed(&fake).await.unwrap()), [1]);
    assert!(
        fake.requests()[1].contains("limit=62"),
        "{:?}",
        fake.requests()
    );
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_slow_one_is_not_waited_for() {
    let asked = AtomicUsize::new(0);
    let busy = Fake::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => (429, "Retry-After: 0\r\n", status(429, "busy")),
        _ => ok(page(&["a"], "9", "")),
    });
    assert_eq!(names(&listed(&busy).await.unwrap()), [1]);
    let slow = Fake::start(|_| (0, "", String::new()));
    let api = Api::impatient(slow.client(), Duration::from_millis(200));
    let refusal = list(&api, "prod", &pods(), api.now()).await.err();
    assert_eq!(
        refusal,
        Some(Refusal::Unreachable("no answer within 200ms".to_owned()))
    );
}

#[tokio::test]
async fn no_more_than_twenty_requests_are_sent_in_a_second() {
    let fake = Fake::start(|_| ok(page(&[], "9", "")));
    let api = Arc::new(Api::new(fake.client()));
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..21 {
        let api = Arc::clone(&api);
        tasks.spawn(async move { list(&api, "prod", &pods(), api.now()).await.is_ok() });
    }
    assert!(tasks.join_all().await.into_iter().all(|is_ok| is_ok));
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_watcher_lists_again_what_the_server_has_forgotten() {
    let gone = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#;
    let changed = r#"{"type":"MODIFIED","object":{"kind":"Pod","apiVersion":"v1","metadata":
        {"name":"a","namespace":"shop","uid":"a","resourceVersion":"21"}}}"#
        .replace('\n', "");
    let fake = Fake::start(move |path| match path {
        p if p.contains("watch=true") && p.contains("resourceVersion=7") => ok(format!("{gone}\n")),
        p if p.contains("watch=true") && p.contains("resourceVersion=20") => {
            ok(format!("{changed}\n{{\"type\":\"ADD"))
        }
        p if p.contains("watch=true") => (403, "", status(403, "forbidden")),
        _ => ok(page(&["a"], "20", "")),
    });
    let (sender, mut reports) = mpsc::channel(10);
    let watcher = Watcher {
        api: Arc::new(Api::new(fake.client())),
        cluster: "prod".to_owned(),
        part: pods(),
        version: "7".to_owned(),
        reports: sender,
    };
    watcher.run().await;
    let mut seen = Vec::new();
    while let Some(report) = reports.recv().await {
        seen.push(match report {
            Report::Listed(listed) => format!("listed {}", listed.version),
            Report::Changed(_) => "changed".to_owned(),
            Report::Refused(_, refusal) => format!("{refusal:?}"),
        });
    }
    assert_eq!(seen, ["listed 20", "changed", "Status(403, \"forbidden\")"]);
    assert!(
        fake.requests()
            .last()
            .unwrap()
            .contains("resourceVersion=21")
    );
}
