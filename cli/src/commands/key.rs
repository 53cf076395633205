//! `kgrca key`

use kgrca_core::api::{CreatedKey, NewKey, Page, Rotation};
use kgrca_core::storage::{ApiKey, Role, Scope};
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
        #[arg(long, value_delimiter = ',', value_parser = scope)]
        scopes: Vec<Scope>,
        /// A named set of scopes: admin (all), viewer (read, query), billing, or agent (ingest)
        #[arg(long, value_parser = role)]
        role: Option<Role>,
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
    /// Create a key in the place of another one, which works on for a while
    Rotate {
        /// Key id
        id: String,
        /// Tenant's id or name
        #[arg(long, add = crate::complete::tenants())]
        tenant: String,
        /// For how many hours both work
        #[arg(long, default_value_t = 24)]
        overlap_hours: u32,
    },
}

fn role(text: &str) -> std::result::Result<Role, String> {
    Role::ALL.into_iter().find(|r| r.as_str() == text).ok_or_else(|| Role::ALL.map(Role::as_str).join(", "))
}

fn scope(text: &str) -> std::result::Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| Scope::ALL.map(Scope::as_str).join(", "))
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Create { tenant, name, mut scopes, role } => {
            if scopes.is_empty() && role.is_none() {
                scopes = vec![Scope::Ingest, Scope::Read];
            }
            create(env, &format!("{}/keys", path(&id_of(env, tenant)?)), &NewKey { name, role, scopes })
        }
        Verb::List { tenant } => {
            let page = list(env, &id_of(env, tenant)?)?;
            env.out.value(&page, || {
                Table::new(&["ID", "NAME", "SCOPES", "LAST 4", "CREATED", "EXPIRES", "REVOKED"]).rows(&page.items, |k| {
                    let scopes = k.scopes.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(",");
                    [
                        k.key_id.clone(),
                        k.name.clone(),
                        scopes,
                        k.last4.clone(),
                        k.created_at.to_string(),
                        k.expires_at.map_or(String::new(), |t| t.to_string()),
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
        Verb::Rotate { id, tenant, overlap_hours } => {
            let tenant = id_of(env, tenant)?;
            let wish = Rotation { overlap_seconds: Some(overlap_hours.saturating_mul(3600)) };
            create(env, &format!("{}/keys/{id}/rotate", path(&tenant)), &wish)?;
            env.out.message(&format!("{id} works for {overlap_hours} more hours; `kgrca key revoke {id}` ends it sooner"));
            Ok(())
        }
    }
}

fn path(tenant: &str) -> String {
    format!("/api/v1/admin/clients/{tenant}")
}

fn list(env: &Env<'_>, tenant: &str) -> Result<Page<ApiKey>> {
    env.client()?.get(As::Operator, &format!("/api/v1/admin/clients/{tenant}/keys"), &[])
}

fn create(env: &Env<'_>, path: &str, wish: &impl serde::Serialize) -> Result {
    let created: CreatedKey = env.client()?.send(Method::POST, As::Operator, path, wish)?;
    env.out.message("the key is shown only now");
    env.out.value(&created, || Table::new(&["ID", "API KEY"]).row([created.key.key_id.clone(), created.api_key.clone()]))
}
