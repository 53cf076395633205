//! `saga.run`: continues a saga that runs without a caller.

use kgrca_core::jobs::Job;
use kgrca_core::storage::Error;
use serde::Deserialize;
use serde_json::json;

use super::{Outcome, payload};
use crate::tenancy::{self, Continued};
use crate::usecases::App;

#[derive(Deserialize)]
struct Payload {
    saga_id: String,
}

pub(super) async fn run(app: &App, job: &Job) -> Result<Outcome, Error> {
    let Payload { saga_id } = payload(job)?;
    Ok(
        match tenancy::continue_saga(&app.tenancy, &saga_id).await? {
            Continued::Ended(state) => Outcome::Done(json!({ "saga": state })),
            Continued::Waits(until) => Outcome::Later(until),
        },
    )
}
