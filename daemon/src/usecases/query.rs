//! Queries to a tenant's graph in Cypher.

use std::time::Duration;

use kgrca_core::api::Question;
use kgrca_core::storage::cypher::{CypherAnswer, CypherQuery};
use kgrca_core::tenancy::Scope;

use super::actor::Actor;
use super::app::App;
use super::error::Result;
use super::within;

/// The largest answer.
const MAX_ANSWER_BYTES: usize = 8 << 20;
const DEFAULT_TIMEOUT_MS: usize = 5_000;
const MAX_TIMEOUT_MS: usize = 30_000;
const DEFAULT_ROWS: usize = 1_000;
const MAX_ROWS: usize = 10_000;

/// Runs a query over the tenant's graph, within a budget of time, rows and memory. It only reads.
///
/// # Errors
/// `invalid_request` for a query that is wrong, writes, or exceeds its budget.
pub async fn cypher(app: &App, actor: &Actor, question: Question) -> Result<CypherAnswer> {
    let tenant = actor.tenant(Scope::Query)?;
    let timeout = within(
        "timeout_ms",
        question.timeout_ms,
        DEFAULT_TIMEOUT_MS,
        MAX_TIMEOUT_MS,
    )?;
    let query = CypherQuery {
        text: question.query,
        parameters: question.parameters,
        time: Duration::from_millis(timeout as u64),
        rows: within("limit", question.limit, DEFAULT_ROWS, MAX_ROWS)?,
        bytes: MAX_ANSWER_BYTES,
    };
    Ok(app.stores.graph.cypher(tenant.id, &query).await?)
}
