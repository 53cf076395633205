//! `kgrca cluster`

use kgrca_core::api::{Agent, AgentMode, ClusterStats, Stats};
use kgrca_core::model::Time;
use serde::Serialize;

use super::{Env, agent};
use crate::client::As;
use crate::error::Result;
use crate::output::Table;

/// Clusters of the tenant.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List clusters, with what is known of each and how its agents fare
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
    fn of(stats: &'a ClusterStats, agents: &'a [Agent]) -> Self {
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
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    let Verb::List = verb;
    let client = env.client()?;
    let stats: Stats = client.get(As::Tenant, "/api/v1/stats", &[])?;
    let agents = agent::agents(&client, None)?;
    let now = Time(jiff::Timestamp::now().as_microsecond());
    let rows: Vec<Row<'_>> = stats
        .clusters
        .iter()
        .map(|stats| Row::of(stats, &agents))
        .collect();
    env.out.value(&rows, || {
        Table::new(&[
            "CLUSTER",
            "RESOURCES",
            "INCIDENTS",
            "LAST RECORD",
            "AGENT",
            "NODES WITH LOGS",
            "TROUBLES",
        ])
        .rows(&rows, |r| {
            let watching = r.agents.iter().find(|a| a.status.mode == AgentMode::Watch);
            [
                r.stats.cluster.clone(),
                r.stats.counts.resources.to_string(),
                r.stats.counts.incidents.to_string(),
                env.out.age(now, r.stats.last_record),
                watching.map_or_else(|| "-".to_owned(), |a| a.status.version.clone()),
                r.agents
                    .iter()
                    .filter(|a| a.status.mode == AgentMode::Logs)
                    .count()
                    .to_string(),
                r.troubles.join("; "),
            ]
        })
    })
}
