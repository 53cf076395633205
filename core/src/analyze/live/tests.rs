//! Pages of lists, lines of watches and logs, as the API server sends them.

use super::*;
use crate::model::time::MINUTE;
use crate::model::watched::WATCHED;
use crate::rca::Verdict;

const BEGAN: &str = "2026-11-29T09:06:00Z";

fn kind(name: &str) -> &'static Watched {
    WATCHED.iter().find(|w| w.kind == name).unwrap()
}

fn reader(name: &str) -> Reader<'static> {
    Reader {
        kind: kind(name),
        cluster: "prod",
        at: Time::parse(BEGAN).unwrap(),
    }
}

fn options(now: &str) -> Options {
    Options {
        now: Time::parse(now).unwrap(),
        ..Options::default()
    }
}

/// A pod of a Deployment whose container waits or ran before, and the Secret that it wants.
fn pod(name: &str, state: &str, restarts: u32) -> String {
    let last = if restarts > 0 {
        r#""terminated":{"exitCode":1,"finishedAt":"2026-11-29T09:05:00Z"}"#
    } else {
        ""
    };
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"shop","uid":"{name}","resourceVersion":"7",
        "creationTimestamp":"2026-11-29T09:00:00Z"}},"spec":{{"nodeName":"n1","containers":[
        {{"name":"api","image":"r.example/api:1","env":[{{"name":"URL","valueFrom":{{"secretKeyRef":
        {{"name":"db","key":"url"}}}}}}]}}]}},"status":{{"phase":"Running","containerStatuses":[
        {{"name":"api","ready":false,"restartCount":{restarts},"state":{state},
        "lastState":{{{last}}}}}]}}}}"#
    )
    .replace('\n', "")
}

fn list(items: &[String], next: &str) -> Vec<u8> {
    let items = items.join(",");
    format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"9",
        "continue":"{next}"}},"items":[{items}]}}"#
    )
    .into_bytes()
}

const WAITS: &str = r#"{"waiting":{"reason":"CreateContainerConfigError"}}"#;
const BACK_OFF: &str = r#"{"waiting":{"reason":"CrashLoopBackOff"}}"#;
const RUNS: &str = r#"{"running":{"startedAt":"2026-11-29T09:05:10Z"}}"#;

fn live(pods: &[String]) -> Live {
    let mut live = Live::new("prod", None);
    live.add(reader("Pod").page(&list(pods, "")).unwrap());
    live
}

#[test]
fn a_page_says_where_the_next_one_continues() {
    let page = reader("Pod")
        .page(&list(&[pod("a", RUNS, 0)], "abc"))
        .unwrap();
    assert_eq!((page.items, &*page.next, &*page.version), (1, "abc", "9"));
    let empty = r#"{"kind":"PodList","metadata":{"resourceVersion":"9"},"items":null}"#;
    let page = reader("Pod").page(empty.as_bytes()).unwrap();
    assert_eq!((page.items, &*page.next), (0, ""));
    assert!(reader("Pod").page(b"<html>").is_err());
}

#[test]
fn objects_with_metadata_only_are_of_their_kind_and_lack_no_key() {
    let secret = r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":
        {"name":"db","namespace":"shop","uid":"s"}}"#;
    let mut live = live(&[pod("api-1", WAITS, 0)]);
    live.add(
        reader("Secret")
            .page(&list(&[secret.to_owned()], ""))
            .unwrap(),
    );
    live.listed(kind("Secret"), None, Time::parse(BEGAN).unwrap());
    let analysis = live.analyze(&options(BEGAN));
    let faults: Vec<&str> = analysis.causes.iter().map(|c| &*c.fault_type).collect();
    assert!(!faults.contains(&"config.secret_missing"), "{faults:?}");
    assert!(!faults.contains(&"config.key_missing"), "{faults:?}");
    assert_eq!(analysis.records.rejected, 0, "{:?}", analysis.rejects);
}

#[test]
fn what_a_listing_of_its_namespace_did_not_contain_does_not_exist() {
    let found = |namespace: Option<&str>| {
        let mut live = live(&[pod("api-1", WAITS, 0)]);
        live.listed(kind("Secret"), namespace, Time::parse(BEGAN).unwrap());
        let causes = live.analyze(&options(BEGAN)).causes;
        causes
            .iter()
            .any(|c| c.fault_type == "config.secret_missing")
    };
    assert!(found(None));
    assert!(found(Some("shop")));
    assert!(!found(Some("crm")), "nothing is known of shop");
}

#[test]
fn a_kind_that_could_not_be_read_is_missing_once_and_shows_no_health() {
    let mut live = live(&[]);
    let node = kind("Node");
    let why = MissingEvidence::new("Nodes", "forbidden", "kubectl auth can-i list nodes");
    live.lacks_kind(node, why.clone());
    live.lacks(why);
    live.listed(kind("Event"), None, Time::parse(BEGAN).unwrap());
    let analysis = live.analyze(&options(BEGAN));
    let whats: Vec<&str> = analysis.missing_evidence.iter().map(|m| &*m.what).collect();
    assert_eq!(
        whats.iter().filter(|w| w.contains("Node")).count(),
        1,
        "{whats:?}"
    );
    assert!(
        !whats.contains(&"Kubernetes events"),
        "none happened: {whats:?}"
    );
    assert_eq!(analysis.verdict, Verdict::NothingFound);
}

#[test]
fn logs_are_wanted_of_what_is_not_well_and_once() {
    let at = Time::parse(BEGAN).unwrap();
    let mut live = live(&[
        pod("web-1", BACK_OFF, 3),
        pod("api-1", RUNS, 1),
        pod("new-1", r#"{"waiting":{"reason":"ContainerCreating"}}"#, 0),
        pod("pull-1", r#"{"waiting":{"reason":"ImagePullBackOff"}}"#, 0),
    ]);
    let named = |plan: &LogPlan| -> Vec<(String, bool)> {
        let logs = plan.logs.iter();
        logs.map(|log| (log.pod.clone(), log.previous)).collect()
    };
    let expected = [("web-1", true), ("api-1", false), ("api-1", true)];
    let expected = expected.map(|(pod, previous)| (pod.to_owned(), previous));
    let plan = live.unhealthy(at, 100);
    assert_eq!(named(&plan), expected);
    let few = live.unhealthy(at, 1);
    assert_eq!((named(&few), few.left_out), (expected[..1].to_vec(), 2));
    live.log(
        &plan.logs[0],
        b"2026-11-29T09:04:59.123456789Z FATAL no disk\n",
        at,
    );
    live.log_failed(&plan.logs[1]);
    assert_eq!(named(&live.unhealthy(at, 100)), expected[2..]);
    let change = format!(
        r#"{{"type":"MODIFIED","object":{}}}"#,
        pod("web-1", BACK_OFF, 4).replacen('{', r#"{"kind":"Pod","apiVersion":"v1","#, 1)
    );
    let later = Reader {
        at: at.plus(MINUTE),
        ..reader("Pod")
    };
    assert!(live.change(later.change(change.as_bytes()).unwrap()));
    assert_eq!(
        named(&live.unhealthy(at.plus(MINUTE), 100))[0],
        expected[0],
        "a new run"
    );
}

#[test]
fn few_pods_of_one_owner_are_read() {
    let pods: Vec<String> = (0..10)
        .map(|i| {
            let name = format!("web-6b7c8d9f5-x2k8{}", char::from(b'b' + i));
            pod(&name, BACK_OFF, 2)
        })
        .collect();
    assert!(
        live(&pods)
            .unhealthy(Time::parse(BEGAN).unwrap(), 100)
            .logs
            .len()
            <= 2
    );
}

#[test]
fn of_what_looks_well_one_pod_of_each_workload_is_read_the_newest_first() {
    let well = |name: &str, minute: u32| {
        pod(name, RUNS, 0)
            .replace("\"ready\":false", "\"ready\":true")
            .replace("T09:00:00Z", &format!("T09:{minute:02}:00Z"))
    };
    let at = Time::parse(BEGAN).unwrap();
    let mut live = live(&[
        well("web-6b7c8d9f5-x2k8p", 1),
        well("web-6b7c8d9f5-x2k8q", 2),
        well("cart-6b7c8d9f5-x2k8p", 3),
        pod("api-6b7c8d9f5-x2k8p", RUNS, 0),
        well("api-6b7c8d9f5-x2k8q", 4),
    ]);
    let unhealthy = live.unhealthy(at, 100);
    live.log_failed(&unhealthy.logs[0]);
    let plan = live.quiet(1);
    let names: Vec<&str> = plan.logs.iter().map(|log| &*log.pod).collect();
    assert_eq!((names, plan.left_out), (vec!["cart-6b7c8d9f5-x2k8p"], 1));
}

#[test]
fn a_watch_tells_changes_deletions_and_its_end() {
    let at = Time::parse(BEGAN).unwrap();
    let mut live = live(&[pod("web-1", BACK_OFF, 3)]);
    assert_eq!(live.analyze(&options(BEGAN)).incidents.len(), 1);
    let gone = r#"{"type":"DELETED","object":{"kind":"Pod","apiVersion":"v1","metadata":
        {"name":"web-1","namespace":"shop","uid":"web-1","resourceVersion":"12"}}}"#;
    let later = Reader {
        at: at.plus(MINUTE),
        ..reader("Pod")
    };
    let change = later.change(gone.as_bytes()).unwrap();
    assert!(matches!(&change, WatchLine::Objects(objects) if objects.version == "12"));
    assert!(live.change(change));
    let analysis = live.analyze(&options("2026-11-29T09:07:00Z"));
    assert!(analysis.causes.is_empty(), "{:?}", analysis.causes);
    let bookmark = r#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":
        {"resourceVersion":"20"}}}"#;
    let change = later.change(bookmark.as_bytes()).unwrap();
    assert!(matches!(&change, WatchLine::Version(version) if version == "20"));
    assert!(!live.change(change), "nothing happened");
    let ended = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#;
    let change = later.change(ended.as_bytes()).unwrap();
    assert!(matches!(change, WatchLine::Ended { code: 410, .. }));
    assert!(later.change(b"{\"type\":\"ADDED\",\"obj").is_err());
}

#[test]
fn old_events_and_lines_are_left_out() {
    let event = |name: &str, at: &str| {
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"shop","uid":"{name}"}},"type":"Warning",
            "reason":"BackOff","message":"Back-off","count":5,"firstTimestamp":"{at}",
            "lastTimestamp":"{at}","involvedObject":{{"kind":"Pod","namespace":"shop",
            "name":"web-1","uid":"web-1"}}}}"#
        )
    };
    let events = [
        event("a", "2026-11-29T08:00:00Z"),
        event("b", "2026-11-29T09:05:00Z"),
    ];
    let mut live = Live::new("prod", Time::parse("2026-11-29T09:00:00Z"));
    live.add(reader("Event").page(&list(&events, "")).unwrap());
    let records = live.analyze(&options(BEGAN)).records;
    assert_eq!((records.seen, records.applied, records.rejected), (1, 1, 0));
}
