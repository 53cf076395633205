//! `job.purge`: removes jobs that finished long ago, and enqueues those that are missing.

use kgrca_core::model::time::DAY;
use kgrca_core::storage::Error;
use serde_json::json;

use super::Outcome;
use crate::clock::now;
use crate::tenancy;
use crate::usecases::App;

/// How long finished jobs are kept: as long the same idempotency key does nothing again.
const RETENTION: i64 = 7 * DAY;

pub(super) async fn run(app: &App) -> Result<Outcome, Error> {
    let removed = app.stores.meta.purge_jobs(now().plus(-RETENTION)).await?;
    tenancy::enqueue_missing(&app.tenancy).await?;
    Ok(Outcome::Done(json!({ "removed": removed })))
}
