//! The catalogue of plans, `plans.yaml`, which the daemon and the command line share.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// A plan. An absent limit means unlimited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Name of the plan, such as `pro`.
    pub name: String,
    /// Price in US dollars per month; absent when agreed individually.
    #[schema(value_type = Option<String>)]
    pub price_month: Option<Decimal>,
    /// Events per day: a hard limit if `events_are_hard`, else the number that is included.
    #[serde(default)]
    pub events_day: Option<u64>,
    /// Whether events beyond the daily limit are rejected.
    #[serde(default)]
    pub events_are_hard: bool,
    /// RCA queries per hour, a hard limit.
    #[serde(default)]
    pub rca_hour: Option<u64>,
    /// RCA queries included per month.
    #[serde(default)]
    pub rca_month: Option<u64>,
    /// API calls per minute, a hard limit.
    #[serde(default)]
    pub api_minute: Option<u64>,
    /// Maximum number of active clusters.
    #[serde(default)]
    pub clusters: Option<u64>,
    /// Maximum number of live objects in all clusters; as many edges of topology records and
    /// streams of senders are kept.
    #[serde(default)]
    pub live_objects: Option<u64>,
    /// Megabytes of objects and topology that are taken in per day, a hard limit.
    #[serde(default)]
    pub state_mb_day: Option<u64>,
    /// Retention of records and graph, in days.
    pub retention_days: u32,
    /// Partitions per topic, if the log supports several.
    #[serde(default = "default_partitions")]
    pub partitions: u32,
    /// Included storage in GB.
    #[serde(default)]
    pub storage_gb: Option<u64>,
    /// Prices beyond the included amounts; absent when these cannot be exceeded.
    #[serde(default)]
    pub overage: Option<Overage>,
}

fn default_partitions() -> u32 {
    6
}

/// Prices beyond the included amounts, in US dollars.
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

/// Limits of one tenant that replace those of its plan. An absent one is that of the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// See [`Plan::events_day`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000)]
    pub events_day: Option<u64>,
    /// See [`Plan::rca_hour`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000)]
    pub rca_hour: Option<u64>,
    /// See [`Plan::api_minute`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000)]
    pub api_minute: Option<u64>,
    /// See [`Plan::clusters`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000)]
    pub clusters: Option<u64>,
    /// See [`Plan::live_objects`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000)]
    pub live_objects: Option<u64>,
    /// See [`Plan::state_mb_day`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000_000)]
    pub state_mb_day: Option<u64>,
    /// See [`Plan::retention_days`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 36_500)]
    pub retention_days: Option<u32>,
}

impl Overrides {
    /// The names of all limits.
    pub const NAMES: [&str; 7] = [
        "events_day",
        "rca_hour",
        "api_minute",
        "clusters",
        "live_objects",
        "state_mb_day",
        "retention_days",
    ];

    /// These limits with changes by name: a number replaces a limit, null restores the plan's.
    ///
    /// # Errors
    /// For an unknown name.
    pub fn changed(
        &self,
        changes: &BTreeMap<String, Option<u64>>,
    ) -> Result<Self, serde_json::Error> {
        let mut all = serde_json::to_value(self)?;
        for (name, value) in changes {
            all[name] = (*value).into();
        }
        serde_json::from_value(all)
    }

    /// Whether all limits are those of the plan.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Plan {
    /// The plan with the limits of a tenant.
    #[must_use]
    pub fn with(&self, overrides: &Overrides) -> Self {
        Self {
            events_day: overrides.events_day.or(self.events_day),
            rca_hour: overrides.rca_hour.or(self.rca_hour),
            api_minute: overrides.api_minute.or(self.api_minute),
            clusters: overrides.clusters.or(self.clusters),
            live_objects: overrides.live_objects.or(self.live_objects),
            state_mb_day: overrides.state_mb_day.or(self.state_mb_day),
            retention_days: overrides.retention_days.unwrap_or(self.retention_days),
            ..self.clone()
        }
    }
}

/// Constant data of the build, unlike weights, of which experiments use others: hence a static.
static PLANS: LazyLock<Vec<Plan>> = LazyLock::new(|| {
    // A test reads the file, so that it cannot be invalid here.
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
    use super::*;

    #[test]
    fn the_shipped_file_is_valid() {
        let plans: Vec<Plan> = serde_yaml::from_str(include_str!("plans.yaml")).unwrap();
        assert_eq!(
            plans.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(),
            ["free", "basic", "pro", "enterprise"]
        );
        assert!(plans[0].events_are_hard && !plans[1].events_are_hard);
    }

    #[test]
    fn limits_that_are_not_named_stay() {
        let agreed = Overrides {
            rca_hour: Some(7),
            events_day: Some(20),
            ..Overrides::default()
        };
        let after = |changes: &[(&str, Option<u64>)]| {
            let changes = changes.iter().map(|(name, n)| ((*name).to_owned(), *n));
            agreed.changed(&changes.collect())
        };
        let limits = after(&[("clusters", Some(2)), ("events_day", None)]).unwrap();
        let expected = (Some(7), Some(2), None);
        assert_eq!(
            (limits.rca_hour, limits.clusters, limits.events_day),
            expected
        );
        assert!(after(&[("rca_week", Some(1))]).is_err());
        let all = Overrides::NAMES.map(|name| (name.to_owned(), Some(5)));
        let all = Overrides::default().changed(&all.into_iter().collect());
        let names = serde_json::to_value(all.unwrap()).unwrap();
        assert_eq!(names.as_object().unwrap().len(), Overrides::NAMES.len());
    }
}
