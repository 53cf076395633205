//! Tests of the module above.

use serde_json::json;

use super::*;
use crate::analyze::Options;
use crate::forms::Source;

fn state(selector: &str, extra: Option<&str>) -> String {
    let meta = |name: &str, version: &str| {
        json!({"name": name, "namespace": "shop", "uid": format!("u-{name}"),
            "resourceVersion": version, "labels": {"app": "cart"},
            "creationTimestamp": "2026-01-01T00:00:00Z"})
    };
    let ready = json!([{"type": "Ready", "status": "True"}]);
    let mut items = vec![
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta("cart", selector),
            "spec": {"selector": {"app": selector}, "ports": [{"port": 80}]}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta("cart-1", "1"), "spec":
            {"nodeName": "n1", "containers": [{"name": "c", "image": "a",
            "env": [{"name": "CART_URL", "value": "http://cart"}]}]},
            "status": {"phase": "Running", "conditions": ready}}),
    ];
    items.extend(extra.map(|name| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta(name, "1"),
            "spec": {"type": "ExternalName"}})
    }));
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

fn evidence<'o>(options: &'o Options, text: &str) -> Evidence<'o> {
    let mut evidence = Evidence::new(options);
    let source = Source {
        path: "x.json",
        bytes: text.as_bytes(),
        taken_at: Time::parse("2026-01-02T00:00:00Z").unwrap(),
        namespace: None,
    };
    evidence.add(&source).unwrap();
    evidence
}

#[test]
fn what_changed_and_what_is_gone_is_listed() {
    let options = Options {
        now: Time::parse("2026-01-02T00:00:00Z").unwrap(),
        ..Options::default()
    };
    let (old, new) = (state("cart", Some("old")), state("cart-v2", None));
    let compared = evidence(&options, &new).compare(evidence(&options, &old), "x");
    let lines: Vec<String> = compared
        .changes
        .iter()
        .flat_map(|of| {
            of.change
                .lines()
                .into_iter()
                .map(|l| format!("{} {l}", of.change.name))
        })
        .collect();
    assert_eq!(
        lines,
        ["cart spec.selector.app: cart → cart-v2", "old deleted"]
    );
    let same = evidence(&options, &old).compare(evidence(&options, &old), "x");
    assert!(same.accepted && same.changes.is_empty(), "{same:?}");
}

const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: api\n  \
    namespace: shop\nspec:\n  replicas: REPLICAS\n  selector:\n    matchLabels: {app: api}\n  \
    template:\n    metadata:\n      labels: {app: api}\n    spec:\n      containers:\n      - \
    name: api\n        image: IMAGE\n        env:\n        - {name: DB_PASSWORD, value: SECRET}\n\
    \x20       ports:\n        - {name: http, containerPort: 8080}\n        readinessProbe:\n\
    \x20         httpGet: {port: PROBE, path: /}\n        envFrom:\n        - configMapRef: \
    {name: CONFIG}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  \
    namespace: shop\ndata: {a: b}\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: api\n  \
    namespace: shop\nspec:\n  selector: {app: SELECTED}\n  ports:\n  - {port: 80, targetPort: \
    TARGET}\n";

/// The manifests with some values changed.
fn manifests(changes: &[(&str, &str)]) -> String {
    let usual = [
        ("REPLICAS", "2"),
        ("IMAGE", "api:1"),
        ("SECRET", "hunter2-2f9a"),
        ("PROBE", "http"),
        ("CONFIG", "settings"),
        ("SELECTED", "api"),
        ("TARGET", "http"),
    ];
    let all = changes.iter().chain(&usual);
    all.fold(DEPLOYMENT.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    })
}

fn compared(old: &str, new: &str) -> Comparison {
    let options = Options {
        now: Time::parse("2026-01-02T00:00:00Z").unwrap(),
        ..Options::default()
    };
    evidence(&options, new).compare(evidence(&options, old), "x")
}

#[test]
fn manifests_alone_accept_nothing() {
    let same = compared(&manifests(&[]), &manifests(&[("IMAGE", "api:2")]));
    assert_eq!(same.verdict, Judgement::Inconclusive, "{:?}", same.flaws);
    assert!(
        !same.accepted && same.reason.contains("status"),
        "{}",
        same.reason
    );
    assert!(
        same.changes.iter().all(|of| of.change.undated),
        "{:?}",
        same.changes
    );
}

#[test]
fn what_manifests_show_to_be_wrong_is_rejected() {
    for (change, rule) in [
        (("SELECTED", "apl"), "service.selects_nothing"),
        (("TARGET", "web"), "service.port_missing"),
        (("REPLICAS", "0"), "service.emptied"),
        (("PROBE", "admin"), "template.probe_port"),
        (("IMAGE", "'api:'"), "template.image_invalid"),
    ] {
        let found = compared(&manifests(&[]), &manifests(&[change]));
        assert_eq!(found.verdict, Judgement::Rejected, "{rule}");
        assert_eq!(found.flaws[0].rule, rule, "{:?}", found.flaws);
        // What was wrong before is not new.
        let again = compared(&manifests(&[change]), &manifests(&[change]));
        assert!(again.flaws.is_empty(), "{:?}", again.flaws);
    }
    let found = compared(&manifests(&[]), &manifests(&[("CONFIG", "setings")]));
    assert_eq!(
        found.verdict,
        Judgement::Inconclusive,
        "it may be in the cluster"
    );
    assert_eq!(found.flaws[0].rule, "template.reference_missing");
}

#[test]
fn a_password_that_changed_is_seen_and_never_shown() {
    let found = compared(&manifests(&[]), &manifests(&[("SECRET", "hunter3-77b1")]));
    let lines: Vec<String> = found
        .changes
        .iter()
        .flat_map(|of| of.change.lines())
        .collect();
    let path = "spec.template.spec.containers[api].env[DB_PASSWORD].value: changed";
    assert_eq!(lines, [path]);
    let text = serde_json::to_string(&found).unwrap();
    assert!(!text.contains("hunter") && !text.contains('#'), "{text}");
}

/// A Deployment as the API server shows it, in the version `generation`.
fn deployed(generation: i64, status: &serde_json::Value) -> serde_json::Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u-web", "generation": generation,
            "resourceVersion": generation.to_string(),
            "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": format!("web:{generation}")}]}}},
        "status": status})
}

fn running(observed: i64, updated: i64, ready: i64) -> serde_json::Value {
    json!({"observedGeneration": observed, "replicas": 2, "updatedReplicas": updated,
        "readyReplicas": ready, "availableReplicas": ready})
}

fn pod(namespace: &str, name: &str, phase: &str, ready: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": format!("u-{name}"),
            "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": [{"name": "c", "image": "a"}]},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}})
}

fn list(items: &[serde_json::Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

#[test]
fn what_was_not_seen_or_is_still_on_its_way_accepts_nothing() {
    let before = list(&[deployed(1, &running(1, 2, 2))]);
    let other = pod("other", "x", "Running", "True");
    for (after, reason) in [
        (
            vec![other.clone()],
            "does not show the health of Deployment `shop/web`",
        ),
        (
            vec![deployed(2, &json!({})), other.clone()],
            "does not show the health of Deployment `shop/web`",
        ),
        (
            vec![deployed(2, &running(1, 2, 2))],
            "controller has not seen yet",
        ),
        (
            vec![deployed(2, &running(2, 1, 2))],
            "has 1 of 2 pods updated",
        ),
    ] {
        let found = compared(&before, &list(&after));
        assert_eq!(found.verdict, Judgement::Inconclusive, "{reason}");
        assert!(found.reason.contains(reason), "{}", found.reason);
    }
    let after = list(&[deployed(2, &running(2, 2, 2)), other]);
    let found = compared(&before, &after);
    assert_eq!(found.verdict, Judgement::Accepted, "{}", found.reason);
}

#[test]
fn a_pod_that_is_not_well_accepts_nothing_unless_it_was_so_before() {
    let web = deployed(1, &running(1, 2, 2));
    let before = list(&[web.clone(), pod("shop", "job", "Running", "True")]);
    for (phase, ready) in [
        ("Pending", "False"),
        ("Unknown", "False"),
        ("Running", "False"),
    ] {
        let after = list(&[web.clone(), pod("shop", "job", phase, ready)]);
        let found = compared(&before, &after);
        assert_ne!(found.verdict, Judgement::Accepted, "{phase}");
        let again = compared(&after, &after);
        assert_eq!(again.verdict, Judgement::Accepted, "{}", again.reason);
    }
}

/// The flaws after, of manifests beside which there are other objects in both states.
fn flaws(others: &str, changes: &[(&str, &str)]) -> Vec<(Grade, &'static str)> {
    let of = |changes: &[(&str, &str)]| format!("{}---\n{others}", manifests(changes));
    let found = compared(&of(&[]), &of(changes));
    found.flaws.iter().map(|f| (f.grade, f.rule)).collect()
}

#[test]
fn what_a_custom_resource_may_make_is_only_warned_of() {
    let secret = "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: ext, \
                  namespace: shop, uid: e1}\nspec: {target: {name: made}}\n---\napiVersion: v1\n\
                  kind: ConfigMap\nmetadata: {name: other, namespace: shop, uid: c1}\n";
    let made = flaws(secret, &[("CONFIG", "made")]);
    assert_eq!(made, [(Grade::Warning, "template.reference_missing")]);
    let missing = flaws(secret, &[("CONFIG", "setings")]);
    assert_eq!(missing, [(Grade::Error, "template.reference_missing")]);
    let scaler = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: s, namespace: \
                  shop, uid: s1}\nspec: {scaleTargetRef: {name: api}}\n";
    let emptied = flaws(scaler, &[("REPLICAS", "0")]);
    assert!(
        emptied.contains(&(Grade::Warning, "service.emptied")),
        "{emptied:?}"
    );
}

#[test]
fn a_number_that_no_container_declares_may_still_be_a_port() {
    let found = compared(&manifests(&[]), &manifests(&[("TARGET", "9999")]));
    let flaw = &found.flaws[0];
    assert_eq!(
        (flaw.grade, flaw.rule),
        (Grade::Warning, "service.port_undeclared")
    );
}
