//! `notify.plan` and `notify.deliver`: who is notified of changes of incidents, and the sending.

use kgrca_core::jobs::Job;
use serde_json::json;

use super::{Outcome, payload, result, tenant_actor};
use crate::usecases::notify::{self, Attempt};
use crate::usecases::{App, Result};

pub(super) async fn plan(app: &App, job: &Job) -> Result<Outcome> {
    let actor = tenant_actor(app, job).await?;
    let planned = notify::plan(app, &actor).await?;
    result(&json!({"planned": planned}))
}

pub(super) async fn deliver(app: &App, job: &Job) -> Result<Outcome> {
    let actor = tenant_actor(app, job).await?;
    let is_last = job.attempts >= job.max_attempts;
    match notify::deliver(app, &actor, &payload(job)?, is_last).await? {
        Attempt::Ended(state) => result(&json!({"state": state})),
        Attempt::Later(at) => Ok(Outcome::Later(at)),
    }
}
