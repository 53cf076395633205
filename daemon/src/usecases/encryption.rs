//! Encryption at rest: its state, and rotation of its keys.

use kgrca_core::api::{
    DataKeyCount, EncryptionAct, EncryptionChange, EncryptionChanged, EncryptionStatus,
};
use kgrca_core::model::time::SECOND;
use kgrca_core::storage::ErrorKind;
use kgrca_core::tenancy::TenantId;

use super::actor::Actor;
use super::app::App;
use super::error::{Error, Result};
use super::{audit, audit_counts, tenants};
use crate::clock::now;
use crate::storage::{Portion, Progress};

/// Which master key encrypts which data keys, and what is not encrypted.
///
/// # Errors
/// When the metadata does not answer.
pub async fn status(app: &App, actor: &Actor) -> Result<EncryptionStatus> {
    actor.operator()?;
    audit_counts::read(app, actor, None, "encryption");
    let encryption = &app.stores.encryption;
    // A step of a rotation shows at once.
    let read = encryption.master_keys();
    let problem = read.as_ref().err().map(|e| match &e.hint {
        Some(hint) => format!("{}; {hint}", e.message),
        None => e.message.clone(),
    });
    let counts = encryption.data_keys().await.map_err(Error::of_server)?;
    let data_keys = counts.into_iter().map(|of| DataKeyCount {
        master_key: of.master_key,
        version: of.version,
        tenants: of.tenants,
        data_keys: of.data_keys,
    });
    Ok(EncryptionStatus {
        enabled: encryption.encrypts_new(),
        master_key: encryption.master_key(),
        master_keys: read.unwrap_or_default(),
        problem,
        data_keys: data_keys.collect(),
        not_encrypted: encryption.not_encrypted().to_vec(),
    })
}

/// Longest time that one request rewraps or rotates, in microseconds. Another continues.
const PORTION: i64 = 20 * SECOND;

/// Encrypts data keys under the current master key, or creates new data keys: as many as there is
/// time for. Both can be interrupted and repeated.
///
/// # Errors
/// `conflict` while encryption is off, and for a rewrap of one tenant; `not_found` for an unknown
/// tenant.
pub async fn act(app: &App, actor: &Actor, change: EncryptionChange) -> Result<EncryptionChanged> {
    actor.operator()?;
    let encryption = &app.stores.encryption;
    // The audit log names what was done, not what was refused.
    encryption.require().map_err(Error::of_server)?;
    let portion = Portion {
        after: change.after.as_deref(),
        until: now().plus(PORTION),
    };
    let done = match (change.act, &change.client_id) {
        (EncryptionAct::Rewrap, Some(_)) => {
            return Err(Error::conflict(
                "a rewrap covers all tenants: leave out `client_id`",
            ));
        }
        (EncryptionAct::Rewrap, None) => {
            audit::record(app, actor, None, "encryption.rewrap", "").await?;
            let done = encryption.rewrap(portion).await;
            done.map_err(Error::of_server)?
        }
        (EncryptionAct::Rotate, client_id) => {
            let chosen = match client_id {
                Some(id) => vec![tenants::find_existing(app, id).await?.id],
                None => all(app).await?,
            };
            let owner = client_id.as_deref();
            audit::record(app, actor, owner, "encryption.rotate", "").await?;
            rotate(app, &chosen, portion).await?
        }
    };
    Ok(EncryptionChanged {
        changed: done.changed,
        unchanged: done.unchanged,
        failed: done.failed,
        next: done.next,
    })
}

/// All tenants, by id.
async fn all(app: &App) -> Result<Vec<TenantId>> {
    let tenants = app.stores.meta.list_tenants().await;
    let tenants = tenants.map_err(Error::of_server)?;
    let ids = tenants.iter().map(|tenant| &tenant.client_id);
    let mut ids: Vec<TenantId> = ids.filter_map(|id| TenantId::parse(id)).collect();
    ids.sort();
    Ok(ids)
}

async fn rotate(app: &App, tenants: &[TenantId], portion: Portion<'_>) -> Result<Progress> {
    let mut done = Progress::default();
    let mut last: Option<&TenantId> = None;
    let after = portion.after.unwrap_or_default();
    for tenant in tenants.iter().filter(|id| id.as_str() > after) {
        if let Some(last) = last.filter(|_| now() >= portion.until) {
            done.next = Some(last.to_string());
            break;
        }
        match app.stores.encryption.rotate(tenant).await {
            Ok(true) => done.changed += 1,
            Ok(false) => done.unchanged += 1,
            // Being deleted, or its keys were altered: the others do not wait for it.
            Err(e) if matches!(e.kind, ErrorKind::Conflict | ErrorKind::Corrupt) => {
                done.failed.push(format!("{tenant}: {}", e.message));
            }
            Err(e) => return Err(Error::of_server(e)),
        }
        last = Some(tenant);
    }
    Ok(done)
}
