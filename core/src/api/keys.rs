//! Requests for keys: a role, or individual scopes. Operator keys and tenant keys have different
//! roles and scopes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::Time;
use crate::tenancy::{Network, Role, Scope};

/// The largest number of networks of a key.
pub const MAX_NETWORKS: usize = 32;
/// The shortest and the longest life of a key that expires, in seconds.
pub const MIN_KEY_SECONDS: u32 = 60;
/// Ten years.
pub const MAX_KEY_SECONDS: u32 = 315_360_000;

/// How far a key reaches, apart from its scopes. All of it is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyLimits {
    /// Seconds until it expires.
    pub expires_in_seconds: Option<u32>,
    /// When it expires.
    pub expires_at: Option<Time>,
    /// Networks from which it can be used.
    pub allowed_networks: Vec<Network>,
    /// The only cluster whose records it can send.
    pub cluster: Option<String>,
    /// SHA-256 of the client certificate that it can be used with.
    pub certificate_sha256: Option<String>,
}

/// What is asked for, whatever the form of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRequest {
    /// What the key is for.
    pub name: String,
    /// Its scopes.
    pub scopes: Vec<Scope>,
    /// How far it reaches.
    pub limits: KeyLimits,
}

/// A request for a key with its name and limits, and the fields that say what it may do. Unknown
/// fields are refused, which a flattened structure could not do.
macro_rules! key_request {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $of:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// What the key is for.
            #[serde(default)]
            #[schema(max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
            pub name: String,
            $($(#[$field_doc])* pub $field: $of,)*
            /// Seconds until it expires; by default it does not.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(minimum = 60, maximum = 315_360_000)]
            pub expires_in_seconds: Option<u32>,
            /// When it expires, instead of `expires_in_seconds`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<String>, format = DateTime)]
            pub expires_at: Option<Time>,
            /// Networks from which it can be used, in CIDR notation; by default all.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schema(value_type = Vec<String>, max_items = 32)]
            pub allowed_networks: Vec<Network>,
            /// The only cluster whose records it can send; for keys that can only send.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(min_length = 1, max_length = 253)]
            pub cluster: Option<String>,
            /// SHA-256 of the client certificate that it can be used with, in hexadecimal; for
            /// servers that ask for client certificates.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(pattern = "^[0-9a-f]{64}$")]
            pub certificate_sha256: Option<String>,
        }

        impl $name {
            /// A request with limits.
            pub fn new(name: String, $($field: $of,)* limits: KeyLimits) -> Self {
                Self {
                    name,
                    $($field,)*
                    expires_in_seconds: limits.expires_in_seconds,
                    expires_at: limits.expires_at,
                    allowed_networks: limits.allowed_networks,
                    cluster: limits.cluster,
                    certificate_sha256: limits.certificate_sha256,
                }
            }

            fn with(self, scopes: Vec<Scope>) -> KeyRequest {
                KeyRequest {
                    name: self.name,
                    scopes,
                    limits: KeyLimits {
                        expires_in_seconds: self.expires_in_seconds,
                        expires_at: self.expires_at,
                        allowed_networks: self.allowed_networks,
                        cluster: self.cluster,
                        certificate_sha256: self.certificate_sha256,
                    },
                }
            }
        }
    };
}

/// A request for a tenant key, by the operator.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "a key is {role, name?, scopes?} or {scopes, name?}, with limits as in GET /docs"
)]
pub enum NewKey {
    /// A role.
    OfRole(KeyOfRole),
    /// Individual scopes.
    OfScopes(KeyOfScopes),
}

key_request!(
    /// A role, and perhaps further scopes.
    KeyOfRole {
        /// The role.
        role: Role,
        /// Further scopes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        scopes: Vec<Scope>,
    }
);

key_request!(
    /// Individual scopes.
    KeyOfScopes {
        /// The scopes.
        #[schema(min_items = 1)]
        scopes: Vec<Scope>,
    }
);

impl From<NewKey> for KeyRequest {
    fn from(new: NewKey) -> Self {
        match new {
            NewKey::OfRole(k) => {
                let scopes = k.role.scopes().into_iter().chain(k.scopes.clone());
                let scopes = scopes.collect();
                k.with(scopes)
            }
            NewKey::OfScopes(k) => {
                let scopes = k.scopes.clone();
                k.with(scopes)
            }
        }
    }
}

key_request!(
    /// A request for a key by the tenant itself. Individual scopes are granted by the operator only.
    NewOwnKey {
        /// The role.
        role: Role,
    }
);

impl From<NewOwnKey> for KeyRequest {
    fn from(new: NewOwnKey) -> Self {
        let scopes = new.role.scopes();
        new.with(scopes)
    }
}

/// A request for an operator key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "an operator key has either a role (admin or billing) or scopes (admin, billing, \
                 metrics); GET /docs lists the other fields"
)]
pub enum NewOperatorKey {
    /// A role.
    OfRole(OperatorKeyOfRole),
    /// Individual scopes.
    OfScopes(OperatorKeyOfScopes),
}

key_request!(
    /// A role of the operator.
    OperatorKeyOfRole {
        /// The role.
        role: OperatorRole,
    }
);

key_request!(
    /// Individual scopes of the operator.
    OperatorKeyOfScopes {
        /// The scopes.
        #[schema(min_items = 1)]
        scopes: Vec<OperatorScope>,
    }
);

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

impl From<NewOperatorKey> for KeyRequest {
    fn from(new: NewOperatorKey) -> Self {
        match new {
            NewOperatorKey::OfRole(k) => {
                let scopes = match k.role {
                    OperatorRole::Admin => vec![Scope::Admin, Scope::Billing, Scope::Metrics],
                    OperatorRole::Billing => vec![Scope::Billing],
                };
                k.with(scopes)
            }
            NewOperatorKey::OfScopes(k) => {
                let scopes = k.scopes.iter().copied().map(Into::into).collect();
                k.with(scopes)
            }
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
    /// Seconds until the new key expires; by default it lives as long as the old one was to live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 315_360_000)]
    pub expires_in_seconds: Option<u32>,
}
