//! `kgrca saga`

use kgrca_core::api::{CreatedTenant, Page, SagaAct, SagaChange};
use kgrca_core::tenancy::{Saga, Step, StepState};
use reqwest::Method;

use super::{Env, tenant};
use crate::client::As;
use crate::error::{CliError, Result};
use crate::output::{Table, now};

/// Inspect tenant provisioning workflows (operator)
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List sagas, newest first
    List {
        /// Only sagas of this tenant
        #[arg(long, add = crate::complete::tenants())]
        tenant: Option<String>,
        /// Only unfinished sagas
        #[arg(long)]
        open: bool,
    },
    /// Show a saga with its steps
    Show {
        /// Saga ID
        id: String,
    },
    /// Resume a stopped saga; resuming a creation prints the tenant's new secrets
    Resume {
        /// Saga ID
        id: String,
    },
    /// Roll back a stopped creation or move
    Compensate {
        /// Saga ID
        id: String,
    },
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::List { tenant, open } => {
            let mut query = vec![("open", open.to_string())];
            if let Some(given) = tenant {
                query.push(("client_id", tenant::id_of(env, given)?));
            }
            let page: Page<Saga> =
                env.client()?
                    .get(As::Operator, "/api/v1/admin/sagas", &query)?;
            env.out.value(&page, || table(env, &page.items))
        }
        Verb::Show { id } => {
            let saga: Saga = env.client()?.get(As::Operator, &path(&id), &[])?;
            env.out.value(&saga, || steps(&saga))
        }
        Verb::Resume { id } => {
            let answer = act(env, &id, SagaAct::Resume)?;
            match serde_json::from_value::<CreatedTenant>(answer.clone()) {
                Ok(created) => tenant::show_created(env, &created),
                Err(_) => show(env, answer),
            }
        }
        Verb::Compensate { id } => show(env, act(env, &id, SagaAct::Compensate)?),
    }
}

fn path(id: &str) -> String {
    format!("/api/v1/admin/sagas/{id}")
}

fn act(env: &Env<'_>, id: &str, act: SagaAct) -> Result<serde_json::Value> {
    env.client()?
        .send(Method::POST, As::Operator, &path(id), &SagaChange { act })
}

fn show(env: &Env<'_>, answer: serde_json::Value) -> Result {
    let saga: Saga = serde_json::from_value(answer).map_err(|e| {
        CliError::failed("unexpected answer; the server may be of another version").cause(e)
    })?;
    if !saga.is_over() && saga.state_of(Step::Load) == Some(StepState::Pending) {
        env.out.message(&format!(
            "waiting for data: `kgrca tenant import FOLDER --resume {}`",
            saga.saga_id
        ));
    }
    env.out.value(&saga, || steps(&saga))
}

/// A line for each saga.
pub(super) fn table(env: &Env<'_>, items: &[Saga]) -> Table {
    let now = now();
    Table::new(&["ID", "TENANT", "KIND", "STATE", "STEP", "CHANGED", "ERROR"]).rows(items, |s| {
        let step = s
            .steps
            .iter()
            .find(|s| matches!(s.state, StepState::Begun | StepState::Pending));
        [
            s.saga_id.clone(),
            s.client_id.clone(),
            s.kind.as_str().to_owned(),
            s.state.as_str().to_owned(),
            step.map(|s| s.step.as_str()).unwrap_or("-").to_owned(),
            env.out.age(now, s.updated_at),
            s.error.clone().unwrap_or_default(),
        ]
    })
}

fn steps(saga: &Saga) -> Table {
    let rows = Table::new(&["STEP", "STATE"]).rows(&saga.steps, |s| {
        [s.step.as_str().to_owned(), s.state.as_str().to_owned()]
    });
    let rows = rows
        .row(["saga".into(), saga.state.as_str().to_owned()])
        .row(["kind".into(), saga.kind.as_str().to_owned()])
        .row(["tenant".into(), saga.client_id.clone()]);
    match &saga.error {
        Some(error) => rows.row(["error".into(), error.clone()]),
        None => rows,
    }
}
