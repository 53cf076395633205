//! `kgrca stats`

use kgrca_core::api::{ClusterStats, Stats};

use super::Env;
use crate::client::As;
use crate::error::Result;
use crate::output::Table;

/// Shows what the tenant has sent and what became of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(env: &Env<'_>, _: Args) -> Result {
    let stats: Stats = env.client()?.get(As::Tenant, "/api/v1/stats", &[])?;
    env.out.value(&stats, || {
        let cells = |c: &ClusterStats| {
            [
                c.cluster.clone(),
                c.counts.resources.to_string(),
                c.counts.edges.to_string(),
                c.counts.episodes.to_string(),
                c.counts.incidents.to_string(),
                c.last_record.to_string(),
            ]
        };
        Table::new(&[
            "CLUSTER",
            "RESOURCES",
            "EDGES",
            "EPISODES",
            "INCIDENTS",
            "LAST RECORD",
        ])
        .rows(&stats.clusters, cells)
    })?;
    let r = &stats.records;
    env.out.message(&format!(
        "{} records since the daemon started: {} applied, {} duplicate, {} rejected; {} waiting",
        r.seen, r.applied, r.duplicate, r.rejected, stats.lag
    ));
    Ok(())
}
