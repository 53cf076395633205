//! `kgrca audit`

use kgrca_core::api::Page;
use kgrca_core::tenancy::{AuditEntry, first_break};

use super::{Env, tenant};
use crate::client::{As, Client};
use crate::error::{CliError, Result};
use crate::output::Table;

/// Entries of one page.
const PAGE: usize = 1000;

/// What was done to tenants, by whom, in chains that show when something was changed.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List administrative acts, oldest first
    List {
        /// On this tenant; the operator's own chain when absent
        #[arg(long, add = crate::complete::tenants())]
        tenant: Option<String>,
    },
    /// Recompute a chain's hashes; exits with 10 when an entry was changed or is missing
    Verify {
        /// Of this tenant; the operator's own chain when absent
        #[arg(long, add = crate::complete::tenants())]
        tenant: Option<String>,
    },
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::List { tenant } => {
            if tenant.is_none() {
                env.out
                    .message("the operator's own chain; --tenant shows what was done to a tenant");
            }
            let items = all(env, tenant)?;
            let page = Page { items, next: None };
            env.out.value(&page, || {
                Table::new(&["SEQ", "AT", "ACTOR", "ACTION", "TARGET"]).rows(&page.items, |e| {
                    let a = &e.audit;
                    [
                        e.seq.to_string(),
                        a.at.to_string(),
                        a.actor.clone(),
                        a.action.clone(),
                        a.target.clone(),
                    ]
                })
            })
        }
        Verb::Verify { tenant } => {
            let entries = all(env, tenant)?;
            match first_break(None, &entries) {
                None => {
                    env.out.message(&format!(
                        "{} entries, each follows from the one before",
                        entries.len()
                    ));
                    Ok(())
                }
                Some(seq) => {
                    env.out.message(&format!(
                        "entry {seq} was changed, or what stood before it is missing"
                    ));
                    Err(CliError::found())
                }
            }
        }
    }
}

fn all(env: &Env<'_>, tenant: Option<String>) -> Result<Vec<AuditEntry>> {
    let client: Client = env.client()?;
    let id = tenant.map(|given| tenant::id_of(env, given)).transpose()?;
    let mut entries: Vec<AuditEntry> = Vec::new();
    loop {
        let after = entries.last().map_or(0, |e| e.seq);
        let mut query = vec![("after", after.to_string()), ("limit", PAGE.to_string())];
        query.extend(id.clone().map(|id| ("client_id", id)));
        let page: Page<AuditEntry> = client.get(As::Operator, "/api/v1/admin/audit", &query)?;
        let is_last = page.next.is_none();
        entries.extend(page.items);
        if is_last {
            return Ok(entries);
        }
    }
}
