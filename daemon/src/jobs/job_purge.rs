//! `job.purge`: removes jobs that finished long ago, and enqueues those that are missing.

use kgrca_core::jobs::Job;
use serde_json::json;

use super::{Outcome, result};
use crate::usecases::{Actor, App, Result, jobs};

pub(super) async fn run(app: &App, job: &Job) -> Result<Outcome> {
    let removed = jobs::purge(app, &Actor::system_job(job)).await?;
    result(&json!({ "removed": removed }))
}
