//! JSON of other tools, as the records it stands for: lists that name the kind of their items once,
//! watch streams, answers of Prometheus, audit logs, and lines of `stern` and `journalctl`.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::text::{Text, non_empty};
use super::{Reason, Reject};

/// The fields that tell the tools apart.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Foreign<'a> {
    #[serde(borrow, rename = "type")]
    change: Option<Text<'a>>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow, rename = "apiVersion")]
    api_version: Option<Text<'a>>,
    #[serde(borrow, rename = "podName")]
    pod_name: Option<Text<'a>>,
    #[serde(borrow, rename = "containerName")]
    container_name: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow, rename = "MESSAGE")]
    journal_message: Option<Text<'a>>,
    #[serde(borrow, rename = "_HOSTNAME")]
    journal_host: Option<Text<'a>>,
    #[serde(borrow, rename = "__REALTIME_TIMESTAMP")]
    journal_micros: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data<'a> {
    #[serde(borrow)]
    alerts: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    groups: Option<Vec<Group<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Group<'a> {
    #[serde(borrow)]
    rules: Vec<Rule<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rule<'a> {
    #[serde(borrow)]
    alerts: Vec<&'a RawValue>,
}

/// The records that a value of a tool stands for, as JSON; `None` when it is of none of them.
///
/// # Errors
/// When it is known, and says nothing about a cluster.
pub(super) fn records(text: &str) -> Result<Option<Vec<String>>, Reject> {
    let Ok(value) = serde_json::from_str::<Foreign<'_>>(text) else {
        return Ok(None);
    };
    if let Some(changed) = value.watched()? {
        return Ok(Some(changed));
    }
    if let Some(alerts) = value.alerts() {
        return Ok(Some(alerts));
    }
    if value.is_audit() {
        return Ok(Some(audited(text).into_iter().collect()));
    }
    Ok(value.line().map(|line| vec![line]))
}

impl Foreign<'_> {
    /// The object of a line of `kubectl get --watch --output-watch-events`.
    fn watched(&self) -> Result<Option<Vec<String>>, Reject> {
        let Some((change, object)) = self.change.as_ref().zip(self.object) else {
            return Ok(None);
        };
        match &*change.0 {
            "ADDED" | "MODIFIED" => Ok(Some(vec![object.get().to_owned()])),
            "DELETED" => Ok(Some(deleted(object.get()).into_iter().collect())),
            "BOOKMARK" => Ok(Some(Vec::new())),
            "ERROR" => Err(Reject::new(
                Reason::UnknownShape,
                "the API server ended the watch with an error: start it again",
            )),
            _ => Ok(None),
        }
    }

    /// The firing alerts of an answer of Prometheus to `/api/v1/alerts` or `/api/v1/rules`.
    fn alerts(&self) -> Option<Vec<String>> {
        let data = self.data.as_ref().filter(|_| self.status.is_some())?;
        let of_rules = data.groups.iter().flatten().flat_map(|g| &g.rules);
        let of_rules = of_rules.flat_map(|rule| &rule.alerts);
        if data.alerts.is_none() && data.groups.is_none() {
            return None;
        }
        let all = data.alerts.iter().flatten().chain(of_rules);
        Some(all.filter_map(|alert| firing(alert.get())).collect())
    }

    fn is_audit(&self) -> bool {
        let version = non_empty(self.api_version.as_ref()).unwrap_or_default();
        non_empty(self.kind.as_ref()) == Some("Event") && version.starts_with("audit.k8s.io/")
    }

    /// A line of `stern -o json` or `journalctl -o json`.
    fn line(&self) -> Option<String> {
        if let Some(pod) = non_empty(self.pod_name.as_ref()) {
            let line = json!({
                "etype": "k8s.log",
                "pod": pod,
                "namespace": non_empty(self.namespace.as_ref()),
                "container": non_empty(self.container_name.as_ref()),
                "message": non_empty(self.message.as_ref())?,
            });
            return Some(line.to_string());
        }
        let host = non_empty(self.journal_host.as_ref())?;
        let micros = non_empty(self.journal_micros.as_ref()).and_then(|m| m.parse().ok());
        let line = json!({
            "etype": "k8s.log",
            "subject": { "kind": "Node", "name": host },
            "message": non_empty(self.journal_message.as_ref())?,
            "time": micros.map(|micros| crate::model::Time(micros).to_string()),
        });
        Some(line.to_string())
    }
}

fn deleted(object: &str) -> Option<String> {
    let object: Value = serde_json::from_str(object).ok()?;
    let meta = &object["metadata"];
    let deleted = json!({
        "op": "DELETE",
        "kind": object["kind"],
        "namespace": meta["namespace"],
        "name": meta["name"],
        "uid": meta["uid"],
    });
    Some(deleted.to_string())
}

/// An alert of Prometheus as Alertmanager has it.
fn firing(alert: &str) -> Option<String> {
    let alert: Value = serde_json::from_str(alert).ok()?;
    if alert["state"] != "firing" {
        return None;
    }
    let alert = json!({
        "status": "firing",
        "labels": alert["labels"],
        "annotations": alert["annotations"],
        "startsAt": alert["activeAt"],
    });
    Some(alert.to_string())
}

/// A request that the API server refused, as an event about its object, or about the namespace when
/// the object was not created. Requests that were served are no trouble.
fn audited(text: &str) -> Option<String> {
    let entry: Value = serde_json::from_str(text).ok()?;
    let (status, about) = (&entry["responseStatus"], &entry["objectRef"]);
    let code = status["code"].as_u64()?;
    let verb = entry["verb"].as_str().unwrap_or_default();
    // An update that conflicts is tried again: that is how controllers share an object.
    let is_refused =
        matches!(code, 403 | 413 | 422 | 429 | 500..=599) || code == 409 && verb == "create";
    let message = status["message"].as_str().filter(|_| is_refused)?;
    let subject = match about["name"].as_str() {
        Some(name) => json!({
            "kind": about["resource"],
            "namespace": about["namespace"],
            "name": name,
        }),
        None => json!({ "kind": "Namespace", "name": about["namespace"].as_str()? }),
    };
    let reason = if verb == "create" {
        "FailedCreate"
    } else {
        "FailedUpdate"
    };
    let event = json!({
        "etype": "k8s.event",
        "subject": subject,
        "severity": "Warning",
        "reason": reason,
        "message": message,
        "event_time": entry["requestReceivedTimestamp"],
    });
    Some(event.to_string())
}

/// The items of a list such as `PodList`, each with the kind that only the list names.
pub(super) fn with_kind<'a>(
    item: &'a str,
    list: &str,
    api_version: &str,
) -> std::borrow::Cow<'a, str> {
    #[derive(Deserialize)]
    struct Own<'a> {
        #[serde(borrow)]
        kind: Option<Text<'a>>,
        #[serde(borrow, rename = "apiVersion")]
        api_version: Option<Text<'a>>,
    }
    let kind = list.strip_suffix("List").filter(|kind| !kind.is_empty());
    let own = serde_json::from_str::<Own<'_>>(item);
    let own = own.ok().filter(|own| own.kind.is_none());
    match (kind, item.strip_prefix('{'), own) {
        (Some(kind), Some(rest), Some(own)) => {
            let between = if rest.trim_start().starts_with('}') {
                ""
            } else {
                ","
            };
            let kind = Value::from(kind);
            let api_version = match own.api_version {
                Some(_) => String::new(),
                None => format!(",\"apiVersion\":{}", Value::from(api_version)),
            };
            format!("{{\"kind\":{kind}{api_version}{between}{rest}").into()
        }
        _ => item.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Value {
        let all = records(text).unwrap().unwrap();
        assert_eq!(all.len(), 1, "{text}");
        serde_json::from_str(&all[0]).unwrap()
    }

    #[test]
    fn the_kind_of_a_list_is_that_of_its_items() {
        let item = with_kind(r#"{"metadata":{"name":"a"}}"#, "PodList", "v1");
        assert_eq!(
            item,
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}"#
        );
        assert_eq!(
            with_kind("{}", "PodList", "v1"),
            r#"{"kind":"Pod","apiVersion":"v1"}"#
        );
        let versioned = with_kind(r#"{"apiVersion":"v2"}"#, "PodList", "v1");
        assert_eq!(versioned, r#"{"kind":"Pod","apiVersion":"v2"}"#);
        for own in [r#"{"kind":"Job"}"#, "[]", "3"] {
            assert_eq!(with_kind(own, "PodList", "v1"), own);
        }
        assert_eq!(with_kind("{}", "List", "v1"), "{}");
    }

    #[test]
    fn watched_objects_are_objects_and_deletions_end_them() {
        let pod = one(r#"{"type":"MODIFIED","object":{"kind":"Pod","metadata":{"name":"a"}}}"#);
        assert_eq!(pod["metadata"]["name"], "a");
        let end = one(r#"{"type":"DELETED","object":{"kind":"Pod","metadata":{"name":"a"}}}"#);
        assert_eq!((&end["op"], &end["name"]), (&"DELETE".into(), &"a".into()));
        assert!(records(r#"{"type":"ERROR","object":{"kind":"Status"}}"#).is_err());
        let event = r#"{"type":"Warning","reason":"Failed","involvedObject":{"name":"a"}}"#;
        assert_eq!(records(event).unwrap(), None);
    }

    #[test]
    fn only_firing_alerts_and_refused_requests_are_records() {
        let answer = r#"{"status":"success","data":{"alerts":[
            {"labels":{"alertname":"A"},"state":"firing","activeAt":"2026-11-29T09:05:00Z"},
            {"labels":{"alertname":"B"},"state":"pending"}]}}"#;
        assert_eq!(one(answer)["labels"]["alertname"], "A");
        let audit = |code: u16| {
            format!(
                r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"create",
                    "objectRef":{{"resource":"pods","namespace":"shop"}},
                    "responseStatus":{{"code":{code},"message":"exceeded quota"}}}}"#
            )
        };
        let refused = one(&audit(403));
        assert_eq!(refused["subject"]["kind"], "Namespace");
        assert_eq!(refused["message"], "exceeded quota");
        assert_eq!(records(&audit(201)).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn lines_of_stern_and_journals_say_whose_they_are() {
        let stern =
            one(r#"{"message":"ERROR x","podName":"a-1","namespace":"shop","containerName":"a"}"#);
        assert_eq!(
            (&stern["pod"], &stern["namespace"]),
            (&"a-1".into(), &"shop".into())
        );
        let journal =
            one(r#"{"__REALTIME_TIMESTAMP":"1764406860000000","_HOSTNAME":"n1","MESSAGE":"E x"}"#);
        assert_eq!(journal["subject"]["name"], "n1");
        assert_eq!(journal["time"], "2025-11-29T09:01:00Z");
    }
}
