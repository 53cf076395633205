//! Request ids, and who calls: the middleware that authenticates, and the extractor of the actor.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use kgrca_core::model::time::SECOND;
use kgrca_core::storage::Taken;
use kgrca_core::tenancy::Scope;

use super::client_address::{self, PeerCertificate};
use super::error::ApiError;
use super::held;
use crate::random::random_id;
use crate::telemetry;
use crate::usecases::actor::{Interface, Request as Origin};
use crate::usecases::audit_counts;
use crate::usecases::authentication::{self, Traffic};
use crate::usecases::{Actor, App, Code, Error, Result};

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request that is being answered; empty outside of one.
pub fn current_request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Runs a part of a request in another task under the request's id.
pub async fn with_request_id<F: Future>(id: String, part: F) -> F::Output {
    REQUEST_ID.scope(id, part).await
}

/// Gives every request an id, the caller's own if it sends a usable one, and measures the answer.
pub async fn identify(request: Request, next: Next) -> Response {
    let sent = request
        .headers()
        .get("x-request-id")
        .and_then(|v| v.to_str().ok())
        .filter(|v| v.len() <= 64 && v.bytes().all(|b| b.is_ascii_graphic()));
    let id = match sent {
        Some(id) => id.to_owned(),
        None => random_id(20),
    };
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned())
        .unwrap_or("unknown".to_owned());
    let started = Instant::now();
    let mut response = REQUEST_ID.scope(id.clone(), next.run(request)).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    let answered = telemetry::RequestAnswered {
        route: &route,
        status: response.status().as_u16(),
        seconds: started.elapsed().as_secs_f64(),
        request_id: &id,
    };
    answered.emit();
    response
}

/// Who sent a request, by its key.
pub async fn actor_of(app: &App, request: &Parts) -> Result<Actor> {
    let certificate = request.extensions.get::<PeerCertificate>();
    let origin = Origin {
        interface: Interface::Http,
        id: current_request_id(),
        address: client_address::of(request, &app.settings.trusted_proxies),
        certificate: certificate.map(|peer| peer.sha256.clone()),
    };
    let secret = secret(&request.headers)?;
    authentication::authenticate(app, secret, origin).await
}

/// Authenticates the caller and takes the call from its rate. Handlers find the actor in the
/// request's extensions.
pub async fn authenticate(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let actor = actor_of(&app, &parts).await?;
    if let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() {
        app.known_sources.note(peer.ip());
    }
    let request = Request::from_parts(parts, body);
    let traffic = traffic(&request);
    let Some(rate) = authentication::count_call(&app, &actor, traffic).await? else {
        return Ok(run(&app, actor, request, next).await);
    };
    if !rate.allowed {
        let message = format!("rate limit of {} calls per minute reached", rate.limit);
        let error = ApiError::from(Error::rate_limited(message, &rate));
        return Ok(with_rate(error.into_response(), rate));
    }
    Ok(with_rate(run(&app, actor, request, next).await, rate))
}

/// Runs the handler. What the request holds is given back when its answer was sent.
async fn run(app: &App, actor: Actor, mut request: Request, next: Next) -> Response {
    let held = match app.budgets.enter(&actor) {
        Ok(held) => Arc::new(held),
        Err(e) => return ApiError::from(e).into_response(),
    };
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map(MatchedPath::as_str).unwrap_or_default();
    let what = format!("{} {path}", request.method());
    request.extensions_mut().insert(actor.clone());
    request.extensions_mut().insert(Arc::clone(&held));
    let response = next.run(request).await;
    let code = response.extensions().get::<Code>().copied();
    audit_counts::ended(app, &actor, &what, code);
    held::until_sent(response, held)
}

/// The key of a request. With more than one it would be unclear who calls.
fn secret(headers: &HeaderMap) -> Result<Option<&str>> {
    let keys = headers.get_all("x-api-key").iter();
    let mut all = keys.chain(headers.get_all("authorization").iter());
    let Some(value) = all.next() else {
        return Ok(None);
    };
    if all.next().is_some() {
        return Err(Error::unauthenticated(
            "the request carries more than one key",
        ));
    }
    let malformed = || Error::unauthenticated("the API key is malformed");
    let text = value.to_str().map_err(|_| malformed())?;
    if headers.contains_key("x-api-key") {
        return Ok(Some(text));
    }
    text.strip_prefix("Bearer ").map(Some).ok_or_else(malformed)
}

fn traffic(request: &Request) -> Traffic {
    let path = request.uri().path();
    let sends = path.starts_with("/api/v1/ingest/")
        || (path == "/api/v1/agents" && request.method() == Method::POST);
    if sends { Traffic::Ingest } else { Traffic::Api }
}

fn with_rate(mut response: Response, rate: Taken) -> Response {
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", rate.limit.into());
    headers.insert("x-ratelimit-remaining", rate.remaining.into());
    headers.insert("x-ratelimit-reset", (rate.reset.0 / SECOND).into());
    response
}

/// The actor of a request who has a right. The use case checks it again, and that check is the one
/// that counts; this one comes before the body is read, so that a caller without the right neither
/// uploads anything nor learns what the endpoint expects.
pub struct Caller<R> {
    actor: Actor,
    right: PhantomData<R>,
}

impl<R> Deref for Caller<R> {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.actor
    }
}

/// A right that an endpoint requires.
pub trait Right: Send + Sync {
    /// Fails when the actor does not have it.
    fn check(actor: &Actor) -> Result<()>;
}

macro_rules! tenant_rights {
    ($($(#[$doc:meta])* $name:ident),*) => {
        $($(#[$doc])* pub struct $name;
        impl Right for $name {
            fn check(actor: &Actor) -> Result<()> {
                actor.tenant(Scope::$name).map(|_| ())
            }
        })*
    };
}

tenant_rights!(
    /// Send records and heartbeats.
    Ingest,
    /// Read answers, incidents and the graph.
    Read,
    /// Query the graph in Cypher.
    Query,
    /// Read usage.
    Billing,
    /// Act for the tenant: handle incidents, manage keys.
    Admin
);

/// Administer all tenants: an operator key.
pub struct Operator;

impl Right for Operator {
    fn check(actor: &Actor) -> Result<()> {
        actor.operator()
    }
}

/// Read what tenants owe: an operator key, perhaps for billing only.
pub struct Accountant;

impl Right for Accountant {
    fn check(actor: &Actor) -> Result<()> {
        actor.accountant()
    }
}

impl<R: Right> FromRequestParts<Arc<App>> for Caller<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        let actor = actor(parts)?;
        R::check(actor)?;
        Ok(Self {
            actor: actor.clone(),
            right: PhantomData,
        })
    }
}

fn actor(parts: &Parts) -> Result<&Actor> {
    // Every route behind the middleware has one.
    let actor = parts.extensions.get::<Actor>();
    actor.ok_or_else(|| Error::unauthenticated("this endpoint requires an API key"))
}
