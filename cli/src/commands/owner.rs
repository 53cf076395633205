//! Whose keys, usage or audit log a command works on: the caller's own by default.

use super::{Env, tenant};
use crate::client::{As, Client};
use crate::error::{CliError, Kind, Result};

/// Selects one tenant.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct TenantArg {
    /// Tenant ID or name; needs the operator's key [default: the tenant of your API key]
    #[arg(long, add = crate::complete::tenants())]
    pub(super) tenant: Option<String>,
}

/// Selects a tenant or the operator.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct OwnerArgs {
    /// Tenant ID or name; needs the operator's key [default: the tenant of your API key; without
    /// one, the operator]
    #[arg(long, add = crate::complete::tenants())]
    tenant: Option<String>,
    /// The operator instead of a tenant; needs the operator's key
    #[arg(long, conflicts_with = "tenant")]
    operator: bool,
}

/// Whose objects a command works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The tenant that the API key belongs to.
    Caller,
    /// Another tenant, by ID.
    Tenant(String),
    /// The operator.
    Operator,
}

impl Owner {
    /// Whose key gives access.
    pub(super) fn key(&self) -> As {
        match self {
            Self::Caller => As::Tenant,
            Self::Tenant(_) | Self::Operator => As::Operator,
        }
    }

    /// The flags that select the same owner, with a leading space.
    pub(super) fn flags(&self) -> String {
        match self {
            Self::Caller => String::new(),
            Self::Tenant(id) => format!(" --tenant {id}"),
            Self::Operator => " --operator".to_owned(),
        }
    }
}

impl TenantArg {
    /// The tenant given on the command line, else the caller's own.
    pub(super) fn resolve(self, env: &Env<'_>, client: &Client) -> Result<Owner> {
        let Some(tenant) = self.tenant else {
            return Ok(Owner::Caller);
        };
        if !client.has_key(As::Operator) {
            let message = "--tenant needs the operator's key";
            return Err(CliError::new(Kind::NotAllowed, message)
                .hint("set KGRCA_OPERATOR_KEY, or leave out --tenant to work on your own tenant"));
        }
        Ok(Owner::Tenant(tenant::id_of(env, tenant)?))
    }
}

impl OwnerArgs {
    /// The owner given on the command line, else whoever the context's key belongs to: the tenant,
    /// or the operator where there is only the operator's key.
    pub(super) fn resolve(self, env: &Env<'_>, client: &Client) -> Result<Owner> {
        let has_only_operator_key = !client.has_key(As::Tenant) && client.has_key(As::Operator);
        if self.operator || self.tenant.is_none() && has_only_operator_key {
            return Ok(Owner::Operator);
        }
        let tenant = TenantArg {
            tenant: self.tenant,
        };
        tenant.resolve(env, client)
    }
}
