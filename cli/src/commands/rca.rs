//! `kgrca rca`

use std::time::Duration;

use kgrca_core::api::Stats;
use kgrca_core::incident::State;
use kgrca_core::model::Time;
use kgrca_core::rca::{Answer, Scorer};
use kgrca_core::storage::IncidentRow;

use super::Env;
use crate::client::{As, Client};
use crate::error::{CliError, Kind, Result};
use crate::output::{self, Format, now};

/// How often `--watch` checks the incident, which is free; an answer counts as an RCA query.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
const ROUTE: &str = "/api/v1/rca";

/// Show the root causes of an incident
///
/// Prints the verdict and, for each ranked cause, its evidence, causal path and fix.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Incident ID, e.g. inc-12 [default: the worst open incident, else the newest one]
    #[arg(add = crate::complete::incidents())]
    incident: Option<String>,
    /// Show the answer as of this time: RFC 3339, or how long ago, e.g. 10m
    #[arg(long, value_name = "TIME", value_parser = super::analyze::time)]
    at: Option<Time>,
    /// Ranking algorithm: causal or weighted
    #[arg(long, value_parser = super::analyze::scorer, default_value = "causal")]
    scorer: Scorer,
    /// Show the causal path as a tree
    #[arg(long)]
    tree: bool,
    /// Print the answer again whenever the incident's state or first cause changes, until it is
    /// resolved; each answer printed counts as one RCA query
    #[arg(short, long, conflicts_with = "at")]
    watch: bool,
}

pub(super) fn run(env: &Env<'_>, args: Args) -> Result {
    let client = env.client()?;
    let mut query = vec![("scorer", args.scorer.as_str().to_owned())];
    query.extend(args.incident.clone().map(|i| ("incident_id", i)));
    query.extend(args.at.map(|t| ("at", t.to_string())));
    let mut etag = None;
    let answer = client.get_if_changed(As::Tenant, ROUTE, &query, &mut etag);
    let answer: Option<Answer> = match answer {
        Err(e) if e.kind == Kind::NotFound && args.incident.is_none() => {
            return Err(without_incidents(&client, e));
        }
        answer => answer?,
    };
    // Without an etag, there is always an answer.
    let Some(answer) = answer else {
        return Ok(());
    };
    print(env, &answer, args.tree)?;
    if !args.watch {
        return Ok(());
    }
    if args.incident.is_none() {
        query.push(("incident_id", answer.incident_id.clone()));
    }
    let mut watch = Watch {
        client: &client,
        query,
        etag,
    };
    watch.run(env, answer, args.tree)
}

/// What to do when there is no incident: send data, or nothing.
fn without_incidents(client: &Client, e: CliError) -> CliError {
    let Ok(stats) = client.get::<Stats>(As::Tenant, "/api/v1/stats", &[]) else {
        return e;
    };
    if stats.records.seen == 0 {
        return e.hint(
            "no records have arrived yet: run `kgrca agent install --cluster NAME`, or send \
             records to POST /api/v1/ingest/{events,logs,resources,topology,alerts}",
        );
    }
    let records = output::count(stats.records.seen, "record");
    e.hint(format!(
        "{records} arrived, and none shows a symptom; `kgrca cluster list` shows when data last \
         arrived"
    ))
}

/// An incident that is followed. Its row is read without charge; the answer, which is charged, only
/// after the row has changed.
struct Watch<'a> {
    client: &'a Client,
    query: Vec<(&'static str, String)>,
    /// Etag of the last answer: the server charges no answer that is still the same.
    etag: Option<String>,
}

impl Watch<'_> {
    fn run(&mut self, env: &Env<'_>, first: Answer, tree: bool) -> Result {
        let path = format!("/api/v1/incidents/{}", first.incident_id);
        let mut last = Seen::in_answer(&first);
        while last.state != State::Resolved {
            std::thread::sleep(WATCH_INTERVAL);
            let row: IncidentRow = self.client.get(As::Tenant, &path, &[])?;
            let seen = Seen::in_row(row);
            if seen == last {
                continue;
            }
            last = seen;
            let (query, etag) = (&self.query, &mut self.etag);
            if let Some(answer) = self.client.get_if_changed(As::Tenant, ROUTE, query, etag)? {
                print(env, &answer, tree)?;
            }
        }
        Ok(())
    }
}

/// What of an incident is worth a new answer. Confidences change all the time.
#[derive(PartialEq, Eq)]
struct Seen {
    state: State,
    component: Option<String>,
    fault_type: Option<String>,
}

impl Seen {
    fn in_answer(answer: &Answer) -> Self {
        let first = answer.causes.first();
        Self {
            state: answer.state,
            component: first.map(|c| c.component.clone()),
            fault_type: first.map(|c| c.fault_type.clone()),
        }
    }

    fn in_row(row: IncidentRow) -> Self {
        Self {
            state: row.state,
            component: row.component,
            fault_type: row.fault_type,
        }
    }
}

/// Prints an answer in the requested format.
pub(super) fn print(env: &Env<'_>, answer: &Answer, tree: bool) -> Result {
    let id = &answer.incident_id;
    match env.out.format {
        Format::Table => {}
        Format::Name => return env.out.text(&format!("{id}\n")),
        _ => {
            return env.out.value(answer, || {
                output::causes("INCIDENT", id, answer.verdict, &answer.causes)
            });
        }
    }
    let shown = output::Shown {
        head: format!(
            "{id}  {}  {}  started {}",
            answer.state.as_str(),
            answer.severity.as_str(),
            env.out.age(now(), answer.started_at)
        ),
        verdict: answer.verdict,
        causes: &answer.causes,
        missing: &answer.missing_evidence,
        other_changes: &answer.other_changes,
        tree,
    };
    env.out.styled(&output::answer(env.out, &shown))
}
