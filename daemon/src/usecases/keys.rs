//! API keys: of a tenant, handled by the tenant itself or by the operator, and the operator's own.

use std::collections::BTreeSet;

use kgrca_core::api::{CreatedKey, Page, Rotation};
use kgrca_core::model::time::SECOND;
use kgrca_core::tenancy::{ApiKey, Scope, TenantId, TenantState};

use super::actor::Actor;
use super::app::App;
use super::error::{Error, Result};
use super::{audit, tenants};
use crate::api_key::{self, NewSecret};
use crate::clock::now;

/// For how long both keys work after a rotation, in seconds, unless the caller chooses.
const DEFAULT_OVERLAP: u32 = 86_400;
const MAX_OVERLAP: u32 = 2_592_000;

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
        known.ok_or_else(|| {
            let owner = match self.client_id() {
                Some(id) => format!("tenant `{id}`"),
                None => "the operator".to_owned(),
            };
            Error::not_found(format!("{owner} has no active key `{key_id}`"))
        })
    }
}

/// All keys of an owner, including revoked and expired ones; never the secrets.
///
/// # Errors
/// `not_found` when there is no such tenant.
pub async fn list(app: &App, actor: &Actor, owner: KeyOwner<'_>) -> Result<Page<ApiKey>> {
    let owner = Owner::authorised(app, actor, owner).await?;
    Ok(Page {
        items: app.stores.meta.keys(owner.client_id()).await?,
        next: None,
    })
}

/// Creates a key. Its secret is in this answer and nowhere else.
///
/// # Errors
/// `invalid_request` without a scope; `conflict` when the tenant is not served.
pub async fn create(
    app: &App,
    actor: &Actor,
    owner: KeyOwner<'_>,
    name: &str,
    scopes: Vec<Scope>,
) -> Result<CreatedKey> {
    let owner_id = owner;
    let owner = Owner::authorised(app, actor, owner).await?;
    if let KeyOwner::Tenant(id) = owner_id {
        check_can_have_keys(app, id).await?;
    }
    let scopes: BTreeSet<Scope> = scopes.into_iter().collect();
    if scopes.is_empty() {
        return Err(
            Error::invalid("a key requires a role or at least one scope")
                .hint("GET /docs lists roles and scopes"),
        );
    }
    let new = api_key::new_key(owner.0.as_ref(), name, scopes.into_iter().collect());
    let key_id = &new.key.key_id;
    audit::record(app, actor, owner.client_id(), "key.create", key_id).await?;
    store(app, new).await
}

async fn check_can_have_keys(app: &App, id: &str) -> Result<()> {
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

async fn store(app: &App, new: NewSecret) -> Result<CreatedKey> {
    app.stores.meta.put_key(&new.key, &new.hash).await?;
    Ok(CreatedKey {
        api_key: new.secret,
        key: new.key,
    })
}

/// Revokes a key. It stops working within 5 seconds on all daemons.
///
/// # Errors
/// `not_found` when the owner has no such key; `conflict` when it is the operator key in use.
pub async fn revoke(app: &App, actor: &Actor, owner: KeyOwner<'_>, key_id: &str) -> Result<()> {
    let owner = Owner::authorised(app, actor, owner).await?;
    if owner.0.is_none() && actor.is_key(key_id) {
        return Err(Error::conflict("a key cannot revoke itself").hint("use another operator key"));
    }
    owner.working_key(app, key_id).await?;
    audit::record(app, actor, owner.client_id(), "key.revoke", key_id).await?;
    app.stores
        .meta
        .revoke_key(owner.client_id(), key_id, now())
        .await?;
    app.keys.clear();
    Ok(())
}

/// Replaces a key by a new one with the same name and scopes. Both work during the overlap.
///
/// # Errors
/// `not_found` when the owner has no such key; `invalid_request` for an overlap that is too long.
pub async fn rotate(
    app: &App,
    actor: &Actor,
    owner: KeyOwner<'_>,
    key_id: &str,
    rotation: Rotation,
) -> Result<CreatedKey> {
    let owner = Owner::authorised(app, actor, owner).await?;
    let overlap = rotation.overlap_seconds.unwrap_or(DEFAULT_OVERLAP);
    if overlap > MAX_OVERLAP {
        return Err(Error::invalid(format!(
            "`overlap_seconds` must be at most {MAX_OVERLAP}"
        )));
    }
    let old = owner.working_key(app, key_id).await?;
    let new = api_key::new_key(owner.0.as_ref(), &old.name, old.scopes);
    let target = format!("{key_id} by {}", new.key.key_id);
    audit::record(app, actor, owner.client_id(), "key.rotate", &target).await?;
    let created = store(app, new).await?;
    let until = now().plus(i64::from(overlap) * SECOND);
    app.stores
        .meta
        .expire_key(owner.client_id(), key_id, until)
        .await?;
    app.keys.clear();
    Ok(created)
}
