//! `kgrca job`

use kgrca_core::api::{JobChange, Page};
use kgrca_core::jobs::{Job, JobAct, JobKind, JobState};
use kgrca_core::model::Time;

use reqwest::Method;

use super::{Env, tenant};
use crate::client::As;
use crate::error::Result;
use crate::output::{Table, now};

/// Inspect, retry and cancel background jobs (operator)
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List jobs, newest first
    List(ListArgs),
    /// Show a job with its input, result and last error
    Show {
        /// Job ID
        id: String,
    },
    /// Run a dead, cancelled or waiting job now, with all its attempts
    Retry {
        /// Job ID
        id: String,
    },
    /// Stop a job that is queued, running or dead
    Cancel {
        /// Job ID
        id: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only jobs in this state
    #[arg(long, value_parser = state_parser())]
    state: Option<String>,
    /// Only jobs of this kind
    #[arg(long, value_parser = kind_parser())]
    kind: Option<String>,
    /// Only jobs of this tenant
    #[arg(long, add = crate::complete::tenants())]
    tenant: Option<String>,
    /// Maximum number of jobs
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Continue after this cursor
    #[arg(long)]
    cursor: Option<String>,
}

fn state_parser() -> clap::builder::PossibleValuesParser {
    JobState::ALL.map(JobState::as_str).into()
}

fn kind_parser() -> clap::builder::PossibleValuesParser {
    JobKind::ALL.map(JobKind::as_str).into()
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::List(args) => list(env, args),
        Verb::Show { id } => {
            let job: Job = env.client()?.get(As::Operator, &path(&id), &[])?;
            env.out.value(&job, || details(env, &job))
        }
        Verb::Retry { id } => change(env, &id, JobAct::Retry),
        Verb::Cancel { id } => change(env, &id, JobAct::Cancel),
    }
}

fn path(id: &str) -> String {
    format!("/api/v1/admin/jobs/{id}")
}

fn list(env: &Env<'_>, args: ListArgs) -> Result {
    let mut query = vec![("limit", args.limit.to_string())];
    if let Some(name) = args.tenant {
        query.push(("client_id", tenant::id_of(env, name)?));
    }
    let filters = [
        ("state", args.state),
        ("kind", args.kind),
        ("cursor", args.cursor),
    ];
    query.extend(filters.into_iter().filter_map(|(name, v)| Some((name, v?))));
    let page: Page<Job> = env
        .client()?
        .get(As::Operator, "/api/v1/admin/jobs", &query)?;
    env.out.value(&page, || table(env, &page.items))?;
    if let Some(next) = &page.next {
        env.out.message(&format!("more: --cursor {next}"));
    }
    Ok(())
}

fn table(env: &Env<'_>, jobs: &[Job]) -> Table {
    let now = now();
    let columns = [
        "ID", "KIND", "TENANT", "STATE", "ATTEMPT", "CHANGED", "NOTE",
    ];
    Table::new(&columns).rows(jobs, |job| {
        let note = match job.state {
            JobState::Running => job.progress.clone(),
            JobState::Queued | JobState::Dead => job.error.clone(),
            JobState::Done | JobState::Cancelled => None,
        };
        [
            job.job_id.clone(),
            job.kind.clone(),
            job.client_id.clone().unwrap_or_else(|| "-".to_owned()),
            job.state.as_str().to_owned(),
            attempts(job),
            env.out.age(now, job.updated_at),
            note.unwrap_or_default(),
        ]
    })
}

fn attempts(job: &Job) -> String {
    format!("{}/{}", job.attempts, job.max_attempts)
}

fn change(env: &Env<'_>, id: &str, act: JobAct) -> Result {
    let job: Job = env
        .client()?
        .send(Method::POST, As::Operator, &path(id), &JobChange { act })?;
    env.out.value(&job, || details(env, &job))
}

fn details(env: &Env<'_>, job: &Job) -> Table {
    let optional = [
        ("tenant", job.client_id.clone()),
        ("key", job.key.clone()),
        // Jobs of the server have no such time.
        (
            "enqueued",
            (job.created_at > Time(0)).then(|| env.out.time(job.created_at)),
        ),
        ("every", job.every_seconds.map(|s| format!("{s} s"))),
        ("runs on", job.lease_owner.clone()),
        ("lease until", job.lease_until.map(|t| env.out.time(t))),
        ("progress", job.progress.clone()),
        ("result", job.result.as_ref().map(ToString::to_string)),
        ("error", job.error.clone()),
    ];
    let known = [
        ("id", job.job_id.clone()),
        ("kind", job.kind.clone()),
        ("state", job.state.as_str().to_owned()),
        ("attempts", attempts(job)),
        ("input", job.payload.to_string()),
        ("run at", env.out.time(job.run_at)),
        ("changed", env.out.time(job.updated_at)),
    ];
    let optional = optional
        .into_iter()
        .filter_map(|(name, v)| Some((name, v?)));
    known
        .into_iter()
        .chain(optional)
        .fold(Table::new(&["FIELD", "VALUE"]), |table, (name, value)| {
            table.row([name.to_owned(), value])
        })
}
