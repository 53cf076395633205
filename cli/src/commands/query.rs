//! `kgrca query`

use kgrca_core::api::Question;
use kgrca_core::storage::cypher::CypherAnswer;
use reqwest::Method;
use serde_json::Value;

use super::Env;
use crate::client::As;
use crate::error::{CliError, Result};
use crate::output::Table;

/// Asks the tenant's graph in Cypher; it can only read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The statement, such as "MATCH (r:Resource {kind: 'Pod'}) RETURN r.name LIMIT 10"; `-` reads
    /// standard input
    statement: String,
    /// Value of a `$name` in it, as JSON, else as text
    #[arg(long = "param", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Most rows
    #[arg(long, default_value_t = 1000)]
    limit: usize,
    /// How long it may take, in milliseconds
    #[arg(long, default_value_t = 5000)]
    timeout_ms: usize,
}

pub(super) fn run(env: &Env<'_>, args: Args) -> Result {
    let query = if args.statement == "-" {
        std::io::read_to_string(std::io::stdin())?
    } else {
        args.statement
    };
    let parameter = |given: &String| {
        let pair = given
            .split_once('=')
            .ok_or_else(|| CliError::usage(format!("`{given}` is not NAME=VALUE")))?;
        Ok((
            pair.0.to_owned(),
            serde_json::from_str(pair.1).unwrap_or_else(|_| Value::String(pair.1.to_owned())),
        ))
    };
    let parameters = args
        .parameters
        .iter()
        .map(parameter)
        .collect::<Result<_>>()?;
    let wish = Question {
        query,
        parameters,
        limit: Some(args.limit),
        timeout_ms: Some(args.timeout_ms),
    };
    let answer: CypherAnswer =
        env.client()?
            .send(Method::POST, As::Tenant, "/api/v1/query/cypher", &wish)?;
    if answer.truncated {
        env.out
            .message("there are more rows; --limit asks for more");
    }
    env.out.value(&answer, || {
        Table::of(
            answer.columns.clone(),
            answer.rows.iter().map(|r| r.iter().map(cell).collect()),
        )
    })
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
