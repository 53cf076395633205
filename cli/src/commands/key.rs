//! `kgrca key`

use kgrca_core::api::{CreatedKey, NewKey, Page};
use kgrca_core::storage::{ApiKey, Scope};
use reqwest::Method;

use super::Env;
use super::tenant::id_of;
use crate::client::As;
use crate::error::Result;
use crate::output::Table;
use crate::prompt;

/// Manages a tenant's API keys.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Create a key; it is shown once
    Create {
        /// Tenant's id or name
        #[arg(long, add = crate::complete::tenants())]
        tenant: String,
        /// What it is for
        #[arg(long, default_value = "")]
        name: String,
        /// What it may do: ingest, read, query, billing, metrics, or admin (handle incidents)
        #[arg(long, value_delimiter = ',', default_value = "ingest,read", value_parser = scope)]
        scopes: Vec<Scope>,
    },
    /// List keys; never the secrets
    List {
        /// Tenant's id or name
        #[arg(long, add = crate::complete::tenants())]
        tenant: String,
    },
    /// Revoke a key
    Revoke {
        /// Key id
        id: String,
        /// Tenant's id or name
        #[arg(long, add = crate::complete::tenants())]
        tenant: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Create a key like another one; the old one stays until it is revoked
    Rotate {
        /// Key id
        id: String,
        /// Tenant's id or name
        #[arg(long, add = crate::complete::tenants())]
        tenant: String,
    },
}

fn scope(text: &str) -> std::result::Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| Scope::ALL.map(Scope::as_str).join(", "))
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Create { tenant, name, scopes } => create(env, &id_of(env, tenant)?, &NewKey { name, scopes }),
        Verb::List { tenant } => {
            let page = list(env, &id_of(env, tenant)?)?;
            env.out.value(&page, || {
                Table::new(&["ID", "NAME", "SCOPES", "LAST 4", "CREATED", "REVOKED"]).rows(&page.items, |k| {
                    let scopes = k.scopes.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(",");
                    [
                        k.key_id.clone(),
                        k.name.clone(),
                        scopes,
                        k.last4.clone(),
                        k.created_at.to_string(),
                        k.revoked_at.map_or(String::new(), |t| t.to_string()),
                    ]
                })
            })
        }
        Verb::Revoke { id, tenant, yes } => {
            let tenant = id_of(env, tenant)?;
            prompt::confirm("Revokes key", &id, yes)?;
            env.client()?.call(Method::DELETE, As::Operator, &format!("/api/v1/admin/clients/{tenant}/keys/{id}"))?;
            env.out.message(&format!("key {id} was revoked; it stops working within 5 s"));
            Ok(())
        }
        Verb::Rotate { id, tenant } => {
            let tenant = id_of(env, tenant)?;
            let page = list(env, &tenant)?;
            let missing = || {
                crate::error::CliError::new(crate::error::exit::NOT_FOUND, format!("tenant `{tenant}` has no key `{id}`"))
                    .hint(format!("kgrca key list --tenant {tenant}"))
            };
            let old = page.items.into_iter().find(|k| k.key_id == id && k.revoked_at.is_none()).ok_or_else(missing)?;
            create(env, &tenant, &NewKey { name: old.name, scopes: old.scopes })?;
            env.out.message(&format!("when all senders have the new key: kgrca key revoke {id} --tenant {tenant}"));
            Ok(())
        }
    }
}

fn list(env: &Env<'_>, tenant: &str) -> Result<Page<ApiKey>> {
    env.client()?.get(As::Operator, &format!("/api/v1/admin/clients/{tenant}/keys"), &[])
}

fn create(env: &Env<'_>, tenant: &str, wish: &NewKey) -> Result {
    let created: CreatedKey =
        env.client()?.send(Method::POST, As::Operator, &format!("/api/v1/admin/clients/{tenant}/keys"), wish)?;
    env.out.message("the key is shown only now");
    env.out.value(&created, || Table::new(&["ID", "API KEY"]).row([created.key.key_id.clone(), created.api_key.clone()]))
}
