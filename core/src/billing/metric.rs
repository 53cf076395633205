//! What is counted for each tenant and day.

use serde::{Deserialize, Serialize};

macro_rules! metrics {
    ($($(#[$doc:meta])* $variant:ident $name:tt),* $(,)?) => {
        /// A usage counter.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            utoipa::ToSchema,
        )]
        pub enum Metric { $($(#[$doc])* #[serde(rename = $name)] $variant,)* }

        impl Metric {
            /// All metrics.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name used on the wire and in SQL.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

metrics! {
    /// Requests to the API.
    ApiCalls "api_calls_count",
    /// Events that are billed: accepted Kubernetes events, log records and notifications of alerts.
    EventsIngested "events_ingested_count",
    /// Events refused because a hard limit of the plan was reached.
    EventsRejectedQuota "events_rejected_quota_count",
    /// Edges of the graph at the end of the day.
    GraphEdges "graph_edges_count",
    /// Resources, episodes and incidents of the graph at the end of the day.
    GraphNodes "graph_nodes_count",
    /// Incidents opened.
    Incidents "incidents_count",
    /// Root cause analyses served.
    RcaQueries "rca_queries_count",
    /// Records that changed the live state.
    RecordsApplied "records_applied_count",
    /// Records that had been received before.
    RecordsDuplicate "records_duplicate_count",
    /// Records that were acknowledged and then lost to damage in the log.
    RecordsLost "records_lost_count",
    /// Records refused by ingestion; they are not in the log.
    RecordsRefused "records_refused_count",
    /// Records in the log that could not be processed.
    RecordsRejected "records_rejected_count",
    /// Bytes stored at the end of the day.
    StorageBytes "storage_bytes",
}

impl Metric {
    /// The metric with this name; `None` for a name that this version does not know.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|m| m.as_str() == name)
    }
}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_on_the_wire_and_in_sql() {
        for metric in Metric::ALL {
            assert_eq!(Metric::parse(metric.as_str()), Some(*metric));
            let json = serde_json::to_string(metric).unwrap();
            assert_eq!(json, format!("\"{}\"", metric.as_str()));
        }
        assert_eq!(Metric::parse("events_lost_count"), None);
    }

    #[test]
    fn the_schema_lists_the_names_used_on_the_wire() {
        let schema = serde_json::to_value(<Metric as utoipa::PartialSchema>::schema()).unwrap();
        let names: Vec<&str> = Metric::ALL.iter().map(|metric| metric.as_str()).collect();
        assert_eq!(schema["enum"], serde_json::json!(names));
    }
}
