//! `kgrca rca`

use std::time::Duration;

use kgrca_core::incident::State;
use kgrca_core::model::Time;
use kgrca_core::rca::{Answer, Scorer};

use super::Env;
use crate::client::{As, Client};
use crate::error::Result;
use crate::output::{self, Format, now};

/// How often `--watch` asks for a new answer.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Show the root causes of an incident
///
/// Prints the verdict and, for each ranked cause, its evidence, causal path and fix.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Incident ID, e.g. inc-12 [default: the worst open incident, else the newest one]
    #[arg(add = crate::complete::incidents())]
    incident: Option<String>,
    /// Show the answer as of this time
    #[arg(long, value_name = "TIME", value_parser = super::analyze::time)]
    at: Option<Time>,
    /// Ranking algorithm: causal or weighted
    #[arg(long, value_parser = super::analyze::scorer, default_value = "causal")]
    scorer: Scorer,
    /// Show the causal path as a tree
    #[arg(long)]
    tree: bool,
    /// Print the answer again whenever it changes, until the incident is resolved
    #[arg(short, long)]
    watch: bool,
}

pub(super) fn run(env: &Env<'_>, args: Args) -> Result {
    let client = env.client()?;
    let mut query = vec![("scorer", args.scorer.as_str().to_owned())];
    query.extend(args.incident.clone().map(|i| ("incident_id", i)));
    query.extend(args.at.map(|t| ("at", t.to_string())));
    let answer: Answer = client.get(As::Tenant, "/api/v1/rca", &query)?;
    print(env, &answer, args.tree)?;
    if !args.watch {
        return Ok(());
    }
    if args.incident.is_none() {
        query.push(("incident_id", answer.incident_id.clone()));
    }
    watch(env, &client, answer, &query, args.tree)
}

/// Prints the answer again whenever its incident changes, until the incident is resolved.
fn watch(
    env: &Env<'_>,
    client: &Client,
    first: Answer,
    query: &[(&str, String)],
    tree: bool,
) -> Result {
    let mut last = first;
    while last.state != State::Resolved {
        std::thread::sleep(WATCH_INTERVAL);
        let answer: Answer = client.get(As::Tenant, "/api/v1/rca", query)?;
        if differs(&answer, &last) {
            print(env, &answer, tree)?;
        }
        last = answer;
    }
    Ok(())
}

/// Whether the state or the ranking changed; confidences change all the time.
fn differs(answer: &Answer, last: &Answer) -> bool {
    let ranking = |a: &Answer| -> Vec<(String, String)> {
        let pairs = a.causes.iter();
        pairs
            .map(|c| (c.component.clone(), c.fault_type.clone()))
            .collect()
    };
    answer.state != last.state || ranking(answer) != ranking(last)
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
        tree,
    };
    env.out.text(&output::answer(env.out, &shown))
}
