//! The control stream: ticks, and what people do to incidents. Only the daemon writes it.

use serde::{Deserialize, Serialize};

use super::{Context, Reason, Reject, cluster};
use crate::model::record::{Act, ActKind};
use crate::model::{Body, Record, Time};

#[derive(Debug, Serialize, Deserialize)]
struct Wire {
    at: Time,
    cluster: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    incident: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    component: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault_type: Option<String>,
}

pub(super) fn parse(
    text: &str,
    context: &Context<'_>,
    out: &mut Vec<Record>,
) -> Result<(), Reject> {
    let wire: Wire = serde_json::from_str(text).map_err(|e| Reject::json(&e))?;
    let bad = |what: &str| {
        Reject::new(
            Reason::UnknownShape,
            format!("control record `{}`: {what}", wire.kind),
        )
    };
    let body = if wire.kind == "tick" {
        Body::Tick
    } else {
        let kind = match wire.kind.as_str() {
            "acknowledge" => ActKind::Acknowledge,
            "resolve" => ActKind::Resolve,
            "feedback" => ActKind::Feedback {
                component: wire
                    .component
                    .as_deref()
                    .ok_or_else(|| bad("needs `component`"))?
                    .into(),
                fault_type: wire.fault_type.as_deref().map(Into::into),
            },
            _ => return Err(bad("unknown type")),
        };
        let incident = wire.incident.ok_or_else(|| bad("needs `incident`"))?;
        Body::Act(Box::new(Act {
            incident,
            kind,
            by: wire.by.as_deref().unwrap_or("").into(),
            note: wire.note.as_deref().map(Into::into),
        }))
    };
    out.push(Record {
        cluster: cluster(wire.cluster.as_deref(), context)?,
        at: wire.at,
        sequence: None,
        body,
    });
    Ok(())
}

/// Encodes a tick or an act as a control record; `None` for other records.
pub fn encode(record: &Record) -> Option<Vec<u8>> {
    let mut wire = Wire {
        at: record.at,
        cluster: Some(record.cluster.to_string()),
        kind: "tick".into(),
        incident: None,
        by: None,
        note: None,
        component: None,
        fault_type: None,
    };
    match &record.body {
        Body::Tick => {}
        Body::Act(act) => {
            wire.incident = Some(act.incident);
            wire.by = Some(act.by.to_string());
            wire.note = act.note.as_deref().map(Into::into);
            wire.kind = match &act.kind {
                ActKind::Acknowledge => "acknowledge",
                ActKind::Resolve => "resolve",
                ActKind::Feedback {
                    component,
                    fault_type,
                } => {
                    wire.component = Some(component.to_string());
                    wire.fault_type = fault_type.as_deref().map(Into::into);
                    "feedback"
                }
            }
            .into();
        }
        _ => return None,
    }
    serde_json::to_vec(&wire).ok()
}
