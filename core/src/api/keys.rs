//! Wishes for keys: a role, or scopes one by one. What a key of the operator can do is another
//! thing than what a tenant's can.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::tenancy::{Role, Scope};

/// A wish for a tenant's new key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "a key is {role, name?, scopes?} or {scopes, name?}"
)]
pub enum NewKey {
    /// A named set of scopes.
    OfRole(KeyOfRole),
    /// Scopes one by one.
    OfScopes(KeyOfScopes),
}

/// A named set of scopes, and perhaps more.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyOfRole {
    /// What it is for.
    #[serde(default)]
    pub name: String,
    /// The set.
    pub role: Role,
    /// What it may do besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
}

/// Scopes one by one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyOfScopes {
    /// What it is for.
    #[serde(default)]
    pub name: String,
    /// What it may do.
    #[schema(min_items = 1)]
    pub scopes: Vec<Scope>,
}

impl NewKey {
    /// Its name, and all it may do.
    pub fn wanted(self) -> (String, Vec<Scope>) {
        match self {
            Self::OfRole(k) => (
                k.name,
                k.role.scopes().into_iter().chain(k.scopes).collect(),
            ),
            Self::OfScopes(k) => (k.name, k.scopes),
        }
    }
}

/// A tenant's own wish for a new key: scopes one by one are the operator's to give.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOwnKey {
    /// What it is for.
    #[serde(default)]
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// A wish for a new key of the operator.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "a key of the operator is {role: admin or billing, name?} or {scopes: [admin, billing, metrics], name?}"
)]
pub enum NewOperatorKey {
    /// A named set of scopes.
    OfRole(OperatorKeyOfRole),
    /// Scopes one by one.
    OfScopes(OperatorKeyOfScopes),
}

/// A named set of scopes of the operator.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperatorKeyOfRole {
    /// What it is for.
    #[serde(default)]
    pub name: String,
    /// The set.
    pub role: OperatorRole,
}

/// Scopes of the operator one by one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperatorKeyOfScopes {
    /// What it is for.
    #[serde(default)]
    pub name: String,
    /// What it may do.
    #[schema(min_items = 1)]
    pub scopes: Vec<OperatorScope>,
}

/// A named set of scopes of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OperatorRole {
    /// All tenants, what they owe, and metrics.
    Admin,
    /// What tenants owe, and nothing else.
    Billing,
}

/// What a key of the operator may do.
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
    /// Its name, and all it may do.
    pub fn wanted(self) -> (String, Vec<Scope>) {
        match self {
            Self::OfRole(k) if k.role == OperatorRole::Billing => (k.name, vec![Scope::Billing]),
            Self::OfRole(k) => (k.name, vec![Scope::Admin, Scope::Billing, Scope::Metrics]),
            Self::OfScopes(k) => (k.name, k.scopes.into_iter().map(Into::into).collect()),
        }
    }
}

/// A wish for a key in the place of another.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// For how long both work, in seconds; a day when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 2_592_000)]
    pub overlap_seconds: Option<u32>,
}
