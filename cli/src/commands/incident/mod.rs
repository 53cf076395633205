//! `kgrca incident`

mod change;
mod deliveries;
mod watch;

use std::time::{Duration, Instant};

use kgrca_core::api::{Feedback, Handled, ListedCause, Page, ReportedCause};
use kgrca_core::incident::State;
use kgrca_core::storage::{IncidentRow, TransitionRow};
use reqwest::Method;

use super::Env;
use crate::client::As;
use crate::error::{CliError, Kind, Result};
use crate::output::{Format, Table, now};

/// List, watch and handle incidents
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List incidents, newest first
    List(ListArgs),
    /// Show an incident with its state changes
    Show {
        /// Incident ID, e.g. inc-12
        #[arg(add = crate::complete::incidents())]
        id: String,
    },
    /// Print every state change of every incident as it happens
    Watch,
    /// Wait until an incident is resolved
    Wait {
        /// Incident ID, e.g. inc-12
        #[arg(add = crate::complete::incidents())]
        id: String,
        /// Give up after this many seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 600)]
        timeout: u64,
    },
    /// Acknowledge an incident
    Ack(change::Args),
    /// Resolve an incident
    Resolve(change::Args),
    Deliveries(deliveries::Args),
    /// Record the actual root cause
    Feedback(FeedbackArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only incidents in this state
    #[arg(long, ignore_case = true,
        value_parser = ["open", "acknowledged", "resolved", "reopened"])]
    state: Option<String>,
    /// Minimum severity
    #[arg(long, ignore_case = true,
        value_parser = ["debug", "info", "warning", "error", "critical", "fatal"])]
    severity: Option<String>,
    /// Component of the top cause
    #[arg(long)]
    component: Option<String>,
    /// Namespace of the top cause
    #[arg(short, long)]
    namespace: Option<String>,
    /// Cluster
    #[arg(long)]
    cluster: Option<String>,
    /// Maximum number of rows
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["cause", "component"])))]
pub(super) struct FeedbackArgs {
    /// Incident ID, e.g. inc-12
    #[arg(add = crate::complete::incidents())]
    id: String,
    /// Rank of the reported cause that was correct (1 = first)
    #[arg(long, value_name = "RANK", value_parser = clap::value_parser!(u32).range(1..))]
    cause: Option<u32>,
    /// Component at fault, e.g. app/cart
    #[arg(long)]
    component: Option<String>,
    /// Fault type of the component, e.g. `config.secret_missing`
    #[arg(long, requires = "component", conflicts_with = "cause", add = crate::complete::faults())]
    fault: Option<String>,
    /// Note to record with the feedback
    #[arg(long)]
    note: Option<String>,
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::List(args) => list(env, args),
        Verb::Show { id } => show(env, &id),
        Verb::Watch => watch::run(env),
        Verb::Wait { id, timeout } => wait(env, &id, timeout),
        Verb::Ack(args) => change::run(env, args, Handled::Acknowledged),
        Verb::Resolve(args) => change::run(env, args, Handled::Resolved),
        Verb::Deliveries(args) => deliveries::run(env, &args),
        Verb::Feedback(args) => feedback(env, args),
    }
}

/// The route of an incident.
fn path(id: &str) -> String {
    format!("/api/v1/incidents/{id}")
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
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    query.push(("limit", args.limit.to_string()));
    let page: Page<IncidentRow> = env.client()?.get(As::Tenant, "/api/v1/incidents", &query)?;
    let now = now();
    let cells = |i: &IncidentRow| {
        let confidence = i.confidence.map(|c| env.out.share(c));
        [
            i.incident_id.clone(),
            i.state.as_str().into(),
            i.severity.as_str().into(),
            i.cluster.clone(),
            env.out.age(now, i.started_at),
            i.component.clone().unwrap_or_default(),
            i.fault_type.clone().unwrap_or_default(),
            confidence.unwrap_or_default(),
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
    })?;
    if page.next.is_some() {
        env.out.message("more incidents match; raise --limit");
    }
    Ok(())
}

fn show(env: &Env<'_>, id: &str) -> Result {
    let client = env.client()?;
    let row: IncidentRow = client.get(As::Tenant, &path(id), &[])?;
    if env.out.format == Format::Name {
        return env.out.text(&format!("{}\n", row.incident_id));
    }
    let timeline: Page<TransitionRow> =
        client.get(As::Tenant, &format!("{}/timeline", path(id)), &[])?;
    if env.out.format == Format::Table {
        let head = format!(
            "{}  {}  {}  cluster {}  {}",
            row.incident_id,
            row.state.as_str(),
            row.severity.as_str(),
            row.cluster,
            symptoms(&row),
        );
        let cause = match row.component {
            Some(_) => cause(&row).join(" "),
            None => "no cause yet".to_owned(),
        };
        env.out.text(&format!("{head}\n{cause}\n\n"))?;
    }
    let both = serde_json::json!({"incident": row, "timeline": timeline.items});
    env.out.value(&both, || {
        Table::new(&["TIME", "STATE", "BY", "NOTE"]).rows(&timeline.items, |t| {
            let transition = &t.transition;
            [
                env.out.time(transition.at),
                transition.to.as_str().into(),
                transition.by.clone(),
                transition.note.clone().unwrap_or_default(),
            ]
        })
    })
}

/// Component and fault type of the top cause.
fn cause(row: &IncidentRow) -> [&str; 2] {
    match &row.component {
        Some(component) => [component, row.fault_type.as_deref().unwrap_or("unknown")],
        None => ["-", "no cause yet"],
    }
}

fn symptoms(row: &IncidentRow) -> String {
    match row.symptoms {
        1 => "1 symptom".to_owned(),
        n => format!("{n} symptoms"),
    }
}

fn wait(env: &Env<'_>, id: &str, timeout: u64) -> Result {
    let client = env.client()?;
    let deadline = Instant::now() + Duration::from_secs(timeout);
    loop {
        let row: IncidentRow = client.get(As::Tenant, &path(id), &[])?;
        if row.state == State::Resolved {
            return env.out.value(&row, || {
                Table::new(&["ID", "STATE"])
                    .row([row.incident_id.clone(), row.state.as_str().into()])
            });
        }
        if Instant::now() > deadline {
            let state = row.state.as_str();
            let message = format!("timed out after {timeout} s: {id} is still {state}");
            return Err(CliError::new(Kind::Unreachable, message));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn feedback(env: &Env<'_>, args: FeedbackArgs) -> Result {
    let note = args.note;
    let body = match (args.cause, args.component) {
        (Some(cause), _) => Feedback::Listed(ListedCause { cause, note }),
        // The parser requires one of them.
        (None, component) => Feedback::Reported(ReportedCause {
            component: component.unwrap_or_default(),
            fault_type: args.fault,
            note,
        }),
    };
    let path = format!("{}/feedback", path(&args.id));
    let _: serde_json::Value = env.client()?.send(Method::POST, As::Tenant, &path, &body)?;
    env.out
        .message(&format!("recorded feedback for {}", args.id));
    Ok(())
}
