//! `kgrca stats`

use kgrca_core::api::{ClusterStats, Stats};

use super::Env;
use crate::client::As;
use crate::error::Result;
use crate::output::{Table, now};

/// Show ingestion statistics
///
/// Prints what the graph of each cluster holds, and how many of the tenant's records were applied,
/// duplicate or rejected.
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
                env.out.age(now(), c.last_record),
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
    env.out.message(&totals(&stats));
    Ok(())
}

/// The counts since the tenant exists, and what is not processed yet.
fn totals(stats: &Stats) -> String {
    let records = &stats.records;
    format!(
        "{} records in total: {} applied, {} duplicate, {} rejected; {} waiting",
        records.seen, records.applied, records.duplicate, records.rejected, stats.lag
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_not_called_counts_since_a_start() {
        let mut stats = Stats::default();
        stats.records.seen = 7;
        stats.records.applied = 4;
        stats.records.duplicate = 2;
        stats.records.rejected = 1;
        stats.lag = 3;
        assert_eq!(
            totals(&stats),
            "7 records in total: 4 applied, 2 duplicate, 1 rejected; 3 waiting"
        );
    }
}
