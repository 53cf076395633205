//! `kgrca query`

use kgrca_core::api::Question;
use kgrca_core::storage::cypher::CypherAnswer;
use reqwest::Method;
use serde_json::Value;

use super::Env;
use crate::client::As;
use crate::error::{CliError, Result};
use crate::output::Table;

/// Run a read-only Cypher query
///
/// Queries the tenant's graph. Rows, time and memory are limited.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The query, e.g. "MATCH (r:Resource {kind: 'Pod'}) RETURN r.name LIMIT 10"; `-` reads stdin
    statement: String,
    /// Value of a `$NAME` in the query, as JSON or plain text
    #[arg(long = "param", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Maximum number of rows
    #[arg(long, default_value_t = 1000)]
    limit: usize,
    /// Time limit in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 5000)]
    timeout_ms: usize,
}

pub(super) fn run(env: &Env<'_>, args: Args) -> Result {
    let query = if args.statement == "-" {
        std::io::read_to_string(std::io::stdin())?
    } else {
        args.statement
    };
    let request = Question {
        query,
        parameters: args
            .parameters
            .iter()
            .map(|p| parameter(p))
            .collect::<Result<_>>()?,
        limit: Some(args.limit),
        timeout_ms: Some(args.timeout_ms),
    };
    let answer: CypherAnswer =
        env.client()?
            .send(Method::POST, As::Tenant, "/api/v1/query/cypher", &request)?;
    if answer.truncated {
        env.out.message("more rows match; raise --limit");
    }
    env.out.value(&answer, || {
        Table::of(
            answer.columns.clone(),
            answer.rows.iter().map(|r| r.iter().map(cell).collect()),
        )
    })
}

fn parameter(text: &str) -> Result<(String, Value)> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(
            CliError::usage(format!("invalid parameter `{text}`")).hint("--param NAME=VALUE")
        );
    };
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
