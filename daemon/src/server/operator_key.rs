//! The operator key that comes from the settings, or from the first start.

use std::path::Path;

use kgrca_core::storage::{EndKey, KeyChange};
use kgrca_core::tenancy::{ApiKey, Audit, Scope};

use crate::api_key::{self, NewSecret};
use crate::clock::now;
use crate::config::Settings;
use crate::error::Failure;
use crate::secret::write_private;
use crate::storage::Stores;

/// Its name.
const OPERATOR: &str = "operator";
/// Who acts in the audit log: whoever starts the daemon chooses its settings.
const ACTOR: &str = "settings of kgrcad";

/// Accepts the configured operator key. Without one, the first start creates a key and writes it to
/// a file that only its owner can read.
pub(super) async fn prepare(stores: &Stores, settings: &Settings) -> Result<(), Failure> {
    let file = api_key::operator_file(&settings.data);
    if let Some(given) = &settings.operator_key {
        let known = api_key::known_key(OPERATOR, &given.resolved()?)?;
        match stores.meta.key_by_hash(&known.hash).await? {
            Some(key) if !key.holds(now()) || key.replaced_by.is_some() => {
                // The file may have the key that replaced it.
                warn_of_replaced(&key);
                return Ok(());
            }
            Some(_) => {}
            None => replace(stores, &known).await?,
        }
        update_file(&file, &known.secret);
        return Ok(());
    }
    if !stores.meta.keys(None).await?.is_empty() {
        return warn_of_stale(stores, &file).await;
    }
    let new = api_key::new_key(None, OPERATOR, Scope::ALL.to_vec());
    write(&file, &new.secret)?;
    stores.meta.put_key(&new.key, &new.hash).await?;
    tracing::info!(file = %file.display(), "created the operator key");
    Ok(())
}

fn write(file: &Path, secret: &str) -> Result<(), Failure> {
    write_private(file, secret).map_err(|e| {
        Failure::new(
            format!("{}: {e}", file.display()),
            "choose another directory with --data",
        )
    })
}

fn warn_of_replaced(key: &ApiKey) {
    tracing::warn!(
        key_id = key.key_id,
        replaced_by = key.replaced_by,
        expires_at = key.expires_at.map(tracing::field::display),
        "the configured operator key was revoked or replaced, and stops working: set \
         KGRCA_OPERATOR_KEY to the key that replaced it, or to a new one, and restart"
    );
}

/// Commands read the key from the file, such as `kgrca up`. A file that is not there is not made:
/// whoever sets the key keeps it elsewhere. One that cannot be written stops nothing: the daemon
/// has the key from its settings.
fn update_file(file: &Path, secret: &str) {
    match api_key::in_file(file) {
        Some(stored) if stored != secret => {}
        _ => return,
    }
    match write_private(file, secret) {
        Ok(()) => tracing::info!(file = %file.display(), "wrote the configured operator key"),
        Err(error) => tracing::warn!(
            file = %file.display(), %error,
            "the file still has another operator key: write the configured one into it"
        ),
    }
}

/// Says so when the file has a key that does not work any more.
async fn warn_of_stale(stores: &Stores, file: &Path) -> Result<(), Failure> {
    let Some(stored) = api_key::in_file(file) else {
        return Ok(());
    };
    let known = stores.meta.key_by_hash(&api_key::hash(&stored)).await?;
    if !known.is_some_and(|key| key.holds(now())) {
        tracing::warn!(
            file = %file.display(),
            "the operator key in this file no longer works: write the current key into it; \
             where all are lost, restart with KGRCA_OPERATOR_KEY set to a new one \
             (`openssl rand -hex 24`)"
        );
    }
    Ok(())
}

/// Accepts a new operator key, and ends those that the settings or the first start had before.
async fn replace(stores: &Stores, new: &NewSecret) -> Result<(), Failure> {
    let before = stores.meta.keys(None).await?;
    stores.meta.put_key(&new.key, &new.hash).await?;
    // A daemon that starts at the same time may have stored the same key first, under another id.
    let Some(current) = stores.meta.key_by_hash(&new.hash).await? else {
        return Ok(());
    };
    stores.meta.audit(&audit("key.create", &current)).await?;
    for old in before {
        let is_replaced = old.name == OPERATOR && old.key_id != current.key_id;
        if is_replaced && old.holds(now()) {
            end(stores, &old, &current).await?;
        }
    }
    Ok(())
}

async fn end(stores: &Stores, old: &ApiKey, current: &ApiKey) -> Result<(), Failure> {
    let end = EndKey {
        key_id: &old.key_id,
        replaced: None,
    };
    let revoke = KeyChange {
        end: Some(end),
        ..KeyChange::default()
    };
    if stores
        .meta
        .change_keys(revoke, &audit("key.revoke", old))
        .await?
    {
        tracing::warn!(
            revoked = old.key_id,
            revoked_last4 = old.last4,
            key_id = current.key_id,
            last4 = current.last4,
            "KGRCA_OPERATOR_KEY is another operator key than before, which was revoked for good: \
             give the new one to those who used it (`kgrca context add`). If this was not \
             intended, set KGRCA_OPERATOR_KEY to a third key"
        );
    }
    Ok(())
}

fn audit(action: &str, key: &ApiKey) -> Audit {
    Audit {
        client_id: None,
        at: now(),
        actor: ACTOR.to_owned(),
        action: action.to_owned(),
        target: key.key_id.clone(),
        address: None,
    }
}
