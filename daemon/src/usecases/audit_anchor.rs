//! Anchors of the audit log: the signed ends of all chains, kept where the database cannot be
//! changed to match them.

use std::io::Write;
use std::path::PathBuf;

use kgrca_core::tenancy::AuditAnchor;

use super::actor::Actor;
use super::app::App;
use super::audit;
use super::error::{Error, Result};
use crate::clock::now;
use crate::environment::blocking;
use crate::error::Failure;

/// The ends of all chains at this moment, signed.
///
/// # Errors
/// `forbidden` for tenants.
pub async fn anchor(app: &App, actor: &Actor) -> Result<AuditAnchor> {
    actor.operator()?;
    let heads = app.stores.meta.audit_heads().await?;
    Ok(AuditAnchor::signed(now(), heads, &*app.stores.audit_key))
}

/// Exports an anchor for an operator.
///
/// # Errors
/// `forbidden` for tenants.
pub async fn export(app: &App, actor: &Actor) -> Result<AuditAnchor> {
    actor.operator()?;
    audit::record(app, actor, None, "audit.anchor", "").await?;
    anchor(app, actor).await
}

/// Appends the first anchor of this start, so that a path that cannot be written shows at once.
///
/// # Errors
/// When the file of the settings cannot be written; the daemon must not start then.
pub async fn start(app: &App) -> std::result::Result<(), Failure> {
    let Some(file) = &app.settings.audit_anchor else {
        return Ok(());
    };
    let heads = app.stores.meta.audit_heads().await?;
    let anchor = AuditAnchor::signed(now(), heads, &*app.stores.audit_key);
    write(file.clone(), anchor).await.map_err(|e| {
        Failure::file(
            file,
            e,
            "name a file with --audit-anchor that kgrcad can create and append to, in a folder \
             that exists",
        )
    })
}

/// Appends an anchor to the file of the settings, as a line of JSON. Returns how many chains it
/// covers; `None` without such a file.
///
/// # Errors
/// When the file cannot be written.
pub async fn append(app: &App, actor: &Actor) -> Result<Option<usize>> {
    let Some(file) = app.settings.audit_anchor.clone() else {
        return Ok(None);
    };
    let anchor = anchor(app, actor).await?;
    let chains = anchor.heads.len();
    write(file, anchor).await.map_err(Error::internal)?;
    Ok(Some(chains))
}

async fn write(file: PathBuf, anchor: AuditAnchor) -> std::io::Result<()> {
    let line = serde_json::to_string(&anchor)? + "\n";
    blocking(move || append_line(file, &line)).await?
}

fn append_line(file: PathBuf, line: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut handle = options.open(file)?;
    handle.write_all(line.as_bytes())?;
    handle.sync_all()
}
