//! Tests of the module above.

use super::*;
use crate::model::Time;

fn command(kind: &str, path: &str, old: Option<&str>, new: Option<&str>) -> String {
    let field = FieldChange {
        path: path.to_owned(),
        old: old.map(str::to_owned),
        new: new.map(str::to_owned),
    };
    reversal(&of_kind(kind), Some(&field))
}

fn of_kind(kind: &str) -> ObjectChange {
    ObjectChange {
        at: Time::default(),
        undated: false,
        kind: kind.to_owned(),
        namespace: "shop".to_owned(),
        name: "api".to_owned(),
        uid: None,
        verb: Verb::Changed,
        fields: Vec::new(),
        more: 0,
        by: None,
        via: None,
        note: None,
    }
}

#[test]
fn a_field_is_set_back_exactly() {
    let image = "spec.template.spec.containers[api].image";
    for (kind, path, old, new, expected) in [
        (
            "Deployment",
            image,
            Some("api:1"),
            Some("api:2"),
            r#"patch deployment api --type=strategic -p '{"spec":{"template":{"spec":{"containers":[{"image":"api:1","name":"api"}]}}}}'"#,
        ),
        (
            "Deployment",
            "spec.template.spec.containers[api].env[A].value",
            Some("1"),
            Some("2"),
            r#"patch deployment api --type=strategic -p '{"spec":{"template":{"spec":{"containers":[{"env":[{"name":"A","value":"1"}],"name":"api"}]}}}}'"#,
        ),
        (
            "Service",
            "spec.selector.app",
            Some("api"),
            Some("apl"),
            r#"patch service api --type=merge -p '{"spec":{"selector":{"app":"api"}}}'"#,
        ),
        (
            "Deployment",
            "spec.replicas",
            Some("3"),
            Some("0"),
            r#"patch deployment api --type=merge -p '{"spec":{"replicas":3}}'"#,
        ),
        (
            "Deployment",
            "spec.template.spec.nodeSelector.disk",
            None,
            Some("ssd"),
            r#"patch deployment api --type=merge -p '{"spec":{"template":{"spec":{"nodeSelector":{"disk":null}}}}}'"#,
        ),
    ] {
        let command = command(kind, path, old, new);
        assert_eq!(
            command.strip_prefix("kubectl -n shop "),
            Some(expected),
            "{path}"
        );
    }
}

#[test]
fn names_and_values_stay_words_of_their_own() {
    let change = ObjectChange {
        name: "api.v2:x".to_owned(),
        ..of_kind("Service")
    };
    let field = FieldChange {
        path: "spec.selector.app".to_owned(),
        old: Some("it's".to_owned()),
        new: Some("x".to_owned()),
    };
    let words = shlex::split(&reversal(&change, Some(&field))).unwrap();
    assert_eq!(words[5], "api.v2:x");
    assert_eq!(words[8], r#"{"spec":{"selector":{"app":"it's"}}}"#);
    let change = ObjectChange {
        name: "--all".to_owned(),
        ..change
    };
    assert_eq!(reversal(&change, Some(&field)), "");
    let change = ObjectChange {
        name: "api; rm".to_owned(),
        ..change
    };
    assert_eq!(reversal(&change, Some(&field)), "");
}

#[test]
fn what_is_not_known_exactly_is_not_set_back() {
    let args = "spec.template.spec.containers[api].args";
    let env = "spec.template.spec.containers[api].env[URL].value";
    for (kind, path, old, new) in [
        ("ConfigMap", "data[\"app.yaml\"]", "changed", "changed"),
        ("Deployment", args, "changed", "changed"),
        (
            "Deployment",
            args,
            "[\"--mode=hash:0123456789ab\"]",
            "[\"--fast\"]",
        ),
        (
            "Deployment",
            env,
            "postgres://***@db:5432/shop",
            "postgres://***@new:5432/shop",
        ),
        ("Deployment", env, "a⏎b", "c"),
        ("Deployment", env, "a…", "c"),
        ("Role", "rules[pods].verbs", "[\"get\"]", "[\"list\"]"),
    ] {
        assert_eq!(
            command(kind, path, Some(old), Some(new)),
            "",
            "{path} {old}"
        );
    }
}

#[test]
fn ports_of_containers_and_of_services_have_keys_of_their_own() {
    let host = "spec.template.spec.containers[api].ports[8080].hostPort";
    let text = command("Deployment", host, Some("80"), Some("443"));
    assert!(
        text.contains(r#""ports":[{"containerPort":8080,"hostPort":80}]"#),
        "{text}"
    );
    let target = "spec.ports[80].targetPort";
    let text = command("Service", target, Some("http"), Some("htp"));
    assert!(
        text.contains(r#""ports":[{"port":80,"targetPort":"http"}]"#),
        "{text}"
    );
    // Which of two ports with one number is meant is not known.
    let second = "spec.template.spec.containers[api].ports[8080#2].hostPort";
    assert_eq!(command("Deployment", second, Some("80"), Some("443")), "");
}

#[test]
fn what_the_api_server_lets_no_one_change_is_not_set_back() {
    for (kind, path, old, new) in [
        (
            "PersistentVolumeClaim",
            "spec.storageClassName",
            "fast",
            "slow",
        ),
        (
            "PersistentVolumeClaim",
            "spec.resources.requests.storage",
            "1Gi",
            "2Gi",
        ),
        (
            "Job",
            "spec.template.spec.containers[api].image",
            "a:1",
            "a:2",
        ),
        ("StatefulSet", "spec.serviceName", "db", "dbs"),
        (
            "StatefulSet",
            "spec.volumeClaimTemplates[0].spec.storageClassName",
            "a",
            "b",
        ),
        ("Deployment", "spec.selector.matchLabels.app", "a", "b"),
        ("RoleBinding", "roleRef.name", "a", "b"),
        ("StorageClass", "provisioner", "a", "b"),
        ("Pod", "spec.nodeName", "a", "b"),
    ] {
        assert_eq!(
            command(kind, path, Some(old), Some(new)),
            "",
            "{kind} {path}"
        );
    }
    for (kind, path) in [
        ("Pod", "spec.containers[api].image"),
        ("StatefulSet", "spec.template.spec.containers[api].image"),
        ("PersistentVolumeClaim", "metadata.labels.app"),
    ] {
        assert_ne!(
            command(kind, path, Some("a"), Some("b")),
            "",
            "{kind} {path}"
        );
    }
}

fn of_fields(fields: &[(&str, Option<&str>, Option<&str>)]) -> String {
    let field = |(path, old, new): &(&str, Option<&str>, Option<&str>)| FieldChange {
        path: (*path).to_owned(),
        old: old.map(str::to_owned),
        new: new.map(str::to_owned),
    };
    let change = ObjectChange {
        fields: fields.iter().map(field).collect(),
        ..of_kind("Deployment")
    };
    let text = reversal(&change, change.fields.first());
    let patch = shlex::split(&text).unwrap().pop().unwrap_or_default();
    let container = "{\"spec\":{\"template\":{\"spec\":{\"containers\":[";
    let patch = patch.strip_prefix(container).unwrap_or(&patch);
    patch.strip_suffix("]}}}}").unwrap_or(patch).to_owned()
}

#[test]
fn what_holds_only_together_is_set_back_together() {
    let api = "spec.template.spec.containers[api]";
    let value = format!("{api}.env[A].value");
    let from = format!("{api}.env[A].valueFrom");
    let cpu = format!("{api}.resources.requests.cpu");
    let memory = format!("{api}.resources.requests.memory");
    let (args, command) = (format!("{api}.args"), format!("{api}.command"));
    let moved = of_fields(&[
        (&value, Some("good"), None),
        (
            &from,
            None,
            Some("configMapKeyRef.key: k, configMapKeyRef.name: c"),
        ),
    ]);
    assert_eq!(
        moved,
        r#"{"env":[{"name":"A","value":"good","valueFrom":null}],"name":"api"}"#
    );
    let added = of_fields(&[(&value, None, Some("bad"))]);
    assert_eq!(
        added,
        r#"{"env":[{"$patch":"delete","name":"A"}],"name":"api"}"#
    );
    let resources = of_fields(&[
        (&cpu, Some("1"), Some("9")),
        (&memory, Some("1Gi"), Some("9Gi")),
    ]);
    assert_eq!(
        resources,
        r#"{"name":"api","resources":{"requests":{"cpu":"1","memory":"1Gi"}}}"#
    );
    let both = of_fields(&[
        (&command, Some("[\"/app\"]"), Some("[\"/appp\"]")),
        (&args, Some("changed"), Some("changed")),
    ]);
    assert_eq!(both, "", "with other arguments it may not start either");
    let apart = of_fields(&[
        (&value, Some("1"), Some("2")),
        (
            &format!("{api}.env[B].value"),
            Some("changed"),
            Some("changed"),
        ),
    ]);
    assert_eq!(apart, r#"{"env":[{"name":"A","value":"1"}],"name":"api"}"#);
}
