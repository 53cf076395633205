//! Queries to a tenant's graph in Cypher.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kgrca_core::api::Question;
use kgrca_core::storage::cypher::{CypherAnswer, CypherQuery};
use kgrca_core::tenancy::{Scope, TenantId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::actor::Actor;
use super::app::App;
use super::error::{Error, Result};
use super::within;

/// The largest answer.
const MAX_ANSWER_BYTES: usize = 8 << 20;
const DEFAULT_TIMEOUT_MS: usize = 5_000;
const MAX_TIMEOUT_MS: usize = 30_000;
const DEFAULT_ROWS: usize = 1_000;
const MAX_ROWS: usize = 10_000;
/// Most queries of a tenant that run at the same time, and that wait.
const RUNNING: usize = 2;
const WAITING: usize = 8;

/// Places for the queries of each tenant.
#[derive(Debug, Default)]
pub struct RunningQueries(Mutex<HashMap<TenantId, Arc<Semaphore>>>);

impl RunningQueries {
    /// Waits for one of the tenant's places.
    async fn place(&self, tenant: &TenantId, longest: Duration) -> Result<OwnedSemaphorePermit> {
        let places = self.of(tenant);
        // Whoever runs or waits holds a reference; so do the map and this call.
        let is_full = Arc::strong_count(&places) >= 2 + RUNNING + WAITING;
        if !is_full && let Ok(Ok(place)) = timeout(longest, places.acquire_owned()).await {
            return Ok(place);
        }
        Err(Error::busy(format!(
            "too many queries: {RUNNING} are running and {WAITING} are waiting"
        ))
        .hint("retry when they have ended"))
    }

    fn of(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|t, places| t == tenant || Arc::strong_count(places) > 1);
        let places = all.entry(tenant.clone());
        Arc::clone(places.or_insert_with(|| Arc::new(Semaphore::new(RUNNING))))
    }
}

/// Runs a query over the tenant's graph, within a budget of time, rows and memory. It only reads.
///
/// # Errors
/// `invalid_request` for a query that is wrong, writes, or exceeds its budget; `rate_limited` when
/// too many are running.
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
    let _place = app.running_queries.place(tenant.id, query.time).await?;
    Ok(app.stores.graph.cypher(tenant.id, &query).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tenant_has_its_own_places_and_a_short_queue() {
        let queries = Arc::new(RunningQueries::default());
        let [a, b] = ["client-a-abc123", "client-b-abc123"].map(|t| TenantId::parse(t).unwrap());
        let moment = Duration::from_millis(1);
        let long = Duration::from_mins(1);
        let one = queries.place(&a, moment).await.unwrap();
        let _two = queries.place(&a, moment).await.unwrap();
        let error = queries.place(&a, moment).await.unwrap_err();
        assert_eq!(error.code, crate::usecases::Code::RateLimited);
        assert!(queries.place(&b, moment).await.is_ok());
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let (queries, a) = (Arc::clone(&queries), a.clone());
                tokio::spawn(async move { queries.place(&a, long).await.map(drop) })
            })
            .collect();
        while Arc::strong_count(&queries.of(&a)) < 2 + RUNNING + WAITING {
            tokio::task::yield_now().await;
        }
        assert!(queries.place(&a, long).await.is_err(), "the queue is full");
        drop(one);
        for one in waiting {
            assert!(one.await.unwrap().is_ok(), "each has its turn");
        }
    }
}
