//! `kgrca tenant`

mod archive;
mod create;
mod export;
mod import;
mod moving;
mod update;
mod view;

use std::path::PathBuf;

use kgrca_core::api::{Page, Served, TenantStatus};
use kgrca_core::tenancy::{Saga, Tenant, TenantId};
use reqwest::Method;

use super::Env;
use crate::client::As;
use crate::error::{CliError, Result};
use crate::prompt;

pub(super) use create::show_created;

/// Route of all tenants.
const TENANTS: &str = "/api/v1/admin/clients";

/// Manage tenants (operator)
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Create a tenant and print its first key once
    Create(create::Args),
    /// List tenants with lag, last record, usage and storage
    List {
        /// Sort key (descending; IDs and last records ascending)
        #[arg(long, value_enum, default_value_t = view::Sort::Id)]
        sort: view::Sort,
    },
    /// Show a tenant
    Show {
        /// Tenant ID or name
        #[arg(value_name = "TENANT", add = crate::complete::tenants())]
        id: String,
    },
    /// Change plan, contact, agreed limits or partitions; takes effect at once
    Update(update::Args),
    /// Suspend a tenant; its data is kept
    Suspend {
        /// Tenant ID or name
        #[arg(value_name = "TENANT", add = crate::complete::tenants())]
        id: String,
    },
    /// Reactivate a suspended tenant, or one still in its grace period
    Resume {
        /// Tenant ID or name
        #[arg(value_name = "TENANT", add = crate::complete::tenants())]
        id: String,
    },
    /// Delete a tenant; data is purged after a grace period
    Delete(DeleteArgs),
    /// Export a tenant's graph, incidents, answers and state to a directory
    Export {
        /// Tenant ID or name
        #[arg(value_name = "TENANT", add = crate::complete::tenants())]
        id: String,
        /// Directory to create
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Encrypt the files with the key in this file: 32 bytes in Base64
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
    },
    /// Create a tenant from an export of any kind of store, and print its key once
    Import(import::Args),
    /// Move a tenant's graph to another Neo4j server without downtime
    Move {
        /// Tenant ID or name
        #[arg(value_name = "TENANT", add = crate::complete::tenants())]
        id: String,
        /// Target server, as named in the graph URL
        #[arg(long, value_name = "HOST:PORT")]
        graph_server: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// Tenant ID or name
    #[arg(value_name = "TENANT", add = crate::complete::tenants())]
    id: String,
    /// Grace period in days (restorable with `tenant resume`); 0 = purge now
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    grace_days: u32,
    /// Skip the confirmation prompt
    #[arg(long)]
    yes: bool,
    /// Only show what would be deleted
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Create(args) => create::run(env, args),
        Verb::List { sort } => view::list(env, sort),
        Verb::Show { id } => view::show(env, &id_of(env, id)?),
        Verb::Update(args) => update::run(env, args),
        Verb::Suspend { id } => update::set_state(env, &id_of(env, id)?, Served::Suspended),
        Verb::Resume { id } => update::set_state(env, &id_of(env, id)?, Served::Active),
        Verb::Delete(args) => delete(env, args),
        Verb::Export { id, out, key_file } => {
            export::run(env, &id_of(env, id)?, &out, key_file.as_deref())
        }
        Verb::Import(args) => import::run(env, args),
        Verb::Move { id, graph_server } => moving::run(env, &id_of(env, id)?, graph_server),
    }
}

/// The ID of a tenant that is given by ID or by name.
pub(super) fn id_of(env: &Env<'_>, tenant: String) -> Result<String> {
    if TenantId::parse(&tenant).is_some() {
        return Ok(tenant);
    }
    let page: Page<TenantStatus> = env.client()?.get(As::Operator, TENANTS, &[])?;
    let all: Vec<Tenant> = page.items.into_iter().map(|s| s.client).collect();
    named(&all, &tenant)
}

/// The tenant of this name; one that is written with other capitals where there is no other.
fn named(all: &[Tenant], name: &str) -> Result<String> {
    let exact: Vec<&Tenant> = all.iter().filter(|t| t.name == name).collect();
    let lower = name.to_lowercase();
    let alike: Vec<&Tenant> = all
        .iter()
        .filter(|t| t.name.to_lowercase() == lower)
        .collect();
    let found = if exact.is_empty() { alike } else { exact };
    match found.as_slice() {
        [tenant] => Ok(tenant.client_id.clone()),
        [] => {
            Err(CliError::not_found(format!("tenant `{name}` not found")).hint("kgrca tenant list"))
        }
        several => {
            let ids = several
                .iter()
                .map(|t| format!("{} ({})", t.client_id, t.name));
            let ids = ids.collect::<Vec<_>>().join(", ");
            let message = format!("{} tenants are named `{name}`", several.len());
            Err(CliError::usage(message).hint(format!("pass an ID: {ids}")))
        }
    }
}

/// Route of a tenant.
fn path(id: &str) -> String {
    format!("{TENANTS}/{id}")
}

fn delete(env: &Env<'_>, args: DeleteArgs) -> Result {
    let id = id_of(env, args.id)?;
    let client = env.client()?;
    let status: TenantStatus = client.get(As::Operator, &path(&id), &[])?;
    let days = args.grace_days;
    if args.dry_run {
        env.out.message(&format!(
            "would delete tenant {id} ({}) and purge {} bytes of data after {days} days",
            status.client.name, status.storage_bytes
        ));
        return Ok(());
    }
    prompt::confirm("delete tenant", &id, args.yes)?;
    let path = format!("{}?grace_days={days}", path(&id));
    let saga: Saga = client.send(
        Method::DELETE,
        As::Operator,
        &path,
        &serde_json::Value::Null,
    )?;
    env.out.message(&if saga.is_over() {
        format!("tenant {id} deleted")
    } else {
        let until = saga.wait_until.map(|t| format!(" at {}", env.out.time(t)));
        let until = until.unwrap_or_default();
        format!(
            "tenant {id} is leaving, and its data is purged{until}; until then, `kgrca tenant \
             resume {id}` restores it"
        )
    });
    env.out.value(&saga, || {
        super::saga::table(env, std::slice::from_ref(&saga))
    })
}

#[cfg(test)]
mod tests {
    use kgrca_core::billing::Overrides;
    use kgrca_core::model::Time;
    use kgrca_core::tenancy::TenantState;

    use super::*;

    #[test]
    fn a_name_in_other_capitals_is_found_where_it_is_clear() {
        let tenant = |id: &str, name: &str| Tenant {
            client_id: id.into(),
            name: name.into(),
            plan: "pro".into(),
            state: TenantState::Active,
            contact_email: String::new(),
            created_at: Time(0),
            deleted_at: None,
            partitions: 1,
            limits: Overrides::default(),
        };
        let all = [
            tenant("a", "Acme"),
            tenant("b", "ACME"),
            tenant("c", "Ænima"),
        ];
        assert_eq!(named(&all, "Acme").unwrap(), "a");
        assert_eq!(named(&all, "ænima").unwrap(), "c");
        assert_eq!(
            named(&all, "none").unwrap_err().message,
            "tenant `none` not found"
        );
        let several = named(&all, "acme").unwrap_err();
        assert_eq!(several.hint.unwrap(), "pass an ID: a (Acme), b (ACME)");
    }
}
