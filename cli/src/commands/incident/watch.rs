//! `kgrca incident watch`

use std::time::{Duration, Instant};

use kgrca_core::api::Page;
use kgrca_core::incident::State;
use kgrca_core::storage::{IncidentRow, TransitionRow};
use serde::Serialize;

use super::{Env, cause, path, symptoms};
use crate::client::{As, Client};
use crate::error::{CliError, Kind, Result};
use crate::output::{Format, Output, escape};

const STREAM: &str = "/api/v1/incidents/stream";
const RECONNECT_EVERY: Duration = Duration::from_secs(1);
/// For how long a lost stream is opened again.
const PATIENCE: Duration = Duration::from_mins(15);

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
    if env.out.is_for_people() {
        print_open(env, &client)?;
    }
    let mut last_id = None;
    let mut reconnects = Reconnects::default();
    loop {
        let followed = client.follow(STREAM, &mut last_id, |data| {
            reconnects.reset();
            show(env, &client, data)
        });
        match followed {
            // A server that shuts down ends the stream; a restart cuts it.
            Ok(()) => reconnects.wait(env, "the server closed the stream")?,
            Err(e) if e.is_connection_lost() => reconnects.wait(env, &e.message)?,
            Err(e) => return Err(e),
        }
    }
}

fn show(env: &Env<'_>, client: &Client, data: &str) -> Result {
    let transition: TransitionRow = serde_json::from_str(data)
        .map_err(|e| CliError::failed("unexpected event in the incident stream").json(&e))?;
    let incident = client.get(As::Tenant, &path(&transition.incident_id), &[]);
    let change = Change {
        transition,
        incident: incident.ok(),
    };
    print(env.out, &change)
}

/// The incidents that are not resolved, before their changes.
fn print_open(env: &Env<'_>, client: &Client) -> Result {
    let page: Page<IncidentRow> = client.get(As::Tenant, "/api/v1/incidents", &[])?;
    let is_open = |i: &&IncidentRow| i.state != State::Resolved;
    for i in page.items.iter().filter(is_open).rev() {
        let [component, fault] = cause(i);
        let (state, severity) = (i.state.as_str(), i.severity.as_str());
        let fields = [
            &env.out.time(i.started_at),
            i.incident_id.as_str(),
            state,
            severity,
            component,
            fault,
            &symptoms(i),
        ];
        env.out
            .text(&(fields.map(escape::line).join("  ") + "\n"))?;
    }
    env.out
        .message("watching for state changes; stop with Ctrl-C");
    Ok(())
}

/// Waits before a stream is opened again.
#[derive(Default)]
struct Reconnects {
    since: Option<Instant>,
}

impl Reconnects {
    fn reset(&mut self) {
        self.since = None;
    }

    fn wait(&mut self, env: &Env<'_>, reason: &str) -> Result {
        let is_first = self.since.is_none();
        let since = self.since.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            let message = format!(
                "{reason}; gave up after {} minutes",
                PATIENCE.as_secs() / 60
            );
            return Err(CliError::new(Kind::Unreachable, message).hint("kgrca doctor"));
        }
        if is_first {
            env.out.message(&format!("{reason}; reconnecting"));
        }
        std::thread::sleep(RECONNECT_EVERY);
        Ok(())
    }
}

fn print(out: &Output, change: &Change) -> Result {
    if out.format == Format::Json {
        return out.json_line(change);
    }
    out.text(&(line(out, change) + "\n"))
}

fn line(out: &Output, change: &Change) -> String {
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
    let fields: Vec<_> = fields.iter().map(|f| escape::line(f)).collect();
    fields.join(separator)
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
    text
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
                cause: None,
                acknowledged_by: None,
            }),
        }
    }

    #[test]
    fn a_change_shows_severity_component_and_fault() {
        let out = Output::new(&Global::default());
        let line = line(&out, &change());
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
        let line = line(&Output::new(&Global::default()), &change);
        assert!(
            line.ends_with("ERROR\t-\tno cause yet\t1 symptom, by ana: on it"),
            "{line}"
        );
    }
}
