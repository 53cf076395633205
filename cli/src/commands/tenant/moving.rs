//! `kgrca tenant move`

use std::time::Duration;

use kgrca_core::api::MoveGraph;
use kgrca_core::tenancy::{Saga, SagaState};
use reqwest::Method;

use super::{Env, path};
use crate::client::As;
use crate::error::{CliError, Result};

/// How often progress is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

pub(super) fn run(env: &Env<'_>, id: &str, graph_server: String) -> Result {
    let client = env.client()?;
    let request = MoveGraph { graph_server };
    let path = format!("{}/move", path(id));
    let mut saga: Saga = client.send(Method::POST, As::Operator, &path, &request)?;
    env.out.message(&format!(
        "moving the graph to {}; {} continues even if this command is interrupted",
        request.graph_server, saga.saga_id
    ));
    while !saga.is_over() {
        std::thread::sleep(POLL_INTERVAL);
        let path = format!("/api/v1/admin/sagas/{}", saga.saga_id);
        saga = client.get(As::Operator, &path, &[])?;
    }
    if saga.state == SagaState::Compensated {
        let message = "the graph was not moved; it stays on its current server";
        return Err(CliError::failed(message).cause(saga.error.unwrap_or_default()));
    }
    env.out.value(&saga, || {
        super::super::saga::table(env, std::slice::from_ref(&saga))
    })
}
