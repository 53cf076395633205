//! `kgrca agent status` and `kgrca agent list`

use kgrca_core::api::{Agent, AgentMode, Page, Stats};
use kgrca_core::model::time::SECOND;

use super::Env;
use crate::client::{As, Client};
use crate::error::{CliError, Kind, Result};
use crate::output::Table;

/// Show the status of agents.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only agents of this cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
}

/// The agents of a cluster, or of all.
pub fn agents(client: &Client, cluster: Option<&str>) -> Result<Vec<Agent>> {
    let mut agents: Vec<Agent> = Vec::new();
    let mut after = None;
    loop {
        let query: Vec<(&str, String)> = after.into_iter().map(|a| ("after", a)).collect();
        let page: Page<Agent> = client.get(As::Tenant, "/api/v1/agents", &query)?;
        agents.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if let Some(cluster) = cluster {
        agents.retain(|a| a.status.cluster == cluster);
    }
    Ok(agents)
}

pub fn status(env: &Env<'_>, args: &Args) -> Result {
    let client = env.client()?;
    let cluster = args.cluster.as_deref();
    let agents = agents(&client, cluster)?;
    show(env, &agents)?;
    if agents.is_empty() {
        let stats: Stats = client.get(As::Tenant, "/api/v1/stats", &[])?;
        return Err(no_agents(cluster, &stats));
    }
    if agents.iter().any(|a| !a.troubles().is_empty()) {
        return Err(CliError::found());
    }
    Ok(())
}

/// Why there are no agents, judged by the clusters that have sent records.
fn no_agents(cluster: Option<&str>, stats: &Stats) -> CliError {
    let mut clusters = stats.clusters.iter().map(|c| c.cluster.as_str());
    let sending = match cluster {
        Some(wanted) => clusters.find(|c| *c == wanted),
        None => clusters.next(),
    };
    if let Some(sending) = sending {
        let message = format!("records are arriving from `{sending}`, but no agent heartbeat");
        return CliError::new(Kind::Found, message).hint(
            "check whether the agents' key was revoked (`kgrca key list`), and the agent's log",
        );
    }
    let message = match cluster {
        Some(cluster) => format!("no agent has reported for `{cluster}`"),
        None => "no agent has reported".to_owned(),
    };
    CliError::new(Kind::Found, message).hint(format!(
        "install one with `kgrca agent install --cluster {}`; it connects within seconds",
        cluster.unwrap_or("NAME")
    ))
}

/// Prints a row per agent, with its problems.
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
        "SENT",
        "WAITING",
        "PROBLEMS",
    ])
    .rows(agents, |a| {
        let status = &a.status;
        let role = match (status.mode, &status.node) {
            (AgentMode::Watch, _) => "watch".to_owned(),
            (AgentMode::Logs, Some(node)) => format!("logs of {node}"),
            (AgentMode::Logs, None) => "logs".to_owned(),
        };
        // By the server's clock, not by this machine's.
        let now = a.seen_at.plus(a.silent_seconds as i64 * SECOND);
        [
            status.cluster.clone(),
            role,
            status.version.clone(),
            env.out.age(now, a.seen_at),
            format!("{} s", status.lag_seconds),
            status.shipped.values().sum::<u64>().to_string(),
            status.spooled.values().sum::<u64>().to_string(),
            a.troubles().join("; "),
        ]
    })
}

#[cfg(test)]
mod tests {
    use kgrca_core::api::ClusterStats;

    use super::*;

    #[test]
    fn a_missing_agent_differs_from_a_missing_heartbeat() {
        let mut stats = Stats::default();
        let error = no_agents(Some("prod"), &stats);
        assert_eq!(error.message, "no agent has reported for `prod`");
        stats.clusters.push(ClusterStats {
            cluster: "prod".to_owned(),
            ..ClusterStats::default()
        });
        let expected = "records are arriving from `prod`, but no agent heartbeat";
        assert_eq!(no_agents(Some("prod"), &stats).message, expected);
        assert_eq!(no_agents(None, &stats).message, expected);
        let error = no_agents(Some("test"), &stats);
        assert_eq!(error.message, "no agent has reported for `test`");
    }
}
