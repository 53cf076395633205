//! `kgrca dlq`

use kgrca_core::api::{DeadLetter, Ingested, Page};
use reqwest::Method;

use super::Env;
use crate::client::{As, Client};
use crate::error::{CliError, Kind, Result};
use crate::output::Table;

/// Inspect and retry rejected records (dead letters)
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List rejected records, oldest first
    List {
        /// Continue after this cursor
        #[arg(long)]
        cursor: Option<u64>,
        /// Maximum number of rows
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show a rejected record
    Show {
        /// Record ID
        id: u64,
    },
    /// Retry rejected records, for example after an upgrade that accepts them
    ///
    /// Records that were retried before are skipped.
    Retry {
        /// Record IDs
        #[arg(required = true, value_name = "ID")]
        ids: Vec<u64>,
        /// Retry also what was retried before
        #[arg(long)]
        again: bool,
    },
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::List { cursor, limit } => list(env, cursor, limit),
        Verb::Show { id } => show(env, id),
        Verb::Retry { ids, again } => retry(env, &ids, again),
    }
}

fn list(env: &Env<'_>, cursor: Option<u64>, limit: usize) -> Result {
    let mut query = vec![("limit", limit.to_string())];
    query.extend(cursor.map(|c| ("cursor", c.to_string())));
    let page: Page<DeadLetter> = env.client()?.get(As::Tenant, "/api/v1/dlq", &query)?;
    env.out.value(&page, || {
        Table::new(&["ID", "REJECTED", "TOPIC", "REASON", "RETRIED", "MESSAGE"]).rows(
            &page.items,
            |l| {
                [
                    l.id.to_string(),
                    env.out.time(l.at),
                    l.topic.clone(),
                    l.reason.clone(),
                    l.retried_at.map(|at| env.out.time(at)).unwrap_or_default(),
                    l.message.clone(),
                ]
            },
        )
    })?;
    if let Some(next) = &page.next {
        env.out
            .message(&format!("more records: pass --cursor {next}"));
    }
    Ok(())
}

fn show(env: &Env<'_>, id: u64) -> Result {
    let letter = find(&env.client()?, id)?;
    env.out.value(&letter, || {
        Table::new(&["ID", "REASON", "MESSAGE", "RECORD"]).row([
            letter.id.to_string(),
            letter.reason.clone(),
            letter.message.clone(),
            letter.record.clone(),
        ])
    })
}

/// What became of the records that were to be retried.
#[derive(Default)]
struct Retried {
    accepted: usize,
    skipped: usize,
    refused: Vec<String>,
}

fn retry(env: &Env<'_>, ids: &[u64], again: bool) -> Result {
    let client = env.client()?;
    let mut done = Retried::default();
    for id in ids {
        let Err(error) = retry_one(env, &client, *id, again, &mut done) else {
            continue;
        };
        let is_of_record = matches!(error.kind, Kind::Failed | Kind::NotFound);
        if ids.len() == 1 || !is_of_record {
            // The others would fail the same way: what was done so far is still said.
            if ids.len() > 1 {
                summarize(env, &done);
            }
            return Err(error);
        }
        done.refused.push(error.message);
    }
    report(env, &done)
}

fn retry_one(env: &Env<'_>, client: &Client, id: u64, again: bool, done: &mut Retried) -> Result {
    let letter = find(client, id)?;
    if let Some(at) = letter.retried_at.filter(|_| !again) {
        let at = env.out.time(at);
        env.out
            .message(&format!("record {id} was retried before, at {at}: skipped"));
        done.skipped += 1;
        return Ok(());
    }
    if letter.record.is_empty() {
        let why = format!("cannot retry record {id}: its text was not kept");
        done.refused.push(why);
        return Ok(());
    }
    let path = format!("/api/v1/dlq/{id}/retry?again={again}");
    let none = serde_json::Value::Null;
    let answer: Ingested = client.send(Method::POST, As::Tenant, &path, &none)?;
    match answer.rejected.first() {
        Some(rejected) => {
            let why = format!("record {id} was rejected again: {}", rejected.message);
            done.refused.push(why);
        }
        None => done.accepted += 1,
    }
    Ok(())
}

fn summarize(env: &Env<'_>, done: &Retried) {
    let Retried {
        accepted,
        skipped,
        refused,
    } = done;
    env.out.message(&format!(
        "{accepted} accepted, {} not accepted, {skipped} skipped",
        refused.len()
    ));
    if *skipped > 0 {
        env.out
            .message("pass --again to retry what was retried before");
    }
}

fn report(env: &Env<'_>, done: &Retried) -> Result {
    summarize(env, done);
    match done.refused.as_slice() {
        [] => Ok(()),
        all => Err(CliError::failed(all.join("; "))
            .hint("send records from where they came from after their cause is fixed")),
    }
}

fn find(client: &Client, id: u64) -> Result<DeadLetter> {
    let query = [("cursor", id.to_string()), ("limit", "1".into())];
    let page: Page<DeadLetter> = client.get(As::Tenant, "/api/v1/dlq", &query)?;
    let mut items = page.items.into_iter();
    items.find(|l| l.id == id).ok_or_else(|| {
        CliError::not_found(format!("rejected record {id} not found")).hint("kgrca dlq list")
    })
}
