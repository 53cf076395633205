//! API keys, their scopes and roles.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Network;
use crate::model::Time;

/// A permission of an API key.
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
    /// Ingest records.
    Ingest,
    /// Read answers, incidents and the graph.
    Read,
    /// Run Cypher queries.
    Query,
    /// Manage the tenant; with an operator key, all tenants.
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

    /// The name used on the wire.
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

    /// Parses the name used on the wire.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }
}

/// An API key as it is stored: never the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiKey {
    /// Id for people; the secret cannot be derived from it.
    pub key_id: String,
    /// The tenant; `None` for an operator key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Description.
    pub name: String,
    /// Last four characters of the secret.
    pub last4: String,
    /// Permissions.
    pub scopes: Vec<Scope>,
    /// Time of creation.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// When it expires, such as after a rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Time>,
    /// Time of revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Time>,
    /// Id of the key that replaced it; it works until `expires_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
    /// Networks from which it can be used, in CIDR notation; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub allowed_networks: Vec<Network>,
    /// The only cluster whose records it can send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// SHA-256 of the client certificate that it can be used with, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<String>,
    /// When it was last used, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Time>,
    /// The address from which it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_from: Option<String>,
}

/// The last use of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The key's id.
    pub key_id: String,
    /// When it was used.
    pub at: Time,
    /// From which address, where that is known.
    pub from: Option<IpAddr>,
}

impl ApiKey {
    /// Whether it is valid at an instant.
    pub fn holds(&self, now: Time) -> bool {
        self.revoked_at.is_none() && self.expires_at.map(|at| now < at).unwrap_or(true)
    }
}

/// A named set of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// All scopes but `metrics`; with an operator key, for all tenants.
    Admin,
    /// Reads answers and runs queries.
    Viewer,
    /// Reads usage and invoices.
    Billing,
    /// Ingests records: for agents.
    Agent,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Viewer, Self::Billing, Self::Agent];

    /// The name used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
            Self::Billing => "billing",
            Self::Agent => "agent",
        }
    }

    /// The scopes it stands for.
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
