//! `kgrca rca`

use kgrca_core::model::Time;
use kgrca_core::rca::{Answer, Scorer};

use super::Env;
use crate::client::{As, Client};
use crate::error::Result;
use crate::output::{self, Format};

/// Shows what caused an incident: verdict, ranked causes, evidence, path and fix.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Incident, such as inc-12; the newest live one when absent
    #[arg(add = crate::complete::incidents())]
    incident: Option<String>,
    /// The answer as it stood at this time
    #[arg(long, value_parser = super::analyze::time)]
    at: Option<Time>,
    /// Formula that ranks
    #[arg(long, value_parser = super::analyze::scorer, default_value = "causal")]
    scorer: Scorer,
    /// Draw the path as a tree
    #[arg(long)]
    tree: bool,
    /// Go on and print the answer whenever it changes
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
    if args.watch {
        return watch(env, &client, &answer, &query, args.tree);
    }
    Ok(())
}

/// Prints the answer again whenever its incident changes.
fn watch(
    env: &Env<'_>,
    client: &Client,
    first: &Answer,
    query: &[(&str, String)],
    tree: bool,
) -> Result {
    let mut last = first.clone();
    let mut query = query.to_vec();
    if !query.iter().any(|(k, _)| *k == "incident_id") {
        query.push(("incident_id", first.incident_id.clone()));
    }
    loop {
        std::thread::sleep(std::time::Duration::from_secs(2));
        let answer: Answer = client.get(As::Tenant, "/api/v1/rca", &query)?;
        let changed = answer.state != last.state
            || answer
                .causes
                .iter()
                .map(|c| (&c.component, &c.fault_type))
                .ne(last.causes.iter().map(|c| (&c.component, &c.fault_type)));
        if changed {
            print(env, &answer, tree)?;
        }
        let over = answer.state == kgrca_core::incident::State::Resolved;
        last = answer;
        if over {
            return Ok(());
        }
    }
}

/// Prints an answer.
pub(super) fn print(env: &Env<'_>, answer: &Answer, tree: bool) -> Result {
    match env.out.format {
        Format::Table => {}
        Format::Name => return env.out.text(&format!("{}\n", answer.incident_id)),
        _ => {
            return env.out.value(answer, || {
                output::causes(
                    "INCIDENT",
                    &answer.incident_id,
                    answer.verdict,
                    &answer.causes,
                )
            });
        }
    }
    let now = Time(jiff::Timestamp::now().as_microsecond());
    let head = format!(
        "{}  {}  {}  started {}",
        answer.incident_id,
        answer.state.as_str(),
        answer.severity.as_str(),
        env.out.age(now, answer.started_at)
    );
    let shown = output::Shown {
        head,
        verdict: answer.verdict,
        causes: &answer.causes,
        missing: &answer.missing_evidence,
        tree,
    };
    env.out.text(&output::answer(env.out, &shown))
}
