//! From an API key to an actor, and how many calls an actor may make.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kgrca_core::billing;
use kgrca_core::billing::Metric;
use kgrca_core::model::time::MINUTE;
use kgrca_core::storage::{Taken, Window};
use kgrca_core::tenancy::{ApiKey, Scope, Tenant, TenantId, TenantState};

use super::actor::{Actor, Identity, Reach, Request};
use super::app::App;
use super::error::{Error, Result};
use crate::api_key;
use crate::clock::{instant, now, since};

/// How long a key is used without asking the store again: the bound on how late a revocation takes
/// effect.
const CACHE_TTL: Duration = Duration::from_secs(2);
/// How many keys are cached at most.
const MAX_CACHED: usize = 10_000;

/// What a key stands for.
#[derive(Debug)]
struct Credentials {
    identity: Identity,
    /// `None` for a tenant whose plan is not in plans.yaml.
    reach: Option<Reach>,
    scopes: Vec<Scope>,
    /// The tenant's state; `None` for the operator's keys.
    tenant_state: Option<TenantState>,
}

/// A key's credentials; `None` where no key has the hash.
type Known = Option<Arc<Credentials>>;

/// Recently used keys, by the hash of the key.
#[derive(Debug, Default)]
pub struct KeyCache(Mutex<HashMap<String, (Instant, Known)>>);

impl KeyCache {
    /// `None` when the store must be asked.
    fn get(&self, hash: &str) -> Option<Known> {
        let cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, known) = cache.get(hash)?;
        (since(*read_at) < CACHE_TTL).then(|| known.clone())
    }

    fn put(&self, hash: String, known: Known) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= MAX_CACHED {
            cache.clear();
        }
        cache.insert(hash, (instant(), known));
    }

    /// Drops all entries, after keys or tenants were changed by this daemon.
    pub fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// The actor behind an API key.
///
/// # Errors
/// `unauthenticated` without a key that works; `forbidden` while the tenant is not served
/// or its plan is unknown.
pub async fn authenticate(app: &App, secret: Option<&str>, request: Request) -> Result<Actor> {
    let Some(secret) = secret.map(str::trim).filter(|s| !s.is_empty()) else {
        return Err(Error::unauthenticated("this endpoint requires an API key"));
    };
    let hash = api_key::hash(secret);
    let known = match app.keys.get(&hash) {
        Some(known) => known,
        None => look_up(app, hash).await?,
    };
    let credentials = known
        .ok_or_else(|| Error::unauthenticated("the API key is unknown, expired or revoked"))?;
    check_served(credentials.tenant_state)?;
    let reach = credentials.reach.clone().ok_or_else(|| {
        Error::forbidden("the plan of this tenant is not available").hint("contact your provider")
    })?;
    Ok(Actor::with_key(
        credentials.identity.clone(),
        reach,
        credentials.scopes.clone(),
        request,
    ))
}

/// Whether an actor's key still works, has the scope, and its tenant is served: for what outlives
/// a request.
///
/// # Errors
/// When the store does not answer.
pub async fn may_still(app: &App, actor: &Actor, scope: Scope) -> Result<bool> {
    let Identity::Key { id, .. } = &actor.identity else {
        return Ok(true);
    };
    let tenant = actor.reached_tenant().map(|tenant| tenant.id.as_str());
    let keys = app.stores.meta.keys(tenant).await?;
    let has_key = keys
        .iter()
        .any(|key| key.key_id == *id && key.holds(now()) && key.scopes.contains(&scope));
    let Some(tenant) = tenant.filter(|_| has_key) else {
        return Ok(has_key);
    };
    let row = app.stores.meta.tenant(tenant).await?;
    Ok(row.is_some_and(|row| row.state == TenantState::Active))
}

fn check_served(state: Option<TenantState>) -> Result<()> {
    let contact = |message: &str| Err(Error::forbidden(message).hint("contact your provider"));
    match state {
        None | Some(TenantState::Active) => Ok(()),
        Some(TenantState::Joining) => {
            Err(Error::forbidden("this tenant is still being provisioned")
                .hint("retry when provisioning is complete"))
        }
        Some(TenantState::Suspended) => contact("this tenant is suspended"),
        Some(TenantState::Leaving) => contact("this tenant is being offboarded"),
        Some(TenantState::Deleted) => contact("this tenant was deleted"),
    }
}

async fn look_up(app: &App, hash: String) -> Result<Known> {
    let key = app
        .stores
        .meta
        .key_by_hash(&hash)
        .await?
        .filter(|k| k.holds(now()));
    let known = match key {
        Some(key) => credentials(app, key).await?.map(Arc::new),
        None => None,
    };
    app.keys.put(hash, known.clone());
    Ok(known)
}

async fn credentials(app: &App, key: ApiKey) -> Result<Option<Credentials>> {
    let tenant = match &key.client_id {
        Some(id) => match app.stores.meta.tenant(id).await? {
            Some(tenant) => Some(tenant),
            None => return Ok(None),
        },
        None => None,
    };
    let reach = match &tenant {
        Some(tenant) => reach(app, tenant)?,
        None => Some(Reach::Operator),
    };
    Ok(Some(Credentials {
        identity: Identity::Key {
            id: key.key_id,
            name: key.name,
        },
        reach,
        scopes: key.scopes,
        tenant_state: tenant.map(|t| t.state),
    }))
}

fn reach(app: &App, tenant: &Tenant) -> Result<Option<Reach>> {
    let id = TenantId::parse(&tenant.client_id)
        .ok_or_else(|| Error::internal(format!("invalid tenant id `{}`", tenant.client_id)))?;
    let Some(plan) = billing::find(&tenant.plan) else {
        tracing::warn!(client_id = %id, plan = tenant.plan, "the plan is not in plans.yaml");
        return Ok(None);
    };
    app.fleet.know(&id, tenant.partitions);
    Ok(Some(Reach::Tenant {
        id,
        plan: Box::new(plan.with(&tenant.limits)),
    }))
}

/// What a call is for. Senders have a limit of their own: a few nodes that ship logs must not lock
/// people out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Records and heartbeats.
    Ingest,
    /// Everything else.
    Api,
}

/// How many times the plan's API/minute senders may call.
const INGEST_FACTOR: u64 = 20;

impl Traffic {
    /// The rate of a plan with this many calls per minute.
    pub(super) fn window(self, per_minute: u64) -> Window {
        let (name, limit) = match self {
            Self::Ingest => ("ingest/minute", per_minute.saturating_mul(INGEST_FACTOR)),
            Self::Api => ("api/minute", per_minute),
        };
        Window {
            name,
            length: MINUTE,
            limit,
        }
    }
}

/// Takes a call from the plan's rate and counts it for the invoice. Returns what is left of the
/// rate, when there is one; a call that is not allowed is not counted.
///
/// # Errors
/// When the store of limits does not answer.
pub async fn count_call(app: &App, actor: &Actor, traffic: Traffic) -> Result<Option<Taken>> {
    let Some(tenant) = actor.reached_tenant() else {
        return Ok(None);
    };
    let mut rate = None;
    if let Some(limit) = tenant.plan.api_minute {
        // A key that may not send anything must not use up the rate of those that may.
        let traffic = match actor.tenant(Scope::Ingest) {
            Ok(_) => traffic,
            Err(_) => Traffic::Api,
        };
        let window = traffic.window(limit);
        let taken = app.stores.limits.take(tenant.id, window, 1, now()).await?;
        if !taken.allowed {
            return Ok(Some(taken));
        }
        rate = Some(taken);
    }
    app.pending_usage.add(tenant.id, Metric::ApiCalls, 1);
    let labels = [
        ("client_id", tenant.id.to_string()),
        ("plan", tenant.plan.name.clone()),
    ];
    metrics::counter!("kg_client_api_calls_total", &labels).increment(1);
    Ok(rate)
}
