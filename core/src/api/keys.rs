//! Requests for keys: a role, or individual scopes. Operator keys and tenant keys have different
//! roles and scopes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::tenancy::{Role, Scope};

/// A request for a tenant key, by the operator.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "a key is {role, name?, scopes?} or {scopes, name?}"
)]
pub enum NewKey {
    /// A role.
    OfRole(KeyOfRole),
    /// Individual scopes.
    OfScopes(KeyOfScopes),
}

/// A role, and perhaps further scopes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyOfRole {
    /// What the key is for.
    #[serde(default)]
    #[schema(max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub name: String,
    /// The role.
    pub role: Role,
    /// Further scopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
}

/// Individual scopes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyOfScopes {
    /// What the key is for.
    #[serde(default)]
    #[schema(max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub name: String,
    /// The scopes.
    #[schema(min_items = 1)]
    pub scopes: Vec<Scope>,
}

impl NewKey {
    /// The key's name, and all its scopes.
    pub fn name_and_scopes(self) -> (String, Vec<Scope>) {
        match self {
            Self::OfRole(k) => (
                k.name,
                k.role.scopes().into_iter().chain(k.scopes).collect(),
            ),
            Self::OfScopes(k) => (k.name, k.scopes),
        }
    }
}

/// A request for a key by the tenant itself. Individual scopes are granted by the operator only.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOwnKey {
    /// What the key is for.
    #[serde(default)]
    #[schema(max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub name: String,
    /// The role.
    pub role: Role,
}

/// A request for an operator key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "a key of the operator is {role: admin or billing, name?} or {scopes: [admin, billing, metrics], name?}"
)]
pub enum NewOperatorKey {
    /// A role.
    OfRole(OperatorKeyOfRole),
    /// Individual scopes.
    OfScopes(OperatorKeyOfScopes),
}

/// A role of the operator.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperatorKeyOfRole {
    /// What the key is for.
    #[serde(default)]
    #[schema(max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub name: String,
    /// The role.
    pub role: OperatorRole,
}

/// Individual scopes of the operator.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperatorKeyOfScopes {
    /// What the key is for.
    #[serde(default)]
    #[schema(max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub name: String,
    /// The scopes.
    #[schema(min_items = 1)]
    pub scopes: Vec<OperatorScope>,
}

/// Roles of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OperatorRole {
    /// Manage all tenants, read usage, invoices and metrics.
    Admin,
    /// Read usage and invoices of all tenants only.
    Billing,
}

/// Scopes of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OperatorScope {
    /// Manage all tenants.
    Admin,
    /// Read usage and invoices of all tenants.
    Billing,
    /// Read `/metrics`.
    Metrics,
}

impl From<OperatorScope> for Scope {
    fn from(scope: OperatorScope) -> Self {
        match scope {
            OperatorScope::Admin => Self::Admin,
            OperatorScope::Billing => Self::Billing,
            OperatorScope::Metrics => Self::Metrics,
        }
    }
}

impl NewOperatorKey {
    /// The key's name, and all its scopes.
    pub fn name_and_scopes(self) -> (String, Vec<Scope>) {
        match self {
            Self::OfRole(k) if k.role == OperatorRole::Billing => (k.name, vec![Scope::Billing]),
            Self::OfRole(k) => (k.name, vec![Scope::Admin, Scope::Billing, Scope::Metrics]),
            Self::OfScopes(k) => (k.name, k.scopes.into_iter().map(Into::into).collect()),
        }
    }
}

/// How to replace a key.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// How long both keys work, in seconds; default: one day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 2_592_000)]
    pub overlap_seconds: Option<u32>,
}
