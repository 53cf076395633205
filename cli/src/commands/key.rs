//! `kgrca key`

use kgrca_core::api::{
    CreatedKey, KeyOfRole, KeyOfScopes, NewKey, NewOperatorKey, OperatorKeyOfRole,
    OperatorKeyOfScopes, OperatorRole, OperatorScope, Page, Rotation,
};
use kgrca_core::tenancy::{ApiKey, Role, Scope};
use reqwest::Method;

use super::Env;
use super::tenant::id_of;
use crate::client::As;
use crate::error::{CliError, Result};
use crate::output::{Format, Table};
use crate::prompt;

/// Whose keys.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Owner {
    /// `TenantId`'s id or name
    #[arg(long, add = crate::complete::tenants())]
    tenant: Option<String>,
    /// The operator's own keys
    #[arg(long)]
    operator: bool,
}

impl Owner {
    /// Where its keys are.
    fn path(self, env: &Env<'_>) -> Result<String> {
        match self.tenant {
            Some(given) => Ok(format!("/api/v1/admin/clients/{}/keys", id_of(env, given)?)),
            None => Ok("/api/v1/admin/keys".to_owned()),
        }
    }
}

/// Manages the API keys of a tenant, or the operator's own.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Create a key; it is shown once
    Create {
        #[command(flatten)]
        owner: Owner,
        /// What it is for
        #[arg(long, default_value = "")]
        name: String,
        /// What it may do: ingest, read, query, billing, metrics, or admin (handle incidents; of
        /// the operator's: all tenants)
        #[arg(long, value_delimiter = ',', value_parser = scope)]
        scopes: Vec<Scope>,
        /// A named set of scopes: admin (all), viewer (read, query), billing, or agent (ingest)
        #[arg(long, value_parser = role)]
        role: Option<Role>,
    },
    /// List keys; never the secrets
    List {
        #[command(flatten)]
        owner: Owner,
    },
    /// Revoke a key
    Revoke {
        /// Key id
        id: String,
        #[command(flatten)]
        owner: Owner,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Create a key in the place of another one, which works on for a while
    Rotate {
        /// Key id
        id: String,
        #[command(flatten)]
        owner: Owner,
        /// For how many hours both work
        #[arg(long, default_value_t = 24)]
        overlap_hours: u32,
    },
}

fn role(text: &str) -> std::result::Result<Role, String> {
    Role::ALL
        .into_iter()
        .find(|r| r.as_str() == text)
        .ok_or_else(|| Role::ALL.map(Role::as_str).join(", "))
}

fn scope(text: &str) -> std::result::Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| Scope::ALL.map(Scope::as_str).join(", "))
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Create {
            owner,
            name,
            scopes,
            role,
        } if owner.operator => create(env, &owner.path(env)?, &of_operator(name, role, &scopes)?),
        Verb::Create {
            owner,
            name,
            mut scopes,
            role,
        } => {
            if scopes.is_empty() && role.is_none() {
                scopes = vec![Scope::Ingest, Scope::Read];
            }
            let wish = match role {
                Some(role) => NewKey::OfRole(KeyOfRole { name, role, scopes }),
                None => NewKey::OfScopes(KeyOfScopes { name, scopes }),
            };
            create(env, &owner.path(env)?, &wish)
        }
        Verb::List { owner } => list(env, &owner.path(env)?),
        Verb::Revoke { id, owner, yes } => {
            let path = owner.path(env)?;
            prompt::confirm("Revokes key", &id, yes)?;
            env.client()?
                .call(Method::DELETE, As::Operator, &format!("{path}/{id}"))?;
            env.out.message(&format!(
                "key {id} was revoked; it stops working within 5 s"
            ));
            Ok(())
        }
        Verb::Rotate {
            id,
            owner,
            overlap_hours,
        } => {
            let whose = owner
                .tenant
                .as_ref()
                .map_or("--operator".to_owned(), |tenant| {
                    format!("--tenant {tenant}")
                });
            let wish = Rotation {
                overlap_seconds: Some(overlap_hours.saturating_mul(3600)),
            };
            create(env, &format!("{}/{id}/rotate", owner.path(env)?), &wish)?;
            if overlap_hours > 0 {
                let sooner = format!("`kgrca key revoke {id} {whose}` ends it sooner");
                env.out.message(&format!(
                    "{id} works for {overlap_hours} more hours; {sooner}"
                ));
            }
            Ok(())
        }
    }
}

/// What a key of the operator is to be: roles and scopes that read or send a tenant's records are
/// none of it.
fn of_operator(name: String, role: Option<Role>, scopes: &[Scope]) -> Result<NewOperatorKey> {
    let unfit = |what: &str| {
        CliError::usage(format!("a key of the operator cannot be `{what}`"))
            .hint("--role admin, --role billing, or --scopes of admin, billing, metrics")
    };
    let scope = |scope: &Scope| match scope {
        Scope::Admin => Ok(OperatorScope::Admin),
        Scope::Billing => Ok(OperatorScope::Billing),
        Scope::Metrics => Ok(OperatorScope::Metrics),
        other => Err(unfit(other.as_str())),
    };
    let scopes: Vec<OperatorScope> = scopes.iter().map(scope).collect::<Result<_>>()?;
    match role {
        None if scopes.is_empty() => Err(CliError::usage(
            "a key of the operator needs a role or scopes",
        )
        .hint("--role billing, or --role admin")),
        None => Ok(NewOperatorKey::OfScopes(OperatorKeyOfScopes {
            name,
            scopes,
        })),
        Some(_) if !scopes.is_empty() => Err(CliError::usage(
            "a key of the operator has a role or scopes, not both",
        )),
        Some(Role::Admin) => Ok(NewOperatorKey::OfRole(OperatorKeyOfRole {
            name,
            role: OperatorRole::Admin,
        })),
        Some(Role::Billing) => Ok(NewOperatorKey::OfRole(OperatorKeyOfRole {
            name,
            role: OperatorRole::Billing,
        })),
        Some(other) => Err(unfit(other.as_str())),
    }
}

fn list(env: &Env<'_>, path: &str) -> Result {
    let page: Page<ApiKey> = env.client()?.get(As::Operator, path, &[])?;
    env.out.value(&page, || {
        Table::new(&[
            "ID", "NAME", "SCOPES", "LAST 4", "CREATED", "EXPIRES", "REVOKED",
        ])
        .rows(&page.items, |k| {
            let scopes = k
                .scopes
                .iter()
                .map(|s| s.as_str())
                .collect::<Vec<_>>()
                .join(",");
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

fn create(env: &Env<'_>, path: &str, wish: &impl serde::Serialize) -> Result {
    let created: CreatedKey = env.client()?.send(Method::POST, As::Operator, path, wish)?;
    env.out.message("the key is shown only now");
    if env.out.format == Format::Name {
        // A name alone would lose what nobody can show again.
        env.out.message(&format!("key: {}", created.api_key));
    }
    env.out.value(&created, || {
        Table::new(&["ID", "API KEY"]).row([created.key.key_id.clone(), created.api_key.clone()])
    })
}
