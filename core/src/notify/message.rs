//! What receivers read.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Receiver;
use crate::incident::State;
use crate::model::{Severity, Time};

/// Longest text of a field, in characters: receivers have limits of their own.
const MAX_TEXT: usize = 2000;
/// Longest title, in characters.
const MAX_TITLE: usize = 250;

/// What is known of a change of an incident when it is planned. It is stored, and says the same
/// however often it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The incident, `inc-…`.
    pub incident_id: String,
    /// The state that it changed to.
    pub state: State,
    /// When it changed.
    pub at: Time,
    /// Who changed it; `engine` for automatic changes.
    pub by: String,
    /// What they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The highest severity of its symptoms.
    pub severity: Severity,
    /// When its first symptom began.
    pub started_at: Time,
    /// Name of the cluster.
    pub cluster: String,
    /// Namespace of the component that is blamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The component that is blamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Its fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_type: Option<String>,
    /// How sure that is, between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// The cause in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// How many pieces of evidence it has.
    #[serde(default)]
    pub evidence: usize,
    /// What was changed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// The command that fixes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Where people read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Notice {
    /// One line: the incident, its state and its cause.
    pub fn title(&self) -> String {
        let head = format!(
            "[{}] {} {}",
            self.severity.as_str(),
            self.incident_id,
            self.state.as_str()
        );
        let cause = self.cause.as_deref().unwrap_or("no cause found yet");
        let sure = self.confidence.filter(|_| self.cause.is_some());
        let sure = sure.map(|share| format!(" ({:.0} %)", share * 100.0));
        short(
            &format!("{head}: {cause}{}", sure.unwrap_or_default()),
            MAX_TITLE,
        )
    }

    /// The lines below the title.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let place = match (&self.namespace, &self.component) {
            (Some(namespace), Some(component)) => format!("{namespace} {component}"),
            (None, Some(component)) => component.clone(),
            (_, None) => "unknown".to_owned(),
        };
        let by = match self.by.as_str() {
            "engine" => None,
            by => Some(by.to_owned()),
        };
        let fields = [
            ("Component", Some(place)),
            ("Cluster", Some(self.cluster.clone())),
            ("Fault", self.fault_type.clone()),
            (
                "Evidence",
                Some(self.evidence.to_string()).filter(|n| n != "0"),
            ),
            ("Changed before", self.change.clone()),
            ("Fix", self.fix.clone()),
            ("Started", Some(self.started_at.to_seconds().to_string())),
            ("By", by),
            ("Note", self.note.clone()),
            ("Details", Some(self.details())),
        ];
        fields
            .into_iter()
            .filter_map(|(name, text)| Some((name, short(&text?, MAX_TEXT))))
            .collect()
    }

    fn details(&self) -> String {
        match &self.url {
            Some(url) => url.clone(),
            None => format!("kgrca rca {}", self.incident_id),
        }
    }
}

fn short(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let cut: String = text.chars().take(max - 1).collect();
    cut + "…"
}

/// What a receiver is sent. `tenant` makes names of incidents unique where several tenants share an
/// account.
pub fn body(receiver: &Receiver, notice: &Notice, tenant: &str) -> Value {
    if receiver.slack.is_some() {
        slack(notice)
    } else if receiver.teams.is_some() {
        teams(notice)
    } else if receiver.alertmanager.is_some() {
        alertmanager(notice, tenant)
    } else if let Some(pagerduty) = &receiver.pagerduty {
        let mut body = pagerduty_event(notice, tenant);
        body["routing_key"] = pagerduty.routing_key.reveal().into();
        body
    } else {
        webhook(notice)
    }
}

/// The payload of the Standard Webhooks specification: type, timestamp, data.
fn webhook(notice: &Notice) -> Value {
    json!({
        "type": format!("incident.{}", notice.state.as_str()),
        "timestamp": notice.at.to_string(),
        "data": {"title": notice.title(), "incident": notice},
    })
}

/// Slack shows `&`, `<` and `>` as markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn slack(notice: &Notice) -> Value {
    let title = escaped(&notice.title());
    let lines = notice.lines();
    let line = |(name, text): &(&str, String)| match *name {
        "Fix" => format!("*{name}*\n```{}```", escaped(text).replace("```", "'''")),
        _ => format!("*{name}* {}", escaped(text)),
    };
    let text: Vec<String> = lines.iter().map(line).collect();
    let section = |text: String| json!({"type": "section", "text": {"type": "mrkdwn", "text": short(&text, 3000)}});
    json!({
        "text": title,
        "blocks": [section(format!("*{title}*")), section(text.join("\n"))],
    })
}

fn teams(notice: &Notice) -> Value {
    let facts: Vec<Value> = notice
        .lines()
        .into_iter()
        .map(|(name, text)| json!({"title": name, "value": text}))
        .collect();
    let title = json!({"type": "TextBlock", "text": notice.title(), "weight": "Bolder",
        "wrap": true});
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard", "version": "1.4",
        "body": [title, {"type": "FactSet", "facts": facts}],
    });
    json!({
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null, "content": card}],
    })
}

/// The labels identify an alert, and stay the same while it fires: what may change is in the
/// annotations.
fn alertmanager(notice: &Notice, tenant: &str) -> Value {
    let mut annotations = json!({"summary": notice.title(),
        "severity": notice.severity.as_str()});
    for (name, text) in notice.lines() {
        annotations[name.to_lowercase().replace(' ', "_")] = text.into();
    }
    let mut alert = json!({
        "labels": {"alertname": "KgrcaIncident", "incident": notice.incident_id,
            "tenant": tenant, "cluster": notice.cluster},
        "annotations": annotations,
        "startsAt": notice.started_at.to_string(),
    });
    if notice.state == State::Resolved {
        alert["endsAt"] = notice.at.to_string().into();
    }
    json!([alert])
}

fn pagerduty_event(notice: &Notice, tenant: &str) -> Value {
    let action = match notice.state {
        State::Open | State::Reopened => "trigger",
        State::Acknowledged => "acknowledge",
        State::Resolved => "resolve",
    };
    let severity = match notice.severity {
        Severity::Fatal | Severity::Critical => "critical",
        Severity::Error => "error",
        Severity::Warning => "warning",
        _ => "info",
    };
    let details: serde_json::Map<String, Value> = notice
        .lines()
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    json!({
        "event_action": action,
        "dedup_key": format!("kgrca/{tenant}/{}", notice.incident_id),
        "payload": {"summary": notice.title(), "source": notice.cluster, "severity": severity,
            "timestamp": notice.at.to_string(), "component": notice.component,
            "group": notice.namespace, "class": notice.fault_type, "custom_details": details},
    })
}

#[cfg(test)]
mod tests;
