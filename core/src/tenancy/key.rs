//! API keys, their scopes and roles.

use serde::{Deserialize, Serialize};

use crate::model::Time;

/// What a key may do.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Send records.
    Ingest,
    /// Read answers, incidents and the graph.
    Read,
    /// Ask the graph in its query language.
    Query,
    /// Manage the tenant; of the operator's keys: all tenants.
    Admin,
    /// Read usage and invoices.
    Billing,
    /// Read `/metrics`.
    Metrics,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 6] = [
        Self::Ingest,
        Self::Read,
        Self::Query,
        Self::Admin,
        Self::Billing,
        Self::Metrics,
    ];

    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Query => "query",
            Self::Admin => "admin",
            Self::Billing => "billing",
            Self::Metrics => "metrics",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }
}

/// An API key as it is stored: never the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiKey {
    /// Identity for people.
    pub key_id: String,
    /// The tenant; absent for the operator's keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What it is for.
    pub name: String,
    /// Last four characters.
    pub last4: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// When it stops working by itself, such as after a rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Time>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Time>,
}

impl ApiKey {
    /// Whether it works at an instant.
    pub fn holds(&self, now: Time) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// A named set of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything that a key of its owner can do. Of the operator's keys: all tenants.
    Admin,
    /// Reads and asks.
    Viewer,
    /// Reads usage and invoices.
    Billing,
    /// Sends records: what an agent holds.
    Agent,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Viewer, Self::Billing, Self::Agent];

    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
            Self::Billing => "billing",
            Self::Agent => "agent",
        }
    }

    /// What it may do.
    pub fn scopes(self) -> Vec<Scope> {
        match self {
            Self::Admin => vec![
                Scope::Ingest,
                Scope::Read,
                Scope::Query,
                Scope::Billing,
                Scope::Admin,
            ],
            Self::Viewer => vec![Scope::Read, Scope::Query],
            Self::Billing => vec![Scope::Billing],
            Self::Agent => vec![Scope::Ingest],
        }
    }
}
