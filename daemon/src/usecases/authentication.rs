//! From an API key to an actor, and how many calls an actor may make.

mod guesses;
mod key_cache;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kgrca_core::billing;
use kgrca_core::billing::Metric;
use kgrca_core::model::time::MINUTE;
use kgrca_core::storage::{Taken, Window};
use kgrca_core::tenancy::{ApiKey, KeyText, Scope, Tenant, TenantId, TenantState};

use super::actor::{Actor, Grant, Identity, KeyHash, Reach, Request};
use super::app::App;
use super::audit_counts::{Act, FAILED_LOGIN};
use super::error::{Error, Result};
use super::key_limits::Bounds;
use crate::api_key;
use crate::clock::{now, sleep};
pub use guesses::Guesses;
pub use key_cache::KeyCache;
use key_cache::{Credentials, EndedKey, Known};

/// The actor behind an API key.
///
/// # Errors
/// `unauthenticated` without a key that works; `network_not_allowed` from outside of the key's
/// networks; `forbidden` without its certificate, while the tenant is not served or its plan is
/// unknown.
pub async fn authenticate(app: &App, secret: Option<&str>, request: Request) -> Result<Actor> {
    let Some(secret) = secret.map(str::trim).filter(|s| !s.is_empty()) else {
        return Err(Error::unauthenticated("this endpoint requires an API key"));
    };
    let text = KeyText::of(secret);
    if text.is_mistyped {
        note_failure(app, &request, &text, "a mistyped key");
        return Err(Error::unauthenticated(
            "the API key is malformed: its checksum does not match",
        )
        .hint("copy the key again, to its last character"));
    }
    let hash = api_key::hash(secret);
    let credentials = match known(app, &hash, request.address).await? {
        Known::Working(credentials) => credentials,
        Known::Nothing => {
            note_failure(app, &request, &text, "an unknown key");
            return Err(does_not_work());
        }
        Known::Ended(ended) => {
            note_use_of_ended(app, request.address, &ended);
            return Err(has_ended(&ended));
        }
    };
    check_origin(app, &credentials, &request)?;
    check_served(credentials.tenant_state)?;
    let reach = credentials.reach.clone().ok_or_else(|| {
        Error::forbidden("the plan of this tenant is not available").hint("contact your provider")
    })?;
    let grant = Grant {
        identity: credentials.identity.clone(),
        reach,
        scopes: credentials.scopes.clone(),
        cluster: credentials.cluster.clone(),
        bounds: Bounds {
            networks: credentials.networks.clone(),
            certificate: credentials.certificate.clone(),
            expires_at: credentials.expires_at,
        },
        key_hash: KeyHash(hash),
    };
    let actor = Actor::with_key(grant, request);
    app.key_uses.note(actor.id(), actor.address);
    Ok(actor)
}

fn does_not_work() -> Error {
    Error::unauthenticated("the API key is unknown, expired or revoked")
}

/// Whoever has the secret of a key may know what became of it.
fn has_ended(ended: &EndedKey) -> Error {
    let id = &ended.key_id;
    Error::unauthenticated(match &ended.replaced_by {
        Some(by) => format!("the API key `{id}` has ended: `{by}` replaced it"),
        None => format!("the API key `{id}` was revoked or has expired"),
    })
}

/// Checks once more that an actor's key works and its tenant is served: when the body of its
/// request has arrived, which may be a minute after the key was checked.
///
/// # Errors
/// As for [`authenticate`].
pub async fn check_again(app: &App, actor: &Actor) -> Result<()> {
    let Some(hash) = &actor.key_hash else {
        return Ok(());
    };
    match known(app, &hash.0, actor.address).await? {
        Known::Working(credentials) => check_served(credentials.tenant_state),
        Known::Nothing => Err(does_not_work()),
        Known::Ended(ended) => {
            note_use_of_ended(app, actor.address, &ended);
            Err(has_ended(&ended))
        }
    }
}

/// What is known of a key's hash, from the cache or the store.
async fn known(app: &App, hash: &str, address: Option<IpAddr>) -> Result<Known> {
    let known = match app.keys.get(hash) {
        Some(known) => known,
        None if app.keys.is_familiar(hash) => look_up(app, hash.to_owned()).await?,
        None => look_for_stranger(app, hash, address).await?,
    };
    Ok(match known {
        Known::Working(key) if key.expires_at.is_some_and(|at| at <= now()) => {
            look_up(app, hash.to_owned()).await?
        }
        known => known,
    })
}

/// Looks for a key that was not used lately, and may be a guess.
async fn look_for_stranger(app: &App, hash: &str, address: Option<IpAddr>) -> Result<Known> {
    let _place = app.guesses.begin(address).await?;
    let known = look_up(app, hash.to_owned()).await?;
    if matches!(known, Known::Nothing) {
        app.guesses.was_wrong(address);
    }
    Ok(known)
}

/// Counts a login with a key that does not exist. The chain is that of the tenant that the key
/// names, where there is such a tenant.
fn note_failure(app: &App, request: &Request, text: &KeyText<'_>, what: &str) {
    let prefix = match text.prefix {
        "" => String::new(),
        prefix => format!(" that begins with {prefix}_"),
    };
    app.audit_counts.note(Act {
        client_id: text.tenant_id(),
        actor: UNKNOWN_ACTOR.to_owned(),
        action: FAILED_LOGIN,
        target: format!("{what}{prefix}"),
        address: request.address,
    });
}

/// Counts a login with a key that was revoked or has expired.
fn note_use_of_ended(app: &App, address: Option<IpAddr>, ended: &EndedKey) {
    app.audit_counts.note(Act {
        client_id: ended.client_id.clone(),
        actor: ended.key_id.clone(),
        action: FAILED_LOGIN,
        target: "a revoked or expired key".to_owned(),
        address,
    });
}

/// How the audit log names whoever has no key.
const UNKNOWN_ACTOR: &str = "unknown";

/// Checks where a request comes from against the limits of its key.
fn check_origin(app: &App, key: &Credentials, request: &Request) -> Result<()> {
    let is_inside = |address: IpAddr| key.networks.iter().any(|n| n.contains(address));
    let is_elsewhere = !key.networks.is_empty() && !request.address.is_some_and(is_inside);
    let certificate = key.certificate.as_ref();
    let has_certificate = certificate.is_none() || certificate == request.certificate.as_ref();
    if !is_elsewhere && has_certificate {
        return Ok(());
    }
    let (target, error) = if is_elsewhere {
        let from = request.address.map(|address| address.to_string());
        let from = from.as_deref().unwrap_or("an unknown address");
        let error = Error::network_not_allowed(format!("the key cannot be used from {from}"));
        let hint = "`kgrca key list` shows the networks of a key; behind a proxy, the server needs \
             --trusted-proxies";
        ("a key used from outside its networks", error.hint(hint))
    } else {
        let error = Error::forbidden("the key can only be used with its client certificate");
        let hint = "send the certificate that the key was created for";
        ("a key without its client certificate", error.hint(hint))
    };
    let client_id = match &key.reach {
        Some(Reach::Tenant { id, .. }) => Some(id.to_string()),
        Some(Reach::Operator) | None => None,
    };
    app.audit_counts.note(Act {
        client_id,
        actor: key.identity.id().to_owned(),
        action: FAILED_LOGIN,
        target: target.to_owned(),
        address: request.address,
    });
    Err(error)
}

/// Whether an actor's key still works, has the scope, and its tenant is served: for what outlives
/// a request.
///
/// # Errors
/// When the store does not answer.
async fn may_still(app: &App, actor: &Actor, scope: Scope) -> Result<bool> {
    let Some(hash) = &actor.key_hash else {
        return Ok(true);
    };
    Ok(match known(app, &hash.0, actor.address).await? {
        Known::Working(key) => {
            key.scopes.contains(&scope) && check_served(key.tenant_state).is_ok()
        }
        Known::Nothing | Known::Ended(_) => false,
    })
}

/// How often the key of whoever follows a stream is checked.
const RECHECK: Duration = Duration::from_secs(2);

/// Completes when an actor may no longer have what it follows: its key was revoked, or its tenant
/// is not served. A store that does not answer is no reason.
pub async fn revoked(app: &App, actor: &Actor, scope: Scope) {
    loop {
        sleep(RECHECK).await;
        if matches!(may_still(app, actor, scope).await, Ok(false)) {
            return;
        }
    }
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
    let edition = app.keys.edition();
    let known = match app.stores.meta.key_by_hash(&hash).await? {
        None => Known::Nothing,
        Some(key) if key.holds(now()) => match credentials(app, key).await? {
            Some(credentials) => Known::Working(Arc::new(credentials)),
            None => Known::Nothing,
        },
        Some(key) => Known::Ended(Arc::new(EndedKey {
            key_id: key.key_id,
            client_id: key.client_id,
            replaced_by: key.replaced_by,
        })),
    };
    app.keys.put(hash, known.clone(), edition);
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
        networks: key.allowed_networks,
        cluster: key.cluster,
        certificate: key.certificate_sha256,
        expires_at: key.expires_at,
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
