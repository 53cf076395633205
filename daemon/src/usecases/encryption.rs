//! Encryption at rest: its state, and rotation of its keys.

use kgrca_core::api::{
    DataKeyCount, EncryptionAct, EncryptionChange, EncryptionChanged, EncryptionStatus,
};
use kgrca_core::tenancy::TenantId;

use super::actor::Actor;
use super::app::App;
use super::error::{Error, Result};
use super::{audit, tenants};

/// Which master key encrypts which data keys, and what is not encrypted.
///
/// # Errors
/// When the metadata does not answer.
pub async fn status(app: &App, actor: &Actor) -> Result<EncryptionStatus> {
    actor.operator()?;
    let encryption = &app.stores.encryption;
    let counts = encryption.data_keys().await.map_err(Error::of_server)?;
    let data_keys = counts.into_iter().map(|of| DataKeyCount {
        master_key: of.master_key,
        tenants: of.tenants,
        data_keys: of.data_keys,
    });
    Ok(EncryptionStatus {
        enabled: encryption.encrypts_new(),
        master_key: encryption.master_key(),
        data_keys: data_keys.collect(),
        not_encrypted: encryption.not_encrypted().to_vec(),
    })
}

/// Encrypts all data keys under the current master key, or creates new data keys. Both can be
/// interrupted and repeated.
///
/// # Errors
/// `conflict` while encryption is off, and for a rewrap of one tenant; `not_found` for an unknown
/// tenant.
pub async fn act(app: &App, actor: &Actor, change: EncryptionChange) -> Result<EncryptionChanged> {
    actor.operator()?;
    let encryption = &app.stores.encryption;
    match (change.act, change.client_id) {
        (EncryptionAct::Rewrap, Some(_)) => Err(Error::conflict(
            "a rewrap covers all tenants: leave out `client_id`",
        )),
        (EncryptionAct::Rewrap, None) => {
            audit::record(app, actor, None, "encryption.rewrap", "").await?;
            let done = encryption.rewrap().await.map_err(Error::of_server)?;
            Ok(EncryptionChanged {
                changed: done.rewrapped,
                unchanged: done.unchanged,
            })
        }
        (EncryptionAct::Rotate, client_id) => {
            let chosen = match &client_id {
                Some(id) => vec![tenants::find_existing(app, id).await?.id],
                None => all(app).await?,
            };
            let owner = client_id.as_deref();
            audit::record(app, actor, owner, "encryption.rotate", "").await?;
            rotate(app, &chosen).await
        }
    }
}

async fn all(app: &App) -> Result<Vec<TenantId>> {
    let tenants = app.stores.meta.list_tenants().await;
    let tenants = tenants.map_err(Error::of_server)?;
    let ids = tenants.iter().map(|tenant| &tenant.client_id);
    Ok(ids.filter_map(|id| TenantId::parse(id)).collect())
}

async fn rotate(app: &App, tenants: &[TenantId]) -> Result<EncryptionChanged> {
    let mut done = EncryptionChanged {
        changed: 0,
        unchanged: 0,
    };
    let mut failed = None;
    for tenant in tenants {
        match app.stores.encryption.rotate(tenant).await {
            Ok(true) => done.changed += 1,
            Ok(false) => done.unchanged += 1,
            // The others do not wait for one that is being deleted, say.
            Err(e) => failed = failed.or(Some(e)),
        }
    }
    match failed {
        Some(error) => Err(Error::of_server(error)),
        None => Ok(done),
    }
}
