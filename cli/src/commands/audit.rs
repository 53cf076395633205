//! `kgrca audit`

use kgrca_core::api::Page;
use kgrca_core::tenancy::{AuditEntry, first_break};

use super::Env;
use super::owner::{Owner, OwnerArgs};
use crate::error::{CliError, Result};
use crate::output::Table;

/// Entries requested at once.
const PAGE: usize = 1000;

/// Show and verify the audit log
///
/// Entries of each tenant and of the operator form chains of hashes, so that a change is detected.
/// A tenant's key with the scope `admin` reads its own chain, the operator's key reads all.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List audit entries, oldest first
    List {
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Verify the hash chain (exits 10 if an entry was changed or is missing)
    Verify {
        #[command(flatten)]
        owner: OwnerArgs,
    },
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::List { owner } => list(env, owner),
        Verb::Verify { owner } => verify(env, owner),
    }
}

fn list(env: &Env<'_>, owner: OwnerArgs) -> Result {
    let items = entries(env, owner)?;
    let page = Page { items, next: None };
    env.out.value(&page, || {
        Table::new(&["SEQ", "TIME", "ACTOR", "ACTION", "TARGET"]).rows(&page.items, |e| {
            let audit = &e.audit;
            [
                e.seq.to_string(),
                env.out.time(audit.at),
                audit.actor.clone(),
                audit.action.clone(),
                audit.target.clone(),
            ]
        })
    })
}

fn verify(env: &Env<'_>, owner: OwnerArgs) -> Result {
    let entries = entries(env, owner)?;
    if let Some(seq) = first_break(None, &entries) {
        env.out.message(&format!(
            "entry {seq} was changed, or an entry before it is missing"
        ));
        return Err(CliError::found());
    }
    env.out
        .message(&format!("{} entries verified", entries.len()));
    Ok(())
}

/// All entries of an owner's chain.
fn entries(env: &Env<'_>, owner: OwnerArgs) -> Result<Vec<AuditEntry>> {
    let client = env.client()?;
    let owner = owner.resolve(env, &client)?;
    let path = match &owner {
        Owner::Caller => "/api/v1/audit",
        Owner::Tenant(_) | Owner::Operator => "/api/v1/admin/audit",
    };
    let mut entries: Vec<AuditEntry> = Vec::new();
    loop {
        let after = entries.last().map(|e| e.seq).unwrap_or(0);
        let mut query = vec![("after", after.to_string()), ("limit", PAGE.to_string())];
        if let Owner::Tenant(id) = &owner {
            query.push(("client_id", id.clone()));
        }
        let page: Page<AuditEntry> = client.get(owner.key(), path, &query)?;
        let is_last = page.next.is_none();
        entries.extend(page.items);
        if is_last {
            return Ok(entries);
        }
    }
}
