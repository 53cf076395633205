//! `kgrca audit`

mod anchor;
mod sentence;

use std::path::PathBuf;

use kgrca_core::api::Page;
use kgrca_core::tenancy::{AuditEntry, AuditPage, first_break, first_unsigned};

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
    /// Verify hashes and signatures (exits 10 if an entry was changed or is missing)
    ///
    /// With --anchor, also that nothing before an anchor was rewritten or cut, and that every later
    /// entry is signed with the key of the anchors.
    Verify {
        #[command(flatten)]
        owner: OwnerArgs,
        /// File with anchors, from `kgrca audit anchor` or kgrcad --audit-anchor
        #[arg(long, value_name = "FILE")]
        anchor: Option<PathBuf>,
    },
    /// Export the signed ends of all chains; needs the operator's key
    ///
    /// Keep the file where those who can change the database cannot change it.
    Anchor {
        /// File to append to [default: print to standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::List { owner } => list(env, owner),
        Verb::Verify { owner, anchor } => verify(env, owner, anchor),
        Verb::Anchor { out } => anchor::export(env, out.as_deref()),
    }
}

fn list(env: &Env<'_>, owner: OwnerArgs) -> Result {
    let items = entries(env, owner)?.entries;
    let page = Page { items, next: None };
    env.out.value(&page, || {
        Table::new(&["SEQ", "TIME", "ACTOR", "FROM", "WHAT"]).rows(&page.items, |e| {
            let audit = &e.audit;
            [
                e.seq.to_string(),
                env.out.time(audit.at),
                audit.actor.clone(),
                audit.address.clone().unwrap_or_default(),
                sentence::of(audit),
            ]
        })
    })
}

fn verify(env: &Env<'_>, owner: OwnerArgs, anchor: Option<PathBuf>) -> Result {
    let anchors = anchor.as_deref().map(anchor::Anchors::read).transpose()?;
    let chain = entries(env, owner)?;
    if let Some(seq) = first_break(None, &chain.entries) {
        env.out.message(&format!(
            "entry {seq} was changed, or an entry before it is missing"
        ));
        return Err(CliError::found());
    }
    if let Some(anchors) = anchors {
        // A tenant may not know its own id: its entries name it.
        let named = chain
            .entries
            .first()
            .and_then(|e| e.audit.client_id.clone());
        let client_id = chain.client_id.or(named);
        if let Some(difference) = anchors.difference(client_id.as_deref(), &chain.entries) {
            env.out.message(&difference);
            return Err(CliError::found());
        }
    } else if let Some(key) = &chain.public_key {
        let is_signed = |text: &str, by: &str| anchor::verifies(key, text, by);
        if let Some(seq) = first_unsigned(&chain.entries, i64::MAX, is_signed) {
            env.out.message(&format!(
                "entry {seq} is not signed with the key of this daemon. Daemons with one database \
                 share --audit-key; where that key was replaced, pass --anchor with anchors of both"
            ));
            return Err(CliError::found());
        }
    } else {
        env.out
            .message("this server does not show its key: signatures were not verified");
    }
    let count = chain.entries.len();
    env.out.message(&format!("{count} entries verified"));
    let unsigned = chain.entries.iter().filter(|e| e.signature.is_none());
    if let unsigned @ 1.. = unsigned.count() {
        env.out.message(&format!(
            "{unsigned} of them have no signature: only an anchor shows that an older version wrote \
             them"
        ));
    }
    Ok(())
}

/// An owner's chain.
struct Chain {
    /// The tenant, where the caller named one.
    client_id: Option<String>,
    entries: Vec<AuditEntry>,
    /// The key that verifies its signatures.
    public_key: Option<String>,
}

fn entries(env: &Env<'_>, owner: OwnerArgs) -> Result<Chain> {
    let client = env.client()?;
    let owner = owner.resolve(env, &client)?;
    let path = match &owner {
        Owner::Caller => "/api/v1/audit",
        Owner::Tenant(_) | Owner::Operator => "/api/v1/admin/audit",
    };
    let client_id = match &owner {
        Owner::Tenant(id) => Some(id.clone()),
        Owner::Caller | Owner::Operator => None,
    };
    let mut entries: Vec<AuditEntry> = Vec::new();
    loop {
        let after = entries.last().map(|e| e.seq).unwrap_or(0);
        let mut query = vec![("after", after.to_string()), ("limit", PAGE.to_string())];
        if let Some(id) = &client_id {
            query.push(("client_id", id.clone()));
        }
        let page: AuditPage = client.get(owner.key(), path, &query)?;
        let is_last = page.next.is_none();
        entries.extend(page.items);
        if is_last {
            return Ok(Chain {
                client_id,
                entries,
                public_key: page.public_key,
            });
        }
    }
}
