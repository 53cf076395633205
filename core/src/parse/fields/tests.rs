use serde_json::{Value, json};

use super::*;
use crate::change::{FieldChange, diff};
use crate::model::{Body, Topic};
use crate::parse::{Context, parse};

fn fields(value: &Value) -> Fields {
    let mut records = Vec::new();
    let context = Context {
        cluster: Some("prod"),
        ..Context::default()
    };
    let text = value.to_string();
    parse(Topic::Resource, text.as_bytes(), &context, &mut records).unwrap();
    match records.remove(0).body {
        Body::State(_, object) => object.fields,
        _ => panic!("an object"),
    }
}

fn lines(old: &Value, new: &Value) -> Vec<String> {
    diff(&fields(old), &fields(new))
        .0
        .iter()
        .map(FieldChange::text)
        .collect()
}

#[test]
fn the_order_of_lists_counts_where_it_does_in_kubernetes() {
    let deployment = |env: Value, args: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"},
            "spec": {"template": {"spec": {"containers": [
                {"name": "api", "env": env, "args": args}]}}}})
    };
    let (a, b) = (
        json!({"name": "A", "value": "1"}),
        json!({"name": "B", "value": "2"}),
    );
    let old = deployment(json!([a, b]), json!(["serve", "--fast"]));
    assert!(lines(&old, &deployment(json!([b, a]), json!(["serve", "--fast"]))).is_empty());
    let container = "spec.template.spec.containers[api]";
    assert_eq!(
        lines(&old, &deployment(json!([a]), json!(["--fast", "serve"]))),
        [
            format!(r#"{container}.args: ["serve","--fast"] → ["--fast","serve"]"#),
            format!("{container}.env[B]: name: B, value: 2 → unset"),
        ]
    );
    let role = |rules: Value| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "reader", "namespace": "shop"}, "rules": rules})
    };
    let pods = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "get"]});
    let jobs = json!({"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get"]});
    let fewer = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
    assert!(lines(&role(json!([pods, jobs])), &role(json!([jobs, pods]))).is_empty());
    assert_eq!(
        lines(&role(json!([pods, jobs])), &role(json!([jobs, fewer]))),
        [r#"rules[pods].verbs: ["get","list"] → ["get"]"#]
    );
}

#[test]
fn state_and_copies_are_no_change_and_secrets_are_not_shown() {
    let secret = |value: &str, version: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db",
            "resourceVersion": version, "managedFields": [{"manager": version}]},
            "data": {"password": value}})
    };
    assert!(lines(&secret("aHVudGVy", "1"), &secret("aHVudGVy", "2")).is_empty());
    assert_eq!(
        lines(&secret("aHVudGVy", "1"), &secret("b3RoZXI=", "2")),
        ["data.password: changed"]
    );
    let config = |password: &str, copy: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": copy}},
            "data": {"db.password": password, "host": "db"}})
    };
    assert_eq!(
        lines(&config("hunter2", "a"), &config("hunter3", "b")),
        ["data[\"db.password\"]: changed"]
    );
    let text = format!("{:?}", fields(&config("hunter2", "a")));
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn what_deployed_an_object_is_read_from_its_marks() {
    let via = |meta: Value| {
        let mut records = Vec::new();
        let text = json!({"kind": "ConfigMap", "cluster": "c", "metadata": meta}).to_string();
        parse(
            Topic::Resource,
            text.as_bytes(),
            &Context::default(),
            &mut records,
        )
        .unwrap();
        match records.remove(0).body {
            Body::State(_, object) => object.origin.via.map(|via| via.to_string()),
            _ => None,
        }
    };
    let helm = json!({"name": "a", "annotations": {"meta.helm.sh/release-name": "web"},
        "labels": {"helm.sh/chart": "web-1.2.3"}});
    assert_eq!(
        via(helm).as_deref(),
        Some("Helm release web, chart web-1.2.3")
    );
    let argo = json!({"name": "a", "annotations": {
        "argocd.argoproj.io/tracking-id": "shop:/ConfigMap:shop/a",
        "example.com/git-commit": "4f2c1d0"}});
    assert_eq!(
        via(argo).as_deref(),
        Some("Argo CD application shop, git-commit 4f2c1d0")
    );
    let flux = json!({"name": "a", "labels": {"helm.toolkit.fluxcd.io/name": "shop"}});
    assert_eq!(via(flux).as_deref(), Some("Flux HelmRelease shop"));
    assert_eq!(via(json!({"name": "a"})), None);
}
