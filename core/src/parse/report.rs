//! Reads what an object of any kind reports about itself, and what its spec refers to.

use serde_json::Value;

use super::Reject;
use super::mask;
use super::object_kinds::Part;
use crate::model::Str;
use crate::model::Time;
use crate::model::address::Address;
use crate::model::object::report::{Reference, Report, Role};
use crate::model::object::values::MaybeTime;
use crate::model::object::{Condition, List, Meta, PortRef};

/// How deep conditions and references are searched.
const MAX_DEPTH: usize = 10;
/// How many conditions and references of one object are kept.
const MAX_ITEMS: usize = 64;
/// Longest message of a condition that is kept, in characters.
const MAX_MESSAGE: usize = 2000;

/// Fields of a status that name a state in one word.
const STATES: [&str; 4] = ["phase", "state", "currentStatus", "robustness"];
/// Fields of a status that hold the error of the last attempt: of volumes that are attached, and of
/// snapshots.
const ERRORS: [&str; 3] = ["attachError", "detachError", "error"];
/// Fields of a status that hold such a field.
const STATE_HOLDERS: [&str; 3] = ["health", "operationState", "sync"];

/// The report of an object; `None` if it says nothing that is read.
pub(super) fn read(
    meta: &Meta,
    spec: &Part<'_>,
    status: &Part<'_>,
) -> Result<Option<Report>, Reject> {
    let (spec, status): (Value, Value) = (spec.read()?, status.read()?);
    let mut conditions = Vec::new();
    states(&status, &mut conditions);
    collect_conditions(&status, 0, &mut conditions);
    conditions.truncate(MAX_ITEMS);
    let mut references = Vec::new();
    collect_references(&spec, meta, 0, &mut references);
    references.truncate(MAX_ITEMS);
    let mut hosts = Vec::new();
    if references.iter().any(|r| r.role == Role::Routes) {
        collect_hosts(&spec, 0, &mut hosts);
    }
    hosts.truncate(MAX_ITEMS);
    if conditions.is_empty() && references.is_empty() {
        return Ok(None);
    }
    Ok(Some(Report {
        conditions: conditions.into_iter().collect::<List<_>>(),
        references: references.into_iter().collect(),
        hosts: hosts.into_iter().collect(),
        observed_generation: status.get("observedGeneration").and_then(Value::as_i64),
        suspended: is_suspended(&spec, &status),
        ended: MaybeTime(ended(&status)),
    }))
}

fn is_suspended(spec: &Value, status: &Value) -> bool {
    let is_set = |key: &str| spec.get(key).and_then(Value::as_bool) == Some(true);
    is_set("suspend")
        || is_set("suspended")
        || is_set("paused")
        || text(status, "printableStatus") == Some("Stopped")
        || text(status, "phase").is_some_and(|phase| IDLE.contains(&phase))
        || status
            .get("conditions")
            .and_then(Value::as_array)
            .is_some_and(|all| all.iter().any(is_idle))
}

/// Phases of what a person has halted.
const IDLE: [&str; 4] = ["Paused", "Suspended", "Hibernated", "Stopped"];

/// Whether a condition says that its object was halted.
fn is_idle(condition: &Value) -> bool {
    let kind = text(condition, "type").unwrap_or_default();
    let is_named = IDLE.contains(&kind) || kind.ends_with("hibernation");
    is_named && text(condition, "status") == Some("True")
}

/// When a run ended, as the kinds that run once say it.
fn ended(status: &Value) -> Option<Time> {
    const FIELDS: [&str; 5] = [
        "completionTime",
        "completionTimestamp",
        "completedAt",
        "finishedAt",
        "finishedTime",
    ];
    FIELDS
        .iter()
        .find_map(|key| text(status, key))
        .and_then(Time::parse)
}

/// A text field that is not empty.
fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|t| !t.is_empty())
}

fn masked(message: &str) -> String {
    let short: String = message.chars().take(MAX_MESSAGE).collect();
    mask::secrets(&short).into_owned()
}

/// States that a status names outside its conditions, as conditions.
fn states(status: &Value, out: &mut Vec<Condition>) {
    let message = |value: &Value| {
        ["message", "description", "reason"]
            .iter()
            .find_map(|key| text(value, key))
            .map(masked)
            .unwrap_or_default()
    };
    // VolumeAttachments say why a driver refuses.
    for key in ["attachError", "detachError"] {
        if let Some(error) = status.get(key) {
            out.push(Condition::of_field(key, "Error", &message(error)));
        }
    }
    for key in STATES {
        if let Some(state) = text(status, key) {
            out.push(Condition::of_field(key, state, &message(status)));
        }
    }
    for key in ERRORS {
        let error = status
            .get(key)
            .filter(|error| text(error, "message").is_some());
        let said = error.map(message);
        out.extend(said.map(|said| Condition::of_field(key, "True", &said)));
    }
    let resources = status.get("resources").and_then(Value::as_array);
    for resource in resources.into_iter().flatten() {
        out.extend(health_of_resource(resource));
    }
    let is_state = |holder: &str, wanted: &str| {
        let held = status.get(holder);
        held.and_then(|held| text(held, "status")) == Some(wanted)
    };
    // What was done last does not count any more once all is as wanted.
    let is_as_wanted = is_state("sync", "Synced") && is_state("health", "Healthy");
    for holder in STATE_HOLDERS {
        let Some(held) = status.get(holder) else {
            continue;
        };
        if is_as_wanted && holder == "operationState" {
            continue;
        }
        if let Some(state) = text(held, "status").or(text(held, "phase")) {
            out.push(Condition::of_field(holder, state, &message(held)));
        }
    }
}

/// The health of an object that Argo CD has applied.
fn health_of_resource(resource: &Value) -> Option<Condition> {
    let health = resource.get("health")?;
    let parts = ["kind", "namespace", "name"].map(|key| text(resource, key));
    let path: Vec<&str> = parts.into_iter().flatten().collect();
    let said = text(health, "message").map(masked).unwrap_or_default();
    let message = format!("{} {said}", path.join("/"));
    let state = text(health, "status")?;
    Some(Condition::of_field(
        "resource health",
        state,
        message.trim(),
    ))
}

/// The conditions of a status: its own, and those for each parent, listener or ancestor.
fn collect_conditions(value: &Value, depth: usize, out: &mut Vec<Condition>) {
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::Array(items) if key == "conditions" => {
                        out.extend(items.iter().filter_map(condition));
                    }
                    _ => collect_conditions(value, depth + 1, out),
                }
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_conditions(item, depth + 1, out)),
        _ => {}
    }
}

fn condition(value: &Value) -> Option<Condition> {
    let owned = |key: &str| text(value, key).map(Str::from);
    let status = match value.get("status") {
        Some(Value::Bool(true)) => Some("True".into()),
        Some(Value::Bool(false)) => Some("False".into()),
        _ => owned("status"),
    };
    Some(Condition {
        kind: owned("type")?,
        status,
        reason: owned("reason"),
        message: message_with_errors(value).map(Str::from),
        last_transition_time: MaybeTime(text(value, "lastTransitionTime").and_then(Time::parse)),
    })
}

/// The message of a condition; Contour lists the errors that it sums up beside it.
fn message_with_errors(value: &Value) -> Option<String> {
    let errors = value.get("errors").and_then(Value::as_array);
    let listed = errors.into_iter().flatten();
    let said: Vec<&str> = std::iter::once(value)
        .chain(listed)
        .filter_map(|part| text(part, "message"))
        .collect();
    (!said.is_empty()).then(|| masked(&said.join("; ")))
}

fn collect_references(value: &Value, meta: &Meta, depth: usize, out: &mut Vec<Reference>) {
    if depth > MAX_DEPTH || out.len() >= MAX_ITEMS {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let held = match value {
                    Value::Array(items) => items.as_slice(),
                    _ => std::slice::from_ref(value),
                };
                let found = held.iter().filter_map(|item| reference(key, item, meta));
                out.extend(found);
                out.extend(held.iter().filter_map(service_of_url));
                collect_references(value, meta, depth + 1, out);
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_references(item, meta, depth + 1, out)),
        _ => {}
    }
}

/// The Service whose URL within the cluster is the value of a field: the server of an issuer, of a
/// store of secrets, of a source of metrics.
fn service_of_url(value: &Value) -> Option<Reference> {
    let text = value.as_str().filter(|text| text.contains("://"))?;
    let address = Address::parse(text)?;
    let mut labels = address.host.split('.');
    let (name, namespace) = (labels.next()?, labels.next()?);
    (labels.next() == Some("svc")).then(|| Reference {
        kind: "Service".into(),
        namespace: Some(namespace.into()),
        name: name.into(),
        port: None,
        role: Role::Calls,
    })
}

/// The public names that a route serves: of Gateway API, Contour, `OpenShift` and Traefik.
fn collect_hosts(value: &Value, depth: usize, out: &mut Vec<Str>) {
    if depth > MAX_DEPTH || out.len() >= MAX_ITEMS {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(name) if matches!(key.as_str(), "fqdn" | "host") => {
                        out.push(name.as_str().into());
                    }
                    Value::String(rule) if key == "match" => {
                        let named = rule.split("Host(`").skip(1);
                        out.extend(
                            named
                                .filter_map(|rest| rest.split('`').next())
                                .map(Str::from),
                        );
                    }
                    Value::Array(names) if key == "hostnames" => {
                        out.extend(names.iter().filter_map(Value::as_str).map(Str::from));
                    }
                    _ => collect_hosts(value, depth + 1, out),
                }
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_hosts(item, depth + 1, out)),
        _ => {}
    }
}

/// The reference in a field, by the name that Kubernetes gives such fields: `secretName`,
/// `issuerRef`, `backendRefs`.
fn reference(key: &str, value: &Value, meta: &Meta) -> Option<Reference> {
    let lower = key.to_ascii_lowercase();
    let (name, namespace, kind) = match value {
        Value::String(name) => (name.as_str(), None, kind_of_name(&lower)?),
        Value::Object(_) if lower == "middlewares" => {
            let kind = "Middleware".to_owned();
            (text(value, "name")?, text(value, "namespace"), kind)
        }
        // Routes of Traefik and Contour.
        Value::Object(_) if lower == "services" && (is_traefik(meta) || has_port(value)) => {
            let kind = text(value, "kind").unwrap_or("Service").to_owned();
            (text(value, "name")?, text(value, "namespace"), kind)
        }
        // The targets of OpenShift's routes.
        Value::Object(_) if matches!(lower.as_str(), "to" | "alternatebackends") => {
            let kind = text(value, "kind").filter(|kind| *kind == "Service")?;
            (text(value, "name")?, None, kind.to_owned())
        }
        // A ServiceReference: of an aggregated API, of a webhook.
        Value::Object(_) if lower == "service" => {
            let namespace = text(value, "namespace")?;
            (text(value, "name")?, Some(namespace), "Service".to_owned())
        }
        Value::Object(_) => {
            let stem = lower.strip_suffix("refs").or(lower.strip_suffix("ref"))?;
            let named = text(value, "kind").map(str::to_owned);
            let kind = named.or_else(|| kind_of_stem(stem).map(str::to_owned))?;
            (text(value, "name")?, text(value, "namespace"), kind)
        }
        _ => return None,
    };
    let role = match lower.as_str() {
        "scaletargetref" => Role::Scales,
        "backendrefs" | "backendref" | "services" | "to" | "alternatebackends" => Role::Routes,
        "writeconnectionsecrettoref" => Role::Writes,
        "secretname" if meta.kind.as_str() == "Certificate" => Role::Writes,
        _ => Role::Uses,
    };
    Some(Reference {
        kind: kind.into(),
        namespace: namespace.map(Str::from),
        name: name.into(),
        port: port(value).filter(|_| role == Role::Routes),
        role,
    })
    .filter(|r| !r.name.is_empty())
}

/// The port of what a route leads to.
fn port(value: &Value) -> Option<PortRef> {
    match value.get("port")? {
        Value::Number(number) => number.as_i64().map(PortRef::Number),
        Value::String(text) => Some(match text.parse() {
            Ok(number) => PortRef::Number(number),
            Err(_) => PortRef::Name(text.as_str().into()),
        }),
        _ => None,
    }
}

fn has_port(value: &Value) -> bool {
    value.get("port").is_some_and(Value::is_number)
}

/// Whether an object is a route of Traefik, which lists its Services by name.
fn is_traefik(meta: &Meta) -> bool {
    meta.kind.as_str().starts_with("IngressRoute")
}

/// The kind that a field such as `secretName` refers to.
fn kind_of_name(field: &str) -> Option<String> {
    let stem = field.strip_suffix("name")?;
    let is_plain = matches!(
        stem,
        "secret" | "configmap" | "serviceaccount" | "persistentvolume"
    );
    kind_of_stem(stem).filter(|_| is_plain).map(str::to_owned)
}

/// The kind that a field such as `serviceAccountRef` refers to, if it names none.
fn kind_of_stem(stem: &str) -> Option<&'static str> {
    Some(match stem {
        "scaletarget" => "Deployment",
        "backend" => "Service",
        "parent" => "Gateway",
        "issuer" => "Issuer",
        "persistentvolume" => "PersistentVolume",
        "secretstore" => "SecretStore",
        "writeconnectionsecretto" => "Secret",
        s if s.ends_with("secret") => "Secret",
        s if s.ends_with("configmap") => "ConfigMap",
        s if s.ends_with("serviceaccount") => "ServiceAccount",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::ObjectBody;
    use crate::model::{Body, Record};

    fn report(json: &str) -> Report {
        let context = crate::parse::Context {
            cluster: Some("c"),
            ..crate::parse::Context::default()
        };
        let parsed = crate::parse::object::parse;
        let mut out: Vec<Record> = Vec::new();
        parsed(json, &context, &mut out).unwrap();
        match out.remove(0).body {
            Body::State(_, object) => match object.body {
                ObjectBody::Report(report) => *report,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_url_within_the_cluster_refers_to_its_service() {
        let issuer = report(
            r#"{"kind":"ClusterIssuer","metadata":{"name":"pki"},
            "spec":{"vault":{"server":"https://bao.secrets.svc.cluster.local:8200"},
                    "acme":{"server":"https://acme.example/directory"}},
            "status":{"conditions":[{"type":"Ready","status":"True"}]}}"#,
        );
        let [service] = &issuer.references[..] else {
            panic!("{:?}", issuer.references)
        };
        assert_eq!((&*service.kind, &*service.name), ("Service", "bao"));
        assert_eq!(service.namespace.as_deref(), Some("secrets"));
    }

    #[test]
    fn conditions_of_parents_and_references_are_read() {
        let route = report(
            r#"{"kind":"HTTPRoute","metadata":{"name":"web","namespace":"shop"},
            "spec":{"parentRefs":[{"name":"public","namespace":"edge"}],
                    "rules":[{"backendRefs":[{"name":"webb","port":80}]}]},
            "status":{"parents":[{"conditions":[{"type":"ResolvedRefs","status":"False",
                "reason":"BackendNotFound","message":"service webb not found"}]}]}}"#,
        );
        assert_eq!(&*route.conditions[0].kind, "ResolvedRefs");
        let names: Vec<&str> = route.references.iter().map(|r| &*r.name).collect();
        assert_eq!(names, ["public", "webb"]);
        assert_eq!(route.references[1].role, Role::Routes);
    }

    #[test]
    fn a_reference_to_a_service_has_its_namespace() {
        let api = report(
            r#"{"kind":"APIService","metadata":{"name":"v1.maps.example.com"},
            "spec":{"service":{"name":"atlas","namespace":"maps","port":443}}}"#,
        );
        assert_eq!(&*api.references[0].name, "atlas");
        let other = report(
            r#"{"kind":"Widget","metadata":{"name":"w","namespace":"maps"},
            "spec":{"service":{"name":"port-name","type":"ClusterIP"}},
            "status":{"conditions":[{"type":"Ready","status":"True"}]}}"#,
        );
        assert!(other.references.is_empty());
    }

    #[test]
    fn a_health_field_reads_as_a_condition() {
        let app = report(
            r#"{"kind":"Application","metadata":{"name":"web","namespace":"argocd"},
            "status":{"health":{"status":"Degraded"},"sync":{"status":"Synced"}}}"#,
        );
        let health = crate::model::object::condition(&app.conditions, "health").unwrap();
        assert!(health.is("Degraded"));
    }
}
