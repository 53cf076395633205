//! `kgrca dlq`

use kgrca_core::api::{DeadLetter, Ingested, Page};
use kgrca_core::model::Topic;

use super::Env;
use crate::client::As;
use crate::error::{CliError, Result};
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
    /// Retry a rejected record, for example after an upgrade that accepts it
    Retry {
        /// Record ID
        id: u64,
    },
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::List { cursor, limit } => list(env, cursor, limit),
        Verb::Show { id } => show(env, id),
        Verb::Retry { id } => retry(env, id),
    }
}

fn list(env: &Env<'_>, cursor: Option<u64>, limit: usize) -> Result {
    let mut query = vec![("limit", limit.to_string())];
    query.extend(cursor.map(|c| ("cursor", c.to_string())));
    let page: Page<DeadLetter> = env.client()?.get(As::Tenant, "/api/v1/dlq", &query)?;
    env.out.value(&page, || {
        Table::new(&["ID", "REJECTED", "TOPIC", "REASON", "MESSAGE"]).rows(&page.items, |l| {
            [
                l.id.to_string(),
                env.out.time(l.at),
                l.topic.clone(),
                l.reason.clone(),
                l.message.clone(),
            ]
        })
    })?;
    if let Some(next) = &page.next {
        env.out
            .message(&format!("more records: pass --cursor {next}"));
    }
    Ok(())
}

fn show(env: &Env<'_>, id: u64) -> Result {
    let letter = find(env, id)?;
    env.out.value(&letter, || {
        Table::new(&["ID", "REASON", "MESSAGE", "RECORD"]).row([
            letter.id.to_string(),
            letter.reason.clone(),
            letter.message.clone(),
            letter.record.clone(),
        ])
    })
}

fn retry(env: &Env<'_>, id: u64) -> Result {
    let letter = find(env, id)?;
    let path = format!("/api/v1/ingest/{}", route(&letter)?);
    if letter.record.is_empty() {
        let message = format!("cannot retry record {id}: its text was not kept");
        return Err(CliError::failed(message).hint("send it again from where it came from"));
    }
    let answer: Ingested = env
        .client()?
        .post_bytes(&path, letter.record.into_bytes())?;
    if let Some(rejected) = answer.rejected.first() {
        let message = format!("record {id} was rejected again: {}", rejected.message);
        return Err(CliError::failed(message));
    }
    env.out.message(&format!("record {id} was accepted"));
    Ok(())
}

/// The ingest route of the letter's topic.
fn route(letter: &DeadLetter) -> Result<&'static str> {
    let signal = Topic::parse(&letter.topic).map(Topic::signal);
    signal.and_then(|s| s.route).ok_or_else(|| {
        CliError::failed(format!(
            "cannot retry record {}: topic `{}` is not ingested through the API",
            letter.id, letter.topic
        ))
        .hint("`kgrca version` may be older than the server; see `kgrca doctor`")
    })
}

fn find(env: &Env<'_>, id: u64) -> Result<DeadLetter> {
    let query = [("cursor", id.to_string()), ("limit", "1".into())];
    let page: Page<DeadLetter> = env.client()?.get(As::Tenant, "/api/v1/dlq", &query)?;
    let mut items = page.items.into_iter();
    items.find(|l| l.id == id).ok_or_else(|| {
        CliError::not_found(format!("rejected record {id} not found")).hint("kgrca dlq list")
    })
}

#[cfg(test)]
mod tests {
    use kgrca_core::model::Time;

    use super::*;

    fn letter(topic: &str) -> DeadLetter {
        DeadLetter {
            id: 3,
            at: Time(0),
            topic: topic.to_owned(),
            reason: "torn".to_owned(),
            message: String::new(),
            record: "{}".to_owned(),
        }
    }

    #[test]
    fn records_go_back_to_the_topic_they_came_from() {
        assert_eq!(route(&letter("alerts.raw")).unwrap(), "alerts");
        assert_eq!(route(&letter("logs.normalized")).unwrap(), "logs");
    }

    #[test]
    fn a_record_of_an_unknown_topic_is_not_retried() {
        for topic in ["metrics.raw", "control", "dlq", ""] {
            let error = route(&letter(topic)).unwrap_err();
            assert!(
                error.message.contains(&format!("topic `{topic}`")),
                "{error:?}"
            );
        }
    }
}
