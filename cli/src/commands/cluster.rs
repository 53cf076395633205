//! `kgrca cluster`

use kgrca_core::api::{Agent, AgentMode, ClusterStats, Stats};
use serde::Serialize;

use super::{Env, agent};
use crate::client::As;
use crate::error::Result;
use crate::output::{Table, now};

/// List clusters and the status of their agents
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List clusters with their resources, incidents and agents
    List,
}

/// A cluster with its agents.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    stats: &'a ClusterStats,
    agents: Vec<&'a Agent>,
    troubles: Vec<String>,
}

impl<'a> Row<'a> {
    fn new(stats: &'a ClusterStats, agents: &'a [Agent]) -> Self {
        let agents: Vec<&Agent> = agents
            .iter()
            .filter(|a| a.status.cluster == stats.cluster)
            .collect();
        let troubles = agents.iter().flat_map(|a| a.troubles()).collect();
        Self {
            stats,
            agents,
            troubles,
        }
    }

    /// Version of the agent that watches the API server.
    fn agent_version(&self) -> String {
        let watching = self
            .agents
            .iter()
            .find(|a| a.status.mode == AgentMode::Watch);
        match watching {
            Some(agent) => agent.status.version.clone(),
            None => "-".to_owned(),
        }
    }

    fn nodes_with_logs(&self) -> usize {
        let logs = |a: &&&Agent| a.status.mode == AgentMode::Logs;
        self.agents.iter().filter(logs).count()
    }
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    let Verb::List = verb;
    let client = env.client()?;
    let stats: Stats = client.get(As::Tenant, "/api/v1/stats", &[])?;
    let agents = agent::agents(&client, None)?;
    let rows: Vec<Row<'_>> = stats
        .clusters
        .iter()
        .map(|stats| Row::new(stats, &agents))
        .collect();
    env.out.value(&rows, || {
        Table::new(&[
            "CLUSTER",
            "RESOURCES",
            "INCIDENTS",
            "LAST RECORD",
            "AGENT",
            "NODES WITH LOGS",
            "PROBLEMS",
        ])
        .rows(&rows, |r| {
            [
                r.stats.cluster.clone(),
                r.stats.counts.resources.to_string(),
                r.stats.counts.incidents.to_string(),
                env.out.age(now(), r.stats.last_record),
                r.agent_version(),
                r.nodes_with_logs().to_string(),
                r.troubles.join("; "),
            ]
        })
    })
}
