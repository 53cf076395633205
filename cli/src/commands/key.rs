//! `kgrca key`

mod limits;
mod rotate;

use kgrca_core::api::{
    CreatedKey, KeyOfRole, KeyOfScopes, NewKey, NewOperatorKey, NewOwnKey, OperatorKeyOfRole,
    OperatorKeyOfScopes, OperatorRole, OperatorScope, Page, Rotation,
};
use kgrca_core::tenancy::{ApiKey, Role, Scope};
use reqwest::Method;

use self::limits::LimitArgs;
use super::Env;
use super::owner::{Owner, OwnerArgs};
use crate::client::Client;
use crate::error::{CliError, Result};
use crate::output::{Format, Table};
use crate::prompt;

/// Manage API keys
///
/// A tenant's key with the scope `admin` manages the keys of its own tenant. The operator's key
/// manages those of any tenant (--tenant) and its own (--operator).
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Create a key and print it once
    Create(CreateArgs),
    /// List keys, without the secrets
    List {
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Revoke a key
    Revoke {
        /// Key ID
        id: String,
        #[command(flatten)]
        owner: OwnerArgs,
        /// Skip the confirmation prompt
        #[arg(long)]
        yes: bool,
    },
    /// Rotate a key; the old one stays valid for an overlap period
    Rotate {
        /// Key ID
        id: String,
        #[command(flatten)]
        owner: OwnerArgs,
        /// Overlap in hours
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(..=720))]
        overlap_hours: u32,
        /// Time until the new key expires, such as 90d [default: as long as the old one had]
        #[arg(long, value_name = "DURATION", value_parser = limits::lifetime)]
        expires_in: Option<u32>,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    owner: OwnerArgs,
    /// Description
    #[arg(
        long,
        value_name = "DESCRIPTION",
        default_value = "",
        hide_default_value = true
    )]
    name: String,
    /// Scopes to grant; needs the operator's key: ingest, read, query, billing, metrics, admin
    #[arg(long, value_delimiter = ',', value_parser = scope, conflicts_with = "role")]
    scopes: Vec<Scope>,
    /// Role to grant: admin (all scopes), viewer (read, query), billing, or agent (ingest)
    #[arg(long, value_parser = role, required_unless_present = "scopes")]
    role: Option<Role>,
    #[command(flatten)]
    limits: LimitArgs,
}

fn role(text: &str) -> std::result::Result<Role, String> {
    Role::ALL
        .into_iter()
        .find(|r| r.as_str() == text)
        .ok_or_else(|| format!("expected one of {}", Role::ALL.map(Role::as_str).join(", ")))
}

fn scope(text: &str) -> std::result::Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| {
        format!(
            "expected one of {}",
            Scope::ALL.map(Scope::as_str).join(", ")
        )
    })
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    let client = env.client()?;
    match verb {
        Verb::Create(args) => create(env, &client, args),
        Verb::List { owner } => list(env, &client, &owner.resolve(env, &client)?),
        Verb::Revoke { id, owner, yes } => {
            let owner = owner.resolve(env, &client)?;
            prompt::confirm("revoke key", &id, yes)?;
            let path = format!("{}/{id}", path(&owner));
            client.call(Method::DELETE, owner.key(), &path)?;
            env.out.message(&format!(
                "key {id} revoked; it stops working within 5 seconds"
            ));
            Ok(())
        }
        Verb::Rotate {
            id,
            owner,
            overlap_hours,
            expires_in,
        } => {
            let owner = owner.resolve(env, &client)?;
            let rotation = Rotation {
                overlap_seconds: Some(overlap_hours.saturating_mul(3600)),
                expires_in_seconds: expires_in,
            };
            rotate::run(env, &client, &owner, &id, rotation)
        }
    }
}

/// Where an owner's keys are.
fn path(owner: &Owner) -> String {
    match owner {
        Owner::Caller => "/api/v1/keys".to_owned(),
        Owner::Tenant(id) => format!("/api/v1/admin/clients/{id}/keys"),
        Owner::Operator => "/api/v1/admin/keys".to_owned(),
    }
}

fn create(env: &Env<'_>, client: &Client, args: CreateArgs) -> Result {
    let owner = args.owner.clone().resolve(env, client)?;
    let path = path(&owner);
    let created: CreatedKey = match owner {
        Owner::Caller => client.send(Method::POST, owner.key(), &path, &own_key(args)?)?,
        Owner::Tenant(_) => client.send(Method::POST, owner.key(), &path, &tenant_key(args))?,
        Owner::Operator => client.send(Method::POST, owner.key(), &path, &operator_key(args)?)?,
    };
    show(env, &created)
}

/// A tenant grants roles to its own keys; single scopes are the operator's to grant.
fn own_key(args: CreateArgs) -> Result<NewOwnKey> {
    let Some(role) = args.role else {
        return Err(CliError::usage("--scopes needs the operator's key")
            .hint("use --role, or select a tenant with --tenant"));
    };
    Ok(NewOwnKey::new(args.name, role, args.limits.into()))
}

fn tenant_key(args: CreateArgs) -> NewKey {
    let CreateArgs {
        name,
        role,
        scopes,
        limits,
        ..
    } = args;
    match role {
        Some(role) => NewKey::OfRole(KeyOfRole::new(name, role, scopes, limits.into())),
        None => NewKey::OfScopes(KeyOfScopes::new(name, scopes, limits.into())),
    }
}

/// The operator's keys never read or send a tenant's records.
fn operator_key(args: CreateArgs) -> Result<NewOperatorKey> {
    let unsuitable = |word: &str| {
        CliError::usage(format!("an operator's key cannot be granted `{word}`"))
            .hint("--role admin or billing, or --scopes with admin, billing, metrics")
    };
    let scope = |scope: &Scope| match scope {
        Scope::Admin => Ok(OperatorScope::Admin),
        Scope::Billing => Ok(OperatorScope::Billing),
        Scope::Metrics => Ok(OperatorScope::Metrics),
        other => Err(unsuitable(other.as_str())),
    };
    let (name, limits) = (args.name, args.limits.into());
    let role = match args.role {
        None => {
            let scopes = args.scopes.iter().map(scope).collect::<Result<_>>()?;
            let request = OperatorKeyOfScopes::new(name, scopes, limits);
            return Ok(NewOperatorKey::OfScopes(request));
        }
        Some(Role::Admin) => OperatorRole::Admin,
        Some(Role::Billing) => OperatorRole::Billing,
        Some(other) => return Err(unsuitable(other.as_str())),
    };
    let request = OperatorKeyOfRole::new(name, role, limits);
    Ok(NewOperatorKey::OfRole(request))
}

fn list(env: &Env<'_>, client: &Client, owner: &Owner) -> Result {
    let page: Page<ApiKey> = client.get(owner.key(), &path(owner), &[])?;
    let time = |t: Option<_>| t.map(|t| env.out.time(t)).unwrap_or_default();
    env.out.value(&page, || {
        Table::new(&[
            "ID",
            "NAME",
            "SCOPES",
            "LIMITED TO",
            "LAST 4",
            "CREATED",
            "LAST USED",
            "FROM",
            "EXPIRES",
            "REVOKED",
        ])
        .rows(&page.items, |k| {
            let scopes: Vec<&str> = k.scopes.iter().map(|s| s.as_str()).collect();
            [
                k.key_id.clone(),
                k.name.clone(),
                scopes.join(","),
                limits::summary(k),
                k.last4.clone(),
                env.out.time(k.created_at),
                time(k.last_used_at),
                k.last_used_from.clone().unwrap_or_default(),
                time(k.expires_at),
                time(k.revoked_at),
            ]
        })
    })
}

fn show(env: &Env<'_>, created: &CreatedKey) -> Result {
    env.out.message("save the key: it will not be shown again");
    if env.out.format == Format::Name {
        // The ID alone would lose the secret for good.
        env.out.message(&format!("key: {}", created.api_key));
    }
    env.out.value(created, || {
        let scopes: Vec<&str> = created.key.scopes.iter().map(|s| s.as_str()).collect();
        Table::new(&["ID", "API KEY", "SCOPES"]).row([
            created.key.key_id.clone(),
            created.api_key.clone(),
            scopes.join(","),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(role: Option<Role>, scopes: Vec<Scope>) -> CreateArgs {
        CreateArgs {
            owner: OwnerArgs::default(),
            name: "ci".to_owned(),
            scopes,
            role,
            limits: LimitArgs::default(),
        }
    }

    #[test]
    fn each_owner_has_its_own_route() {
        assert_eq!(path(&Owner::Caller), "/api/v1/keys");
        assert_eq!(
            path(&Owner::Tenant("client-a-000000".to_owned())),
            "/api/v1/admin/clients/client-a-000000/keys"
        );
        assert_eq!(path(&Owner::Operator), "/api/v1/admin/keys");
    }

    #[test]
    fn a_tenant_grants_roles_only() {
        let key = own_key(args(Some(Role::Viewer), Vec::new())).unwrap();
        assert_eq!((key.name.as_str(), key.role), ("ci", Role::Viewer));
        let error = own_key(args(None, vec![Scope::Read])).unwrap_err();
        assert_eq!(error.message, "--scopes needs the operator's key");
    }

    #[test]
    fn an_operators_key_reads_no_records() {
        let error = operator_key(args(None, vec![Scope::Ingest])).unwrap_err();
        assert_eq!(
            error.message,
            "an operator's key cannot be granted `ingest`"
        );
        let error = operator_key(args(Some(Role::Agent), Vec::new())).unwrap_err();
        assert_eq!(error.message, "an operator's key cannot be granted `agent`");
        assert!(operator_key(args(Some(Role::Billing), Vec::new())).is_ok());
    }
}
