use serde_json::{Value, json};

use super::*;
use crate::model::{Kind, Topic};
use crate::parse::{parse as parse_topic, parse_any};

fn context() -> Context<'static> {
    Context {
        received_at: Time::parse("2026-01-01T12:00:00Z").unwrap(),
        cluster: Some("prod"),
        client_id: None,
    }
}

fn changes(value: &Value) -> Vec<Record> {
    let mut out = Vec::new();
    parse_topic(
        Topic::Events,
        value.to_string().as_bytes(),
        &context(),
        &mut out,
    )
    .unwrap();
    out
}

fn one(value: &Value) -> (Time, ReportedChange) {
    let mut records = changes(value);
    assert_eq!(records.len(), 1, "{value}");
    let record = records.remove(0);
    match record.body {
        Body::Change(change) => (record.at, *change),
        other => panic!("{other:?}"),
    }
}

fn shown(value: &Value) -> String {
    let (at, change) = one(value);
    let text = |text: &Option<Str>| text.as_deref().unwrap_or("-").to_owned();
    format!(
        "{} {} | {} | {} | {} | {}",
        at.to_seconds(),
        change.reason,
        change.message,
        text(&change.by),
        text(&change.source),
        text(&change.revision)
    )
}

#[test]
fn a_change_is_stored_as_it_was_read() {
    let own = json!({"etype": "change", "event_id": "c-1", "event_time": "2026-01-01T10:00:00Z",
        "cluster": "staging", "reason": "flag", "message": "  new checkout\n on ", "by": "jane",
        "source": "flags", "revision": "42", "src": "ci", "seq": 7,
        "subject": {"kind": "deployment", "ns": "shop", "name": "api"}});
    let records = changes(&own);
    assert_eq!(&*records[0].cluster, "staging");
    let stored = encode(&records[0]).unwrap();
    let mut again = Vec::new();
    parse_topic(Topic::Events, &stored, &context(), &mut again).unwrap();
    assert_eq!(format!("{again:?}"), format!("{records:?}"));
    let (_, change) = one(&own);
    assert_eq!(&*change.message, "new checkout on");
    let subject = change.subject.unwrap();
    let expected = (Kind::Deployment, "shop", "api");
    assert_eq!(
        (subject.kind, &*subject.namespace, &*subject.name),
        expected
    );
}

#[test]
fn a_change_without_a_text_is_rejected() {
    let mut out = Vec::new();
    let body = json!({"etype": "change", "reason": "deploy"}).to_string();
    let reject = parse_topic(Topic::Events, body.as_bytes(), &context(), &mut out).unwrap_err();
    assert_eq!(
        reject.message,
        "a change needs a `message` that says what was changed"
    );
}

#[test]
fn secrets_in_a_change_are_masked() {
    let (_, change) = one(&json!({"etype": "change",
        "message": "rotated postgres://app:hunter2secret@db/shop", "by": "password=hunter2secret"}));
    let all = format!("{change:?}");
    assert!(!all.contains("hunter2secret"), "{all}");
}

#[test]
fn deployments_of_tools_are_changes() {
    let github = json!({"action": "created",
        "deployment": {"id": 1, "sha": "9fceb02", "ref": "main", "environment": "production",
            "creator": {"login": "jane"}, "created_at": "2026-01-01T09:59:00Z"},
        "deployment_status": {"id": 77, "state": "success", "created_at": "2026-01-01T10:00:00Z"},
        "repository": {"full_name": "acme/shop"}});
    assert_eq!(
        shown(&github),
        "2026-01-01T10:00:00Z deploy | acme/shop main to production: success | jane | GitHub | 9fceb02"
    );
    let gitlab = json!({"object_kind": "deployment", "status": "failed", "deployment_id": 15,
        "status_changed_at": "2026-01-01 12:00:00 +0200", "environment": "staging", "ref": "v2",
        "short_sha": "279484c0", "user": {"username": "max"},
        "project": {"path_with_namespace": "acme/shop"}});
    assert_eq!(
        shown(&gitlab),
        "2026-01-01T10:00:00Z deploy | acme/shop v2 to staging: failed | max | GitLab | 279484c0"
    );
    let jenkins = json!({"name": "deploy-shop", "url": "job/deploy-shop/", "build": {"number": 18,
        "phase": "FINALIZED", "status": "SUCCESS", "timestamp": 1_767_261_600_000_i64,
        "scm": {"commit": "c6d86dc", "branch": "main"}}});
    assert_eq!(
        shown(&jenkins),
        "2026-01-01T10:00:00Z deploy | deploy-shop #18: SUCCESS | - | Jenkins | c6d86dc"
    );
    let flux = json!({"involvedObject": {"kind": "Kustomization", "namespace": "flux-system",
            "name": "apps", "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "uid": "u"},
        "severity": "info", "timestamp": "2026-01-01T10:00:00Z", "reason": "ReconciliationSucceeded",
        "message": "Reconciliation finished in 12s",
        "metadata": {"kustomize.toolkit.fluxcd.io/revision": "main@sha1:7b2f"}});
    assert_eq!(
        shown(&flux),
        "2026-01-01T10:00:00Z deploy | Reconciliation finished in 12s | - | Flux | main@sha1:7b2f"
    );
    let helm = json!({"name": "api", "namespace": "shop", "revision": "7", "status": "deployed",
        "updated": "2026-01-01 11:00:00.5 +0100 CET", "chart": "api-1.2.3", "app_version": "1.2"});
    assert_eq!(
        shown(&helm),
        "2026-01-01T10:00:00Z deploy | release shop/api, chart api-1.2.3, revision 7: deployed \
         | - | Helm | 7"
    );
}

#[test]
fn what_has_changed_nothing_yet_is_no_change() {
    for pending in [
        json!({"deployment": {"id": 1, "environment": "production"}, "action": "created",
            "repository": {"full_name": "acme/shop"}}),
        json!({"object_kind": "deployment", "status": "created"}),
        json!({"name": "job", "build": {"number": 1, "phase": "STARTED"}}),
    ] {
        assert!(changes(&pending).is_empty(), "{pending}");
    }
}

#[test]
fn events_stay_events() {
    for event in [
        json!({"reason": "ScalingReplicaSet", "message": "scaled \"change\" and \"deployment\"",
            "subject": {"kind": "Deployment", "ns": "shop", "name": "api"}}),
        json!({"involvedObject": {"kind": "Kustomization", "namespace": "f", "name": "apps",
                "apiVersion": "kustomize.toolkit.fluxcd.io/v1"},
            "severity": "error", "reason": "BuildFailed", "message": "no such file",
            "metadata": {"kustomize.toolkit.fluxcd.io/revision": "main@sha1:7b2f"}}),
    ] {
        let records = changes(&event);
        assert!(matches!(records[0].body, Body::Event(_)), "{event}");
    }
}

#[test]
fn a_change_is_recognized_by_its_shape() {
    let body = json!({"etype": "change", "message": "maintenance of the database"}).to_string();
    let (mut out, mut rejects) = (Vec::new(), Vec::new());
    let topic = parse_any(body.as_bytes(), &context(), &mut out, &mut rejects).unwrap();
    assert_eq!(
        (topic, out.len(), rejects.len()),
        (Some(Topic::Events), 1, 0)
    );
}
