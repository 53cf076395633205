//! `kgrca dlq`

use kgrca_core::api::{DeadLetter, Page};

use super::Env;
use crate::client::As;
use crate::error::{CliError, Result, exit};
use crate::output::Table;

/// Looks at rejected records.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List rejected records, oldest first
    List {
        /// Go on behind this place
        #[arg(long)]
        cursor: Option<u64>,
        /// Most rows
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one rejected record
    Show {
        /// Its place
        id: u64,
    },
    /// Send a rejected record again, after its sender or the limit was mended
    Retry {
        /// Its place
        id: u64,
    },
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::List { cursor, limit } => {
            let mut query = vec![("limit", limit.to_string())];
            query.extend(cursor.map(|c| ("cursor", c.to_string())));
            let page: Page<DeadLetter> = env.client()?.get(As::Tenant, "/api/v1/dlq", &query)?;
            env.out.value(&page, || {
                Table::new(&["ID", "AT", "TOPIC", "REASON", "MESSAGE"]).rows(&page.items, |l| {
                    [
                        l.id.to_string(),
                        l.at.to_string(),
                        l.topic.clone(),
                        l.reason.clone(),
                        l.message.clone(),
                    ]
                })
            })
        }
        Verb::Show { id } => {
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
        Verb::Retry { id } => {
            let letter = find(env, id)?;
            let kind = match letter.topic.as_str() {
                "events.normalized" => "events",
                "logs.normalized" => "logs",
                "state.k8s.resource" => "resources",
                "state.k8s.topology" => "topology",
                _ => "alerts",
            };
            let answer: kgrca_core::api::Ingested = env.client()?.post_bytes(
                &format!("/api/v1/ingest/{kind}"),
                letter.record.into_bytes(),
            )?;
            if let Some(again) = answer.rejected.first() {
                Err(CliError::failed(format!(
                    "record {id} was rejected again: {}",
                    again.message
                )))
            } else {
                env.out.message(&format!("record {id} was accepted"));
                Ok(())
            }
        }
    }
}

fn find(env: &Env<'_>, id: u64) -> Result<DeadLetter> {
    let page: Page<DeadLetter> = env.client()?.get(
        As::Tenant,
        "/api/v1/dlq",
        &[("cursor", id.to_string()), ("limit", "1".into())],
    )?;
    let missing = || {
        CliError::new(exit::NOT_FOUND, format!("the dlq has no record {id}")).hint("kgrca dlq list")
    };
    page.items
        .into_iter()
        .find(|l| l.id == id)
        .ok_or_else(missing)
}
