//! `kgrca tenant`

use kgrca_core::api::{ClientChange, ClientStatus, CreatedClient, NewClient, Page, Served};
use kgrca_core::model::Time;
use kgrca_core::storage::Tenant;
use reqwest::Method;

use super::Env;
use crate::client::As;
use crate::error::{CliError, Result, exit};
use crate::output::Table;
use crate::prompt;

/// Manages tenants.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Create a tenant; its first key is shown once
    Create {
        /// What the customer is called
        name: String,
        /// Plan: free, basic, pro or enterprise
        #[arg(long, default_value = "free")]
        plan: String,
        /// Whom to write to
        #[arg(long, default_value = "")]
        email: String,
    },
    /// List tenants with lag, last record, usage and storage
    List,
    /// Show a tenant
    Show {
        /// Tenant's id or name
        #[arg(add = crate::complete::tenants())]
        id: String,
    },
    /// Stop serving a tenant; nothing is lost
    Suspend {
        /// Tenant's id or name
        #[arg(add = crate::complete::tenants())]
        id: String,
    },
    /// Serve a suspended tenant again
    Resume {
        /// Tenant's id or name
        #[arg(add = crate::complete::tenants())]
        id: String,
    },
    /// Delete a tenant and its records
    Delete {
        /// Tenant's id or name
        #[arg(add = crate::complete::tenants())]
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Only show what would be deleted
        #[arg(long)]
        dry_run: bool,
    },
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Create { name, plan, email } => {
            let created: CreatedClient = env.client()?.send(
                Method::POST,
                As::Operator,
                "/api/v1/admin/clients",
                &NewClient { name, plan, contact_email: email },
            )?;
            env.out.message("the key is shown only now");
            env.out.value(&created, || Table::new(&["ID", "API KEY"]).row([created.client_id.clone(), created.api_key.clone()]))
        }
        Verb::List => {
            let page: Page<ClientStatus> = env.client()?.get(As::Operator, "/api/v1/admin/clients", &[])?;
            env.out.value(&page, || table(env, &page.items))
        }
        Verb::Show { id } => {
            let status: ClientStatus = env.client()?.get(As::Operator, &path(&id_of(env, id)?), &[])?;
            env.out.value(&status, || table(env, std::slice::from_ref(&status)))
        }
        Verb::Suspend { id } => change(env, &id_of(env, id)?, Served::Suspended),
        Verb::Resume { id } => change(env, &id_of(env, id)?, Served::Active),
        Verb::Delete { id, yes, dry_run } => {
            let id = id_of(env, id)?;
            let status: ClientStatus = env.client()?.get(As::Operator, &path(&id), &[])?;
            if dry_run {
                env.out.message(&format!(
                    "would delete tenant {id} ({}) with {} bytes of records",
                    status.client.name, status.storage_bytes
                ));
                return Ok(());
            }
            prompt::confirm("Deletes tenant", &id, yes)?;
            env.client()?.call(Method::DELETE, As::Operator, &path(&id))?;
            env.out.message(&format!("tenant {id} was deleted"));
            Ok(())
        }
    }
}

/// The id of a tenant that was given by id or by name.
pub(super) fn id_of(env: &Env<'_>, given: String) -> Result<String> {
    let page: Page<ClientStatus> = env.client()?.get(As::Operator, "/api/v1/admin/clients", &[])?;
    let known = page.items.iter().any(|s| s.client.client_id == given);
    if known || Tenant::parse(&given).is_some() {
        return Ok(given);
    }
    let mut named = page.items.into_iter().map(|s| s.client).filter(|c| c.name == given && c.deleted_at.is_none());
    match (named.next(), named.next()) {
        (Some(only), None) => Ok(only.client_id),
        (Some(_), Some(_)) => {
            Err(CliError::usage(format!("several tenants are called `{given}`")).hint("give the id: `kgrca tenant list`"))
        }
        _ => Err(CliError::new(exit::NOT_FOUND, format!("there is no tenant `{given}`")).hint("kgrca tenant list")),
    }
}

fn path(id: &str) -> String {
    format!("/api/v1/admin/clients/{id}")
}

fn change(env: &Env<'_>, id: &str, state: Served) -> Result {
    let change = ClientChange { state: Some(state), plan: None };
    let status: ClientStatus = env.client()?.send(Method::PATCH, As::Operator, &path(id), &change)?;
    env.out.value(&status, || table(env, std::slice::from_ref(&status)))
}

fn table(env: &Env<'_>, items: &[ClientStatus]) -> Table {
    let now = Time(jiff::Timestamp::now().as_microsecond());
    Table::new(&["ID", "NAME", "STATE", "PLAN", "LAG", "LAST RECORD", "EVENTS TODAY", "STORAGE"]).rows(items, |s| {
        let last = s.last_record.map_or("never".into(), |t| env.out.age(now, t));
        [
            s.client.client_id.clone(),
            s.client.name.clone(),
            s.client.state.as_str().into(),
            s.client.plan.clone(),
            s.lag.to_string(),
            last,
            s.events_today.to_string(),
            env.out.size(s.storage_bytes),
        ]
    })
}
