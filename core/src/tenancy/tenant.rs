//! A tenant and its life cycle.

use serde::{Deserialize, Serialize};

use crate::billing::Overrides;
use crate::model::Time;

/// A tenant's stage in its life cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TenantState {
    /// Being provisioned: its saga has not finished.
    Joining,
    /// In service.
    Active,
    /// Requests are refused with 403; records in the log are still processed.
    Suspended,
    /// Being deleted: requests are refused with 403, data is still there.
    Leaving,
    /// Deleted; only usage, subscriptions and the audit log remain.
    Deleted,
}

impl TenantState {
    /// The name used on the wire and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Leaving => "leaving",
            Self::Deleted => "deleted",
        }
    }

    /// Whether workers process its records.
    pub fn is_worked(self) -> bool {
        matches!(self, Self::Active | Self::Suspended)
    }

    /// Parses the name used on the wire and in SQL.
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Joining,
            Self::Active,
            Self::Suspended,
            Self::Leaving,
            Self::Deleted,
        ]
        .into_iter()
        .find(|s| s.as_str() == word)
    }
}

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tenant {
    /// The tenant's id.
    pub client_id: String,
    /// Customer name.
    pub name: String,
    /// Name of the plan.
    pub plan: String,
    /// Stage in its life cycle.
    pub state: TenantState,
    /// Contact e-mail.
    pub contact_email: String,
    /// Time of creation.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// Time at which deletion was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<Time>,
    /// Number of partitions of each of its topics.
    pub partitions: u32,
    /// Limits that override the plan's.
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    pub limits: Overrides,
}
