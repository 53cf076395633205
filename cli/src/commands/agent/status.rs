//! How agents fare.

use kgrca_core::api::{Agent, AgentMode, ClusterStats, Page, Stats};
use kgrca_core::model::time::SECOND;

use super::Env;
use crate::client::{As, Client};
use crate::error::{CliError, Result, exit};
use crate::output::Table;

/// Show how agents fare.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those of this cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
}

/// Agents of a cluster or of all.
pub fn agents(client: &Client, cluster: Option<&str>) -> Result<Vec<Agent>> {
    let page: Page<Agent> = client.get(As::Tenant, "/api/v1/agents", &[])?;
    Ok(page
        .items
        .into_iter()
        .filter(|a| cluster.is_none_or(|c| a.status.cluster == c))
        .collect())
}

pub fn status(env: &Env<'_>, args: &Args) -> Result {
    let client = env.client()?;
    let agents = agents(&client, args.cluster.as_deref())?;
    show(env, &agents)?;
    if agents.is_empty() {
        let stats: Stats = client.get(As::Tenant, "/api/v1/stats", &[])?;
        let sends = |c: &&ClusterStats| {
            args.cluster
                .as_ref()
                .is_none_or(|wanted| *wanted == c.cluster)
        };
        if let Some(known) = stats.clusters.iter().find(sends) {
            let message = format!(
                "records of `{}` arrived, but no agent says how it fares",
                known.cluster
            );
            let hint = "is the agents' key revoked? kgrca key list; the agent's log says what the server answers";
            return Err(CliError::new(exit::FOUND, message).hint(hint));
        }
        let of = args
            .cluster
            .as_ref()
            .map(|c| format!(" of `{c}`"))
            .unwrap_or_default();
        let hint = "kgrca agent install --cluster NAME; after that it takes some seconds, or its pods say why not";
        return Err(CliError::new(exit::FOUND, format!("no agent{of} was heard of")).hint(hint));
    }
    let is_well = agents.iter().all(|a| a.troubles().is_empty());
    if is_well {
        Ok(())
    } else {
        Err(CliError::found())
    }
}

/// A line for each agent, with what is wrong.
pub fn show(env: &Env<'_>, agents: &[Agent]) -> Result {
    let page = Page {
        items: agents.to_vec(),
        next: None,
    };
    env.out.value(&page, || table(env, agents))
}

pub fn list(env: &Env<'_>) -> Result {
    show(env, &agents(&env.client()?, None)?)
}

fn table(env: &Env<'_>, agents: &[Agent]) -> Table {
    Table::new(&[
        "CLUSTER",
        "AGENT",
        "VERSION",
        "LAST SEEN",
        "LAG",
        "SHIPPED",
        "WAITING",
        "TROUBLES",
    ])
    .rows(agents, |a| {
        let status = &a.status;
        let what = match (status.mode, &status.node) {
            (AgentMode::Watch, _) => "watch".to_owned(),
            (AgentMode::Logs, Some(node)) => format!("logs of {node}"),
            (AgentMode::Logs, None) => "logs".to_owned(),
        };
        [
            status.cluster.clone(),
            what,
            status.version.clone(),
            env.out
                .age(a.seen_at.plus(a.silent_seconds as i64 * SECOND), a.seen_at),
            format!("{} s", status.lag_seconds),
            status.shipped.values().sum::<u64>().to_string(),
            status.spooled.values().sum::<u64>().to_string(),
            a.troubles().join("; "),
        ]
    })
}
