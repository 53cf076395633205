//! `audit.anchor`: writes the signed ends of the audit log to a file.

use kgrca_core::jobs::Job;
use serde_json::json;

use super::{Outcome, result};
use crate::usecases::{Actor, App, Result, audit_anchor};

pub(super) async fn run(app: &App, job: &Job) -> Result<Outcome> {
    match audit_anchor::append(app, &Actor::system_job(job)).await? {
        Some(chains) => result(&json!({ "chains": chains })),
        None => result(&json!(null)),
    }
}
