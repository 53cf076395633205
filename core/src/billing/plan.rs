//! The catalogue of plans, the same for command line and daemon.

use std::sync::LazyLock;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// A plan; an absent limit is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// US dollars a month; absent when agreed one by one.
    #[schema(value_type = Option<String>)]
    pub price_month: Option<Decimal>,
    /// Events a day: hard on the free plan, else what the month includes per day.
    #[serde(default)]
    pub events_day: Option<u64>,
    /// Whether events beyond the day's number are refused.
    #[serde(default)]
    pub events_are_hard: bool,
    /// RCA queries an hour; hard.
    #[serde(default)]
    pub rca_hour: Option<u64>,
    /// RCA queries that a month includes.
    #[serde(default)]
    pub rca_month: Option<u64>,
    /// API calls a minute; hard.
    #[serde(default)]
    pub api_minute: Option<u64>,
    /// Clusters.
    #[serde(default)]
    pub clusters: Option<u64>,
    /// How long records and the graph are kept, in days.
    pub retention_days: u32,
    /// Partitions of each topic where the log has several.
    #[serde(default = "usual_partitions")]
    pub partitions: u32,
    /// Storage included, in GB.
    #[serde(default)]
    pub storage_gb: Option<u64>,
    /// Prices of what goes beyond; absent when nothing may.
    #[serde(default)]
    pub overage: Option<Overage>,
}

fn usual_partitions() -> u32 {
    6
}

/// Prices of what goes beyond a plan, in US dollars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Overage {
    /// Per 1,000 events.
    #[schema(value_type = String)]
    pub events_1000: Decimal,
    /// Per RCA query.
    #[schema(value_type = String)]
    pub rca: Decimal,
    /// Per GB and month.
    #[schema(value_type = String)]
    pub storage_gb: Decimal,
}

/// Limits that were agreed with one tenant instead of its plan's; an absent one is the plan's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// See [`Plan::events_day`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_day: Option<u64>,
    /// See [`Plan::rca_hour`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rca_hour: Option<u64>,
    /// See [`Plan::api_minute`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_minute: Option<u64>,
    /// See [`Plan::clusters`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<u64>,
    /// See [`Plan::retention_days`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 36_500)]
    pub retention_days: Option<u32>,
}

impl Overrides {
    /// Whether everything is the plan's.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Plan {
    /// The plan with what was agreed instead.
    #[must_use]
    pub fn with(&self, agreed: &Overrides) -> Self {
        Self {
            events_day: agreed.events_day.or(self.events_day),
            rca_hour: agreed.rca_hour.or(self.rca_hour),
            api_minute: agreed.api_minute.or(self.api_minute),
            clusters: agreed.clusters.or(self.clusters),
            retention_days: agreed.retention_days.unwrap_or(self.retention_days),
            ..self.clone()
        }
    }
}

static PLANS: LazyLock<Vec<Plan>> = LazyLock::new(|| {
    // A test reads the file, so that it cannot be wrong here.
    serde_yaml::from_str(include_str!("plans.yaml")).unwrap_or_default()
});

/// All plans, cheapest first.
pub fn plans() -> &'static [Plan] {
    &PLANS
}

/// A plan by its name.
pub fn find(name: &str) -> Option<&'static Plan> {
    PLANS.iter().find(|p| p.name == name)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_file_is_read() {
        let plans: Vec<super::Plan> = serde_yaml::from_str(include_str!("plans.yaml")).unwrap();
        assert_eq!(
            plans.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(),
            ["free", "basic", "pro", "enterprise"]
        );
        assert!(plans[0].events_are_hard && !plans[1].events_are_hard);
    }
}
