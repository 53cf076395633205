//! `kgrca incident watch`

use kgrca_core::storage::{IncidentRow, TransitionRow};
use serde::Serialize;

use super::{Env, cause, path, symptoms};
use crate::client::As;
use crate::error::{CliError, Result};
use crate::output::{Format, Output};

/// A state change with the incident as it is now.
#[derive(Serialize)]
struct Change {
    #[serde(flatten)]
    transition: TransitionRow,
    /// Absent when the incident no longer exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<IncidentRow>,
}

pub(super) fn run(env: &Env<'_>) -> Result {
    let client = env.client()?;
    client.follow("/api/v1/incidents/stream", |data| {
        let transition: TransitionRow = serde_json::from_str(data)
            .map_err(|e| CliError::failed("unexpected event in the incident stream").source(&e))?;
        let incident = client.get(As::Tenant, &path(&transition.incident_id), &[]);
        let change = Change {
            transition,
            incident: incident.ok(),
        };
        env.out.text(&(line(env.out, &change)? + "\n"))
    })
}

fn line(out: &Output, change: &Change) -> Result<String> {
    if out.format == Format::Json {
        return serde_json::to_string(change)
            .map_err(|e| CliError::failed("cannot print the change as JSON").source(&e));
    }
    let separator = if out.is_for_people() { "  " } else { "\t" };
    let transition = &change.transition.transition;
    let mut fields = vec![
        out.time(transition.at),
        change.transition.incident_id.clone(),
        transition.to.as_str().to_owned(),
    ];
    if let Some(incident) = &change.incident {
        fields.push(incident.severity.as_str().to_owned());
        fields.extend(cause(incident).map(str::to_owned));
    }
    fields.push(summary(change));
    Ok(fields.join(separator))
}

/// How many symptoms there are, who changed the state, and why.
fn summary(change: &Change) -> String {
    let transition = &change.transition.transition;
    let mut text = match &change.incident {
        Some(incident) => format!("{}, by {}", symptoms(incident), transition.by),
        None => format!("by {}", transition.by),
    };
    if let Some(note) = &transition.note {
        text += &format!(": {note}");
    }
    text.replace(['\t', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use kgrca_core::incident::{State, Transition};
    use kgrca_core::model::{Severity, Time};

    use super::*;
    use crate::output::Global;

    fn change() -> Change {
        let started_at = Time::parse("2026-01-01T10:00:00Z").unwrap();
        Change {
            transition: TransitionRow {
                id: 1,
                incident_id: "inc-3".to_owned(),
                transition: Transition {
                    at: started_at,
                    to: State::Acknowledged,
                    by: "ana".to_owned(),
                    note: Some("on it".to_owned()),
                },
            },
            incident: Some(IncidentRow {
                incident_id: "inc-3".to_owned(),
                key: 0,
                cluster: "prod".to_owned(),
                state: State::Acknowledged,
                severity: Severity::Error,
                started_at,
                ended_at: None,
                merged_into: None,
                symptoms: 2,
                active_symptoms: Some(2),
                component: Some("app/cart".to_owned()),
                namespace: Some("shop".to_owned()),
                fault_type: Some("service.selector_mismatch".to_owned()),
                confidence: Some(0.9),
            }),
        }
    }

    #[test]
    fn a_change_shows_severity_component_and_fault() {
        let out = Output::new(&Global::default());
        let line = line(&out, &change()).unwrap();
        assert!(
            line.ends_with(
                "inc-3\tacknowledged\tERROR\tapp/cart\tservice.selector_mismatch\t\
                 2 symptoms, by ana: on it"
            ),
            "{line}"
        );
    }

    #[test]
    fn a_change_of_an_incident_without_a_cause_says_so() {
        let mut change = change();
        let incident = change.incident.as_mut().unwrap();
        (incident.component, incident.symptoms) = (None, 1);
        let line = line(&Output::new(&Global::default()), &change).unwrap();
        assert!(
            line.ends_with("ERROR\t-\tno cause yet\t1 symptom, by ana: on it"),
            "{line}"
        );
    }
}
