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
    let line = serde_json::to_string(&anchor).map_err(Error::internal)? + "\n";
    let written = tokio::task::spawn_blocking(move || write(file, &line)).await;
    written.map_err(Error::internal)?.map_err(Error::internal)?;
    Ok(Some(anchor.heads.len()))
}

fn write(file: PathBuf, line: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut handle = options.open(file)?;
    handle.write_all(line.as_bytes())?;
    handle.sync_all()
}
