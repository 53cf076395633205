//! `tenant.maintain`: what has to be done for a tenant every hour.

use kgrca_core::jobs::Job;
use serde_json::json;

use super::{Outcome, result, tenant_actor};
use crate::usecases::{App, Result, maintenance};

pub(super) async fn run(app: &App, job: &Job) -> Result<Outcome> {
    // A tenant within its grace period keeps the job: it may be resumed.
    match maintenance::maintain(app, &tenant_actor(app, job).await?).await? {
        Some(bytes) => result(&json!({ "storage_bytes": bytes })),
        None => result(&json!(null)),
    }
}
