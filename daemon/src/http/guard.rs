//! Who calls, what they may do, and how much of it.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use kgrca_core::billing::{self, Plan};
use kgrca_core::model::time::{MINUTE, SECOND};
use kgrca_core::storage::{Taken, Window};
use kgrca_core::tenancy::{Scope, TenantId, TenantState};

use super::error::ApiError;
use crate::app::App;
use crate::auth::{self, Known, Principal};
use crate::clock::now;
use crate::random::random_id;
use crate::telemetry;

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request that is being answered; empty outside of one.
pub fn current_request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Gives every request an id and counts its answer.
pub async fn identify(request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get("x-request-id")
        .and_then(|v| v.to_str().ok())
        .filter(|v| v.len() <= 64 && v.bytes().all(|b| b.is_ascii_graphic()));
    let id = given.map_or_else(|| random_id(20), str::to_owned);
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unknown", MatchedPath::as_str)
        .to_owned();
    let started = Instant::now();
    let mut response = REQUEST_ID.scope(id.clone(), next.run(request)).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    let answered = telemetry::Answered {
        route: &route,
        status: response.status().as_u16(),
        seconds: started.elapsed().as_secs_f64(),
        request_id: &id,
    };
    answered.emit();
    response
}

/// Looks the key up, holds its rate, counts the call. Handlers find the principal in the request's
/// extensions.
pub async fn account(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let principal = authenticate(&app, request.headers()).await?;
    let mut rate = None;
    if let Some((tenant, plan)) = tenant_of(&principal) {
        if let Some(limit) = plan.api_minute {
            let window = window(request.uri().path(), limit);
            let taken = app.stores.limits.take(&tenant, window, 1, now()).await?;
            if !taken.allowed {
                let error = ApiError::limited(
                    "rate_limited",
                    format!("more than {limit} calls in this minute"),
                    seconds_until(&taken),
                );
                return Ok(with_rate(
                    axum::response::IntoResponse::into_response(error),
                    taken,
                ));
            }
            rate = Some(taken);
        }
        app.pending_usage.add(&tenant, "api_calls_count", 1);
        metrics::counter!("kg_client_api_calls_total", "client_id" => tenant.to_string(), "plan" => plan.name.clone())
            .increment(1);
    }
    request.extensions_mut().insert(principal);
    let response = next.run(request).await;
    Ok(match rate {
        Some(taken) => with_rate(response, taken),
        None => response,
    })
}

/// What a call is counted in: senders have a window of their own, else a few nodes with logs would
/// lock people out.
fn window(path: &str, limit: u64) -> Window {
    let sends = path.starts_with("/api/v1/ingest/") || path == "/api/v1/agents";
    if sends {
        return Window {
            name: "ingest/minute",
            length: MINUTE,
            limit: limit.saturating_mul(SENDERS),
        };
    }
    Window {
        name: "api/minute",
        length: MINUTE,
        limit,
    }
}

/// How many times as many calls senders have.
const SENDERS: u64 = 20;

/// Whole seconds until the same request may succeed.
pub fn seconds_until(taken: &Taken) -> u64 {
    ((taken.retry.0 - now().0) / SECOND + 1).max(1) as u64
}

fn with_rate(mut response: Response, taken: Taken) -> Response {
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", taken.limit.into());
    headers.insert("x-ratelimit-remaining", taken.remaining.into());
    headers.insert("x-ratelimit-reset", (taken.reset.0 / SECOND).into());
    response
}

fn tenant_of(principal: &Principal) -> Option<(TenantId, Plan)> {
    let client = principal.tenant.as_ref()?;
    Some((
        TenantId::parse(&client.client_id)?,
        billing::find(&client.plan)?.with(&client.limits),
    ))
}

async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Principal, ApiError> {
    let bearer = headers
        .get("authorization")
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "));
    let secret = headers
        .get("x-api-key")
        .and_then(|v| v.to_str().ok())
        .or(bearer);
    let Some(secret) = secret.map(str::trim).filter(|s| !s.is_empty()) else {
        return Err(ApiError::unauthenticated("this route needs an API key"));
    };
    let hash = auth::hash(secret);
    let known = match app.keys.get(&hash) {
        Some(known) => known,
        None => look_up(app, hash).await?,
    };
    let Known::Yes(principal) = known else {
        return Err(ApiError::unauthenticated(
            "the API key is not known or was revoked",
        ));
    };
    match principal.tenant.as_ref().map(|c| c.state) {
        Some(TenantState::Joining) => Err(ApiError::forbidden("this tenant is still being set up")),
        Some(TenantState::Suspended) => {
            Err(ApiError::forbidden("this tenant is suspended").hint("ask the provider"))
        }
        Some(TenantState::Leaving) => {
            Err(ApiError::forbidden("this tenant is being offboarded").hint("ask the provider"))
        }
        Some(TenantState::Deleted) => Err(ApiError::forbidden("this tenant was deleted")),
        _ => Ok(*principal),
    }
}

async fn look_up(app: &App, hash: String) -> Result<Known, ApiError> {
    let key = app
        .stores
        .meta
        .key_by_hash(&hash)
        .await?
        .filter(|k| k.holds(now()));
    let principal = match key {
        Some(key) => match key.client_id.clone() {
            Some(id) => app.stores.meta.tenant(&id).await?.map(|client| {
                if let Some(tenant) = TenantId::parse(&id) {
                    app.fleet.know(&tenant, client.partitions);
                }
                Principal {
                    key,
                    tenant: Some(client),
                }
            }),
            None => Some(Principal { key, tenant: None }),
        },
        None => None,
    };
    let known = principal.map_or(Known::No, |p| Known::Yes(Box::new(p)));
    app.keys.put(hash, known.clone());
    Ok(known)
}

/// A tenant's key with a scope, as a handler demands it.
pub struct Caller<S> {
    /// The tenant.
    pub tenant: TenantId,
    /// Its plan.
    pub plan: Plan,
    /// The key's name and id: who acts.
    pub who: String,
    scope: std::marker::PhantomData<S>,
}

/// The operator's key.
pub struct Operator {
    /// The key's id.
    pub key_id: String,
}

/// A key of the operator that may read what tenants owe, and perhaps nothing else.
pub struct Accountant;

/// A scope that a handler demands.
pub trait Demands: Send + Sync {
    /// Which.
    const SCOPE: Scope;
}

macro_rules! demands {
    ($($(#[$doc:meta])* $name:ident),*) => {
        $($(#[$doc])* pub struct $name;
        impl Demands for $name { const SCOPE: Scope = Scope::$name; })*
    };
}

demands!(
    /// Send records.
    Ingest,
    /// Read answers.
    Read,
    /// Ask the graph.
    Query,
    /// Read usage.
    Billing,
    /// Act for the tenant: handle its incidents.
    Admin
);

impl<S: Demands> FromRequestParts<Arc<App>> for Caller<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        let principal = principal(parts)?;
        let Some((tenant, plan)) = tenant_of(principal) else {
            return Err(ApiError::forbidden("this route belongs to tenants")
                .hint("use a tenant's key: the tenant comes from the key"));
        };
        if !principal.key.scopes.contains(&S::SCOPE) {
            return Err(ApiError::forbidden(format!(
                "the key lacks the scope `{}`",
                S::SCOPE.as_str()
            ))
            .hint("create a key with this scope"));
        }
        let key = &principal.key;
        let who = if key.name.is_empty() {
            key.key_id.clone()
        } else {
            format!("{} ({})", key.name, key.key_id)
        };
        Ok(Self {
            tenant,
            plan,
            who,
            scope: std::marker::PhantomData,
        })
    }
}

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        let principal = principal(parts)?;
        if principal.tenant.is_some() {
            return Err(ApiError::forbidden("this route belongs to the operator"));
        }
        if !principal.key.scopes.contains(&Scope::Admin) {
            return Err(ApiError::forbidden(
                "the operator's key lacks the scope `admin`",
            ));
        }
        Ok(Self {
            key_id: principal.key.key_id.clone(),
        })
    }
}

impl FromRequestParts<Arc<App>> for Accountant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        let principal = principal(parts)?;
        let may = [Scope::Billing, Scope::Admin]
            .iter()
            .any(|s| principal.key.scopes.contains(s));
        if principal.tenant.is_some() || !may {
            return Err(ApiError::forbidden("this route belongs to the operator")
                .hint("`kgrca key create --operator --role billing` makes a key for it"));
        }
        Ok(Self)
    }
}

fn principal(parts: &Parts) -> Result<&Principal, ApiError> {
    parts
        .extensions
        .get::<Principal>()
        .ok_or_else(|| ApiError::unauthenticated("this route needs an API key"))
}
