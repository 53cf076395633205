//! `kgrca tenant move`

use std::time::Duration;

use kgrca_core::api::MoveGraph;
use kgrca_core::tenancy::{Saga, SagaState};
use reqwest::Method;

use super::{Env, path};
use crate::client::As;
use crate::error::{CliError, Result};

/// How often is looked how far it is.
const LOOK: Duration = Duration::from_millis(500);

pub(super) fn run(env: &Env<'_>, id: &str, graph_server: String) -> Result {
    let client = env.client()?;
    let wish = MoveGraph { graph_server };
    let mut saga: Saga = client.send(
        Method::POST,
        As::Operator,
        &format!("{}/move", path(id)),
        &wish,
    )?;
    env.out.message(&format!(
        "the graph moves to {}; {} goes on also without this command",
        wish.graph_server, saga.saga_id
    ));
    while !saga.is_over() {
        std::thread::sleep(LOOK);
        saga = client.get(
            As::Operator,
            &format!("/api/v1/admin/sagas/{}", saga.saga_id),
            &[],
        )?;
    }
    if saga.state == SagaState::Compensated {
        let why = saga.error.unwrap_or_default();
        return Err(CliError::failed("the graph was not moved; it stays where it was").cause(why));
    }
    env.out.value(&saga, || {
        super::super::saga::table(env, std::slice::from_ref(&saga))
    })
}
