//! What tools send when they deploy: GitHub, GitLab, Jenkins, Flux, and releases as Helm lists
//! them.

use serde_json::Value;

use super::{Report, short, time};
use crate::model::{Kind, ReportedChange, Str, Subject, Time};

/// A change and when it was made, if the tool says so.
type Dated = (Option<Time>, ReportedChange);

/// Reads a body of a tool; `None` when it is of another one.
type Form = fn(&Value) -> Option<Report<Dated>>;

/// The forms, each with words that its bodies have: few other records have all of them, and are
/// then looked at again.
const FORMS: [(&[&str], Form); 5] = [
    (&["\"deployment\"", "\"repository\""], github),
    (&["\"object_kind\"", "\"deployment\""], gitlab),
    (&["\"build\"", "\"phase\""], jenkins),
    (&["toolkit.fluxcd.io", "\"involvedObject\""], flux),
    (&["\"app_version\"", "\"chart\"", "\"updated\""], helm),
];

/// What a tool reports.
pub(super) fn report(text: &str) -> Report<Dated> {
    let mut forms = FORMS
        .iter()
        .filter(|(words, _)| words.iter().all(|word| text.contains(word)))
        .peekable();
    if forms.peek().is_none() {
        return Report::Other;
    }
    let value = serde_json::from_str::<Value>(text).ok();
    value
        .and_then(|value| forms.find_map(|(_, form)| form(&value)))
        .unwrap_or(Report::Other)
}

/// The text at a path of names, unless it is empty.
fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn number(value: &Value, path: &str) -> Option<String> {
    match value.pointer(path)? {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

fn words(text: Option<&str>) -> Option<Str> {
    text.map(short)
}

/// A deployment by a tool that knows no Kubernetes object.
fn deploy(source: &str, message: &str) -> ReportedChange {
    ReportedChange {
        id: None,
        reason: "deploy".into(),
        message: short(message),
        subject: None,
        by: None,
        source: Some(source.into()),
        revision: None,
    }
}

/// Webhooks `deployment_status` of GitHub. The state before a deployment begins changes nothing.
fn github(body: &Value) -> Option<Report<Dated>> {
    let deployment = body.get("deployment")?;
    let repository = text(body, "/repository/full_name")?;
    text(deployment, "/environment")?;
    let state = text(body, "/deployment_status/state").unwrap_or("queued");
    if !matches!(state, "in_progress" | "success" | "failure" | "error") {
        return Some(Report::NotYet);
    }
    let environment = text(deployment, "/environment").unwrap_or_default();
    let reference = text(deployment, "/ref").unwrap_or_default();
    let message = format!("{repository} {reference} to {environment}: {state}");
    let at = text(body, "/deployment_status/created_at").or(text(deployment, "/created_at"));
    let id = number(body, "/deployment_status/id");
    let change = ReportedChange {
        id: id.map(|id| format!("github-{id}").into()),
        by: words(text(deployment, "/creator/login")),
        revision: words(text(deployment, "/sha")),
        ..deploy("GitHub", &message)
    };
    Some(Report::Change((at.and_then(time), change)))
}

/// Deployment events of GitLab.
fn gitlab(body: &Value) -> Option<Report<Dated>> {
    if text(body, "/object_kind") != Some("deployment") {
        return None;
    }
    let status = text(body, "/status")?;
    if !matches!(status, "running" | "success" | "failed") {
        return Some(Report::NotYet);
    }
    let project = text(body, "/project/path_with_namespace").unwrap_or_default();
    let reference = text(body, "/ref").unwrap_or_default();
    let environment = text(body, "/environment").unwrap_or_default();
    let message = format!("{project} {reference} to {environment}: {status}");
    let id = number(body, "/deployment_id");
    let change = ReportedChange {
        id: id.map(|id| format!("gitlab-{id}-{status}").into()),
        by: words(text(body, "/user/username")),
        revision: words(text(body, "/short_sha")),
        ..deploy("GitLab", &message)
    };
    Some(Report::Change((
        text(body, "/status_changed_at").and_then(time),
        change,
    )))
}

/// The notification plug-in of Jenkins. Only what ended is a change: a build that begins has not
/// deployed yet.
fn jenkins(body: &Value) -> Option<Report<Dated>> {
    let phase = text(body, "/build/phase")?;
    let job = text(body, "/name")?;
    let build = number(body, "/build/number")?;
    let Some(status) = text(body, "/build/status").filter(|_| phase == "FINALIZED") else {
        return Some(Report::NotYet);
    };
    let millis = body.pointer("/build/timestamp").and_then(Value::as_i64);
    let change = ReportedChange {
        id: Some(short(&format!("jenkins-{job}-{build}"))),
        revision: words(text(body, "/build/scm/commit")),
        ..deploy("Jenkins", &format!("{job} #{build}: {status}"))
    };
    let at = millis.and_then(|millis| millis.checked_mul(1000));
    Some(Report::Change((at.map(Time), change)))
}

/// Events of Flux's notification controller (provider `generic`) with a new revision. Its errors
/// stay events.
fn flux(body: &Value) -> Option<Report<Dated>> {
    let metadata = body.get("metadata")?.as_object()?;
    let revision = metadata
        .iter()
        .find(|(name, _)| name.ends_with("revision") && name.contains("toolkit.fluxcd.io"))
        .and_then(|(_, revision)| revision.as_str())?;
    if text(body, "/severity") != Some("info") {
        return None;
    }
    let (kind, name) = (
        text(body, "/involvedObject/kind")?,
        text(body, "/involvedObject/name")?,
    );
    let reason = text(body, "/reason").unwrap_or_default();
    let done = [
        "ReconciliationSucceeded",
        "InstallSucceeded",
        "UpgradeSucceeded",
    ];
    if !done.contains(&reason) && !reason.starts_with("Rollback") {
        return Some(Report::NotYet);
    }
    let message = text(body, "/message").unwrap_or(reason);
    let change = ReportedChange {
        subject: Some(Subject {
            kind: Kind::of_group(kind, text(body, "/involvedObject/apiVersion")),
            uid: text(body, "/involvedObject/uid").map(Str::from),
            namespace: text(body, "/involvedObject/namespace")
                .unwrap_or_default()
                .into(),
            name: name.into(),
        }),
        revision: Some(short(revision)),
        ..deploy("Flux", message)
    };
    Some(Report::Change((
        text(body, "/timestamp").and_then(time),
        change,
    )))
}

/// An item of `helm list --output json`.
fn helm(body: &Value) -> Option<Report<Dated>> {
    let (name, namespace) = (text(body, "/name")?, text(body, "/namespace")?);
    let (chart, status) = (text(body, "/chart")?, text(body, "/status")?);
    let revision = number(body, "/revision")?;
    let at = text(body, "/updated").and_then(time)?;
    if status.starts_with("pending") {
        return Some(Report::NotYet);
    }
    let message =
        format!("release {namespace}/{name}, chart {chart}, revision {revision}: {status}");
    let change = ReportedChange {
        id: Some(short(&format!("helm-{namespace}-{name}-{revision}"))),
        revision: Some(short(&revision)),
        ..deploy("Helm", &message)
    };
    Some(Report::Change((Some(at), change)))
}
