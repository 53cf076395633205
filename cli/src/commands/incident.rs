//! `kgrca incident`

use std::time::{Duration, Instant};

use kgrca_core::api::{Feedback, Handled, IncidentChange, Named, Page, Told};
use kgrca_core::incident::State;
use kgrca_core::model::Time;
use kgrca_core::storage::{IncidentRow, TransitionRow};
use reqwest::Method;

use super::Env;
use crate::client::As;
use crate::error::{CliError, Result};
use crate::output::{Format, Table};

/// How long a change may take until it counts as late.
const TAKES_EFFECT: Duration = Duration::from_secs(5);

/// Lists, follows and handles incidents.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List incidents, newest first
    List(ListArgs),
    /// Show an incident with its changes
    Show {
        /// Incident, such as inc-12
        #[arg(add = crate::complete::incidents())]
        id: String,
    },
    /// Follow changes of all incidents
    Watch,
    /// Wait until an incident is over
    Wait {
        /// Incident, such as inc-12
        #[arg(add = crate::complete::incidents())]
        id: String,
        /// Give up after this many seconds
        #[arg(long, default_value_t = 600)]
        timeout: u64,
    },
    /// Say that somebody looks
    Ack(ActArgs),
    /// Say that it is over
    Resolve(ActArgs),
    /// Say what it really was
    #[command(group(clap::ArgGroup::new("what").required(true).args(["cause", "component"])))]
    Feedback {
        /// Incident, such as inc-12
        #[arg(add = crate::complete::incidents())]
        id: String,
        /// Which of the causes that were named it was, from 1
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        cause: Option<u32>,
        /// The component at fault, such as app/cart
        #[arg(long)]
        component: Option<String>,
        /// The fault type, beside a component
        #[arg(long, requires = "component")]
        fault: Option<String>,
        /// Remark
        #[arg(long)]
        note: Option<String>,
    },
}

/// Which incidents.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// open, acknowledged, resolved or reopened
    #[arg(long)]
    state: Option<String>,
    /// At least this severity
    #[arg(long)]
    severity: Option<String>,
    /// Component of the first cause
    #[arg(long)]
    component: Option<String>,
    /// Namespace of the first cause
    #[arg(short, long)]
    namespace: Option<String>,
    /// Cluster
    #[arg(long)]
    cluster: Option<String>,
    /// Most rows
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

/// Which incident.
#[derive(Debug, clap::Args)]
pub(super) struct ActArgs {
    /// Incident, such as inc-12
    #[arg(add = crate::complete::incidents())]
    id: String,
    /// Remark
    #[arg(long)]
    note: Option<String>,
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::List(args) => list(env, args),
        Verb::Show { id } => show(env, &id),
        Verb::Watch => watch(env),
        Verb::Wait { id, timeout } => wait(env, &id, timeout),
        Verb::Ack(args) => change(env, &args, Handled::Acknowledged),
        Verb::Resolve(args) => change(env, &args, Handled::Resolved),
        Verb::Feedback {
            id,
            cause,
            component,
            fault,
            note,
        } => {
            let body = match (cause, component) {
                (Some(cause), _) => Feedback::Named(Named { cause, note }),
                // The parser asks for one of them.
                (None, component) => Feedback::Told(Told {
                    component: component.unwrap_or_default(),
                    fault_type: fault,
                    note,
                }),
            };
            let _: serde_json::Value = env.client()?.send(
                Method::POST,
                As::Tenant,
                &format!("/api/v1/incidents/{id}/feedback"),
                &body,
            )?;
            env.out.message(&format!("feedback for {id} is recorded"));
            Ok(())
        }
    }
}

fn list(env: &Env<'_>, args: ListArgs) -> Result {
    let fields = [
        ("state", args.state.map(|s| s.to_lowercase())),
        ("severity", args.severity.map(|s| s.to_uppercase())),
        ("component", args.component),
        ("namespace", args.namespace),
        ("cluster", args.cluster),
    ];
    let mut query: Vec<(&str, String)> = fields
        .into_iter()
        .filter_map(|(k, v)| Some((k, v?)))
        .collect();
    query.push(("limit", args.limit.to_string()));
    let page: Page<IncidentRow> = env.client()?.get(As::Tenant, "/api/v1/incidents", &query)?;
    let now = Time(jiff::Timestamp::now().as_microsecond());
    let cells = |i: &IncidentRow| {
        let confidence = i.confidence.map_or(String::new(), |c| env.out.share(c));
        [
            i.incident_id.clone(),
            i.state.as_str().into(),
            i.severity.as_str().into(),
            i.cluster.clone(),
            env.out.age(now, i.started_at),
            i.component.clone().unwrap_or_default(),
            i.fault_type.clone().unwrap_or_default(),
            confidence,
        ]
    };
    env.out.value(&page, || {
        Table::new(&[
            "ID",
            "STATE",
            "SEVERITY",
            "CLUSTER",
            "STARTED",
            "COMPONENT",
            "FAULT",
            "CONFIDENCE",
        ])
        .rows(&page.items, cells)
    })
}

fn show(env: &Env<'_>, id: &str) -> Result {
    let client = env.client()?;
    let row: IncidentRow = client.get(As::Tenant, &format!("/api/v1/incidents/{id}"), &[])?;
    if env.out.format == Format::Name {
        return env.out.text(&format!("{}\n", row.incident_id));
    }
    let changes: Page<TransitionRow> =
        client.get(As::Tenant, &format!("/api/v1/incidents/{id}/timeline"), &[])?;
    let both = serde_json::json!({"incident": row, "timeline": changes.items});
    let cells = |t: &TransitionRow| {
        [
            t.transition.at.to_string(),
            t.transition.to.as_str().into(),
            t.transition.by.clone(),
            t.transition.note.clone().unwrap_or_default(),
        ]
    };
    if env.out.format == Format::Table && env.out.terminal {
        let cause = row.component.as_ref().map_or("no cause yet".into(), |c| {
            format!("{c} {}", row.fault_type.as_deref().unwrap_or(""))
        });
        env.out.text(&format!(
            "{}  {}  {}  {} symptoms\n{cause}\n\n",
            row.incident_id,
            row.state.as_str(),
            row.severity.as_str(),
            row.symptoms
        ))?;
    }
    env.out.value(&both, || {
        Table::new(&["AT", "STATE", "BY", "NOTE"]).rows(&changes.items, cells)
    })
}

fn watch(env: &Env<'_>) -> Result {
    let json = env.out.format == Format::Json;
    env.client()?.follow("/api/v1/incidents/stream", |data| {
        let row: TransitionRow = serde_json::from_str(data)
            .map_err(|e| CliError::failed("the feed cannot be read").cause(e))?;
        let line = if json {
            data.to_owned()
        } else {
            format!(
                "{}\t{}\t{}\t{}",
                row.transition.at,
                row.incident_id,
                row.transition.to.as_str(),
                row.transition.by
            )
        };
        env.out.text(&(line + "\n"))?;
        Ok(true)
    })
}

fn wait(env: &Env<'_>, id: &str, timeout: u64) -> Result {
    let client = env.client()?;
    let deadline = Instant::now() + Duration::from_secs(timeout);
    loop {
        let row: IncidentRow = client.get(As::Tenant, &format!("/api/v1/incidents/{id}"), &[])?;
        if row.state == State::Resolved {
            return env.out.value(&row, || {
                Table::new(&["ID", "STATE"])
                    .row([row.incident_id.clone(), row.state.as_str().into()])
            });
        }
        if Instant::now() > deadline {
            return Err(CliError::new(
                crate::error::exit::UNREACHABLE,
                format!("{id} is still {} after {timeout} s", row.state.as_str()),
            ));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn change(env: &Env<'_>, args: &ActArgs, state: Handled) -> Result {
    let client = env.client()?;
    let body = IncidentChange {
        state,
        note: args.note.clone(),
    };
    let path = format!("/api/v1/incidents/{}", args.id);
    let _: IncidentRow = client.send(Method::PATCH, As::Tenant, &path, &body)?;
    let (wanted, word) = match state {
        Handled::Resolved => (State::Resolved, "resolved"),
        Handled::Acknowledged => (State::Acknowledged, "acknowledged"),
    };
    // The act is a record like any other: it counts when the engine has read it.
    let deadline = Instant::now() + TAKES_EFFECT;
    loop {
        // Who may act may not be allowed to look; the act is recorded either way.
        let state = client
            .get::<IncidentRow>(As::Tenant, &path, &[])
            .map(|row| row.state);
        if state.as_ref().is_ok_and(|s| *s == wanted) {
            break;
        }
        if state.is_err() || Instant::now() > deadline {
            env.out.message(&format!(
                "{} will be {word} when the records before that are read: `kgrca stats` shows the lag",
                args.id
            ));
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    env.out.message(&format!("{} is {word}", args.id));
    Ok(())
}
