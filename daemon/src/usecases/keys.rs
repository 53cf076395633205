//! API keys: of a tenant, handled by the tenant itself or by the operator, and the operator's own.

use std::collections::BTreeSet;

use kgrca_core::api::{CreatedKey, KeyRequest, Page, Rotation};
use kgrca_core::model::time::SECOND;
use kgrca_core::storage::{AddKey, EndKey, KeyChange, Replaced};
use kgrca_core::tenancy::{ApiKey, Audit, Scope, TenantId, TenantState};

use super::actor::Actor;
use super::app::App;
use super::audit_counts;
use super::error::{Error, Result};
use super::{audit, authentication, key_limits, tenants, text};
use crate::api_key::{self, NewSecret};
use crate::clock::now;
use crate::environment;
use crate::secret::write_private;

/// For how long both keys work after a rotation, in seconds, unless the caller chooses.
const DEFAULT_OVERLAP: u32 = 86_400;
const MAX_OVERLAP: u32 = 2_592_000;
/// The longest name of a key, in characters.
const MAX_NAME: usize = 200;

/// Whose keys are meant.
#[derive(Clone, Copy, Debug)]
pub enum KeyOwner<'a> {
    /// The actor's own tenant.
    OwnTenant,
    /// A tenant, by its id; for the operator.
    Tenant(&'a str),
    /// The operator.
    Operator,
}

impl KeyOwner<'_> {
    /// The command that rotates one of its keys.
    fn rotate_command(self, key_id: &str) -> String {
        match self {
            Self::OwnTenant => format!("kgrca key rotate {key_id}"),
            Self::Tenant(id) => format!("kgrca key rotate {key_id} --tenant {id}"),
            Self::Operator => format!("kgrca key rotate {key_id} --operator"),
        }
    }
}

/// The owner of keys, after the actor's right to handle them was checked.
struct Owner(Option<TenantId>);

impl Owner {
    async fn authorised(app: &App, actor: &Actor, owner: KeyOwner<'_>) -> Result<Self> {
        Ok(Self(match owner {
            KeyOwner::OwnTenant => Some(actor.tenant(Scope::Admin)?.id.clone()),
            KeyOwner::Tenant(id) => {
                actor.operator()?;
                Some(tenants::find_existing(app, id).await?.id)
            }
            KeyOwner::Operator => {
                actor.operator()?;
                None
            }
        }))
    }

    fn client_id(&self) -> Option<&str> {
        self.0.as_ref().map(TenantId::as_str)
    }

    /// A key that works.
    async fn working_key(&self, app: &App, key_id: &str) -> Result<ApiKey> {
        let keys = app.stores.meta.keys(self.client_id()).await?;
        let known = keys
            .into_iter()
            .find(|k| k.key_id == key_id && k.holds(now()));
        known.ok_or_else(|| self.missing(key_id))
    }

    fn missing(&self, key_id: &str) -> Error {
        let owner = match self.client_id() {
            Some(id) => format!("tenant `{id}`"),
            None => "the operator".to_owned(),
        };
        Error::not_found(format!("{owner} has no active key `{key_id}`"))
    }
}

/// All keys of an owner, including revoked and expired ones; never the secrets.
///
/// # Errors
/// `not_found` when there is no such tenant.
pub async fn list(app: &App, actor: &Actor, owner: KeyOwner<'_>) -> Result<Page<ApiKey>> {
    let owner = Owner::authorised(app, actor, owner).await?;
    audit_counts::read(app, actor, owner.client_id(), "keys");
    Ok(Page {
        items: app.stores.meta.keys(owner.client_id()).await?,
        next: None,
    })
}

/// Creates a key. Its secret is in this answer and nowhere else. A tenant's key cannot create one
/// with more rights than its own.
///
/// # Errors
/// `invalid_request` without a scope or with an unusable name; `forbidden` for a scope that the
/// actor lacks; `conflict` when the tenant is not served or has too many keys.
pub async fn create(
    app: &App,
    actor: &Actor,
    owner: KeyOwner<'_>,
    request: KeyRequest,
) -> Result<CreatedKey> {
    let owner_id = owner;
    let owner = Owner::authorised(app, actor, owner).await?;
    check_can_have_keys(app, owner_id).await?;
    text("name", &request.name, MAX_NAME)?;
    let scopes: BTreeSet<Scope> = request.scopes.into_iter().collect();
    if scopes.is_empty() {
        return Err(
            Error::invalid("a key requires a role or at least one scope")
                .hint("GET /docs lists roles and scopes"),
        );
    }
    let scopes: Vec<Scope> = scopes.into_iter().collect();
    check_grantable(actor, owner_id, &scopes)?;
    let mut new = api_key::new_key(owner.0.as_ref(), &request.name, scopes);
    let asks_for_certificates = app.settings.tls_client_ca.is_some();
    key_limits::set(&mut new.key, request.limits, asks_for_certificates)?;
    if let Some(own) = actor.bounds(owner.0.as_ref()) {
        own.narrow(&mut new.key)?;
    }
    let audit = audit::entry(actor, owner.client_id(), "key.create", &new.key.key_id);
    add(app, actor, adding(&new), &audit).await?;
    Ok(created(new))
}

async fn check_can_have_keys(app: &App, owner: KeyOwner<'_>) -> Result<()> {
    let KeyOwner::Tenant(id) = owner else {
        return Ok(());
    };
    let tenant = tenants::find_existing(app, id).await?.row;
    let reason = if tenant.deleted_at.is_some() {
        "is being deleted"
    } else if tenant.state == TenantState::Joining {
        "is still being provisioned"
    } else {
        return Ok(());
    };
    Err(Error::conflict(format!("tenant `{id}` {reason}")))
}

/// A tenant's key passes on its own scopes only. The operator may grant a tenant any scope but that
/// of the metrics, which show all tenants.
fn check_grantable(actor: &Actor, owner: KeyOwner<'_>, scopes: &[Scope]) -> Result<()> {
    if !matches!(owner, KeyOwner::Operator) && scopes.contains(&Scope::Metrics) {
        return Err(Error::invalid(
            "the scope `metrics` is for operator keys: metrics show all tenants",
        )
        .hint("kgrca key create --operator --scopes metrics"));
    }
    let lacking = scopes.iter().find(|scope| !actor.has(**scope));
    match (owner, lacking) {
        (KeyOwner::OwnTenant, Some(scope)) => Err(Error::forbidden(format!(
            "the key lacks the scope `{}` and cannot grant it",
            scope.as_str()
        ))
        .hint("use a key with the role `admin`")),
        _ => Ok(()),
    }
}

fn adding(new: &NewSecret) -> KeyChange<'_> {
    let add = AddKey {
        key: &new.key,
        hash: &new.hash,
    };
    KeyChange {
        add: Some(add),
        ..KeyChange::default()
    }
}

fn created(new: NewSecret) -> CreatedKey {
    CreatedKey {
        api_key: new.secret,
        key: new.key,
    }
}

/// Changes keys and writes the audit log, both or neither. Returns whether there was something to
/// change.
///
/// # Errors
/// `unauthenticated` when the actor's own key was revoked or expired meanwhile.
async fn change(app: &App, actor: &Actor, change: KeyChange<'_>, audit: &Audit) -> Result<bool> {
    let change = KeyChange {
        by: actor.key_id(),
        ..change
    };
    let is_changed = app.stores.meta.change_keys(change, audit).await?;
    app.keys.clear();
    if is_changed {
        audit::log(actor, audit);
    } else {
        authentication::check_again(app, actor).await?;
    }
    Ok(is_changed)
}

/// The same with a new key, which is not stored when this fails.
async fn add(app: &App, actor: &Actor, adding: KeyChange<'_>, audit: &Audit) -> Result<()> {
    if change(app, actor, adding, audit).await? {
        return Ok(());
    }
    Err(Error::conflict("the keys were changed by another request").hint("retry"))
}

/// Revokes a key. It stops working within 5 seconds on all daemons.
///
/// # Errors
/// `not_found` when the owner has no such key; `conflict` when it is the operator key in use, or
/// the owner's last key with the scope `admin`.
pub async fn revoke(app: &App, actor: &Actor, owner: KeyOwner<'_>, key_id: &str) -> Result<()> {
    let owner = Owner::authorised(app, actor, owner).await?;
    if owner.0.is_none() && actor.is_key(key_id) {
        return Err(Error::conflict("a key cannot revoke itself").hint("use another operator key"));
    }
    owner.working_key(app, key_id).await?;
    let audit = audit::entry(actor, owner.client_id(), "key.revoke", key_id);
    let end = EndKey {
        key_id,
        replaced: None,
    };
    let revoke = KeyChange {
        end: Some(end),
        ..KeyChange::default()
    };
    if !change(app, actor, revoke, &audit).await? {
        return Err(owner.missing(key_id));
    }
    Ok(())
}

/// Writes an operator key to `operator.key` if that file has the key that it replaces. The rotation
/// is done: a file that stays as it is is not an error of it.
async fn update_file(app: &App, replaced: &str, new: &NewSecret) {
    let file = api_key::operator_file(&app.settings.data);
    let Some(stored) = api_key::in_file(&file) else {
        return;
    };
    let known = app.stores.meta.key_by_hash(&api_key::hash(&stored)).await;
    if !known.is_ok_and(|key| key.is_some_and(|key| key.key_id == replaced)) {
        return;
    }
    let (path, secret) = (file.clone(), new.secret.clone());
    let written = environment::blocking(move || write_private(&path, &secret)).await;
    let (file, key_id) = (file.display(), &new.key.key_id);
    match written.and_then(|written| written) {
        Ok(()) => tracing::info!(%file, key_id, "wrote the new operator key"),
        Err(error) => tracing::warn!(
            %file, key_id, %error,
            "the file still has the operator key that was rotated: write the new one into it"
        ),
    }
}

/// Replaces a key by a new one with the same name, scopes and limits. Both work during the overlap.
///
/// # Errors
/// `not_found` when the owner has no such key; `conflict` when it was rotated before;
/// `invalid_request` for an overlap that is too long; otherwise as for [`create`].
pub async fn rotate(
    app: &App,
    actor: &Actor,
    owner: KeyOwner<'_>,
    key_id: &str,
    rotation: Rotation,
) -> Result<CreatedKey> {
    let owner_id = owner;
    let owner = Owner::authorised(app, actor, owner).await?;
    check_can_have_keys(app, owner_id).await?;
    let overlap = rotation.overlap_seconds.unwrap_or(DEFAULT_OVERLAP);
    if overlap > MAX_OVERLAP {
        return Err(Error::invalid(format!(
            "`overlap_seconds` must be at most {MAX_OVERLAP}"
        )));
    }
    let old = owner.working_key(app, key_id).await?;
    if let Some(by) = &old.replaced_by {
        // What is left of its time is an overlap, and not the time that a key was to live.
        let message = format!("key `{key_id}` was rotated already: `{by}` replaced it");
        return Err(Error::conflict(message).hint(owner_id.rotate_command(by)));
    }
    check_grantable(actor, owner_id, &old.scopes)?;
    let own = actor.bounds(owner.0.as_ref());
    if own.is_some_and(|own| !own.cover(&old)) {
        let message = format!("key `{key_id}` has fewer limits than your own key");
        return Err(Error::forbidden(message).hint("use a key without limits"));
    }
    let name: String = old.name.chars().take(MAX_NAME).collect();
    let mut new = api_key::new_key(owner.0.as_ref(), &name, old.scopes);
    let lifetime = old.expires_at.map(|at| at.0 - old.created_at.0);
    new.key.expires_at = match rotation.expires_in_seconds {
        Some(seconds) => key_limits::expiry(new.key.created_at, Some(seconds), None)?,
        None => lifetime.map(|micros| new.key.created_at.plus(micros)),
    };
    new.key.allowed_networks = old.allowed_networks;
    new.key.cluster = old.cluster;
    new.key.certificate_sha256 = old.certificate_sha256;
    if let Some(own) = own {
        own.narrow(&mut new.key)?;
    }
    let target = format!("{key_id}, replaced by {}", new.key.key_id);
    let audit = audit::entry(actor, owner.client_id(), "key.rotate", &target);
    let end = EndKey {
        key_id,
        replaced: Some(Replaced {
            by: &new.key.key_id,
            expires_at: audit.at.plus(i64::from(overlap) * SECOND),
        }),
    };
    let rotate = KeyChange {
        end: Some(end),
        ..adding(&new)
    };
    add(app, actor, rotate, &audit).await?;
    if owner.0.is_none() {
        update_file(app, key_id, &new).await;
    }
    Ok(created(new))
}
