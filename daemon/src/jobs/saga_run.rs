//! `saga.run`: continues a saga that runs without a caller.

use kgrca_core::jobs::Job;
use serde::Deserialize;
use serde_json::json;

use super::{Outcome, payload, result};
use crate::usecases::sagas::{self, Continued};
use crate::usecases::{Actor, App, Result};

#[derive(Deserialize)]
struct Payload {
    saga_id: String,
}

pub(super) async fn run(app: &App, job: &Job) -> Result<Outcome> {
    let Payload { saga_id } = payload(job)?;
    match sagas::continue_unattended(app, &Actor::system_job(job), &saga_id).await? {
        Continued::Ended(state) => result(&json!({ "saga": state })),
        Continued::Waits(until) => Ok(Outcome::Later(until)),
    }
}
