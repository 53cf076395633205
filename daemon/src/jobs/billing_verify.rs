//! `billing.verify`: recounts a tenant's events.

use kgrca_core::jobs::Job;

use super::{Outcome, Progress, payload, result, tenant_of};
use crate::usecases::usage::DaySpan;
use crate::usecases::{Actor, App, Result, recount};

pub(super) async fn run(app: &App, job: &Job, progress: &Progress) -> Result<Outcome> {
    let days: DaySpan = payload(job)?;
    let actor = Actor::system_job(job);
    let tell = |text| progress.set(text);
    result(&recount::run(app, &actor, tenant_of(job)?, &days, tell).await?)
}
