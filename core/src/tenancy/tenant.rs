//! A tenant and its life cycle.

use serde::{Deserialize, Serialize};

use crate::billing::Overrides;
use crate::model::Time;

/// Whether a tenant is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TenantState {
    /// Being set up: its saga is not done.
    Joining,
    /// Served.
    Active,
    /// Keys answer 403 with the reason.
    Suspended,
    /// Being offboarded: keys answer 403, its data is still there.
    Leaving,
    /// Gone; what it owes is still told.
    Deleted,
}

impl TenantState {
    /// The word used on the wire and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Leaving => "leaving",
            Self::Deleted => "deleted",
        }
    }

    /// Whether its records are worked off.
    pub fn is_worked(self) -> bool {
        matches!(self, Self::Active | Self::Suspended)
    }

    /// Reads the word.
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
    /// What the customer is called.
    pub name: String,
    /// The plan's name.
    pub plan: String,
    /// Whether it is served.
    pub state: TenantState,
    /// Whom to write to.
    pub contact_email: String,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// When it began to leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<Time>,
    /// Partitions of each of its topics.
    pub partitions: u32,
    /// Limits that were agreed instead of the plan's.
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    pub limits: Overrides,
}
