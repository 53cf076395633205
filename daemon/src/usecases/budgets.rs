//! What requests may hold at a time, so that no tenant's requests take the daemon's memory or its
//! connections from others: requests in flight, streams, bytes of bodies and answers, and large
//! answers in the making.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kgrca_core::tenancy::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::actor::{Actor, Identity};
use super::error::{Error, Result};
use crate::budget::{Budget, Exhausted, Share};

/// Requests of one tenant in flight. A request is, until its answer was taken by the client.
const REQUESTS_PER_TENANT: usize = 64;
const REQUESTS: usize = 1024;
/// Streams that one tenant follows, through one daemon.
const STREAMS_PER_TENANT: usize = 32;
const STREAMS: usize = 1024;
/// Analyses of records that are sent along. They take a processor each.
const ANALYSES_PER_TENANT: usize = 1;
const ANALYSES: usize = 2;
/// How many of the largest bodies one key, one tenant, and all together can have in flight.
const BODIES_PER_KEY: usize = 2;
const BODIES_PER_TENANT: usize = 3;
const BODIES: usize = 8;

/// Large answers of one tenant that are made at a time, and how long others wait for their turn.
const LARGE_ANSWERS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of large answers that one tenant, and all together, have not taken yet.
const ANSWER_BYTES_PER_TENANT: usize = 64 << 20;
const ANSWER_BYTES: usize = 256 << 20;

/// Whose requests they are; `None` is the operator.
pub type Owner = Option<TenantId>;

/// The budgets of a daemon.
#[derive(Debug)]
pub struct Budgets {
    clients: Budget<IpAddr>,
    requests: Budget<Owner>,
    streams: Budget<Owner>,
    analyses: Budget<Owner>,
    key_bytes: Budget<String>,
    bytes: Budget<Owner>,
    answers: Budget<Owner>,
    turns: Turns,
}

/// Turns to make a large answer, of each owner.
#[derive(Clone, Debug, Default)]
struct Turns(Arc<Mutex<HashMap<Owner, Arc<Semaphore>>>>);

impl Turns {
    fn of(&self, owner: &Owner) -> Arc<Semaphore> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other, turns| other == owner || Arc::strong_count(turns) > 1);
        let turns = all.entry(owner.clone());
        Arc::clone(turns.or_insert_with(|| Arc::new(Semaphore::new(LARGE_ANSWERS))))
    }
}

/// What one request holds. It is given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    owner: Owner,
    streams: Budget<Owner>,
    place: Mutex<Share<Owner>>,
    body: Mutex<Body>,
    answer: Mutex<Share<Owner>>,
    turns: Turns,
}

#[derive(Debug)]
struct Body {
    of_key: Share<String>,
    of_owner: Share<Owner>,
}

impl Budgets {
    /// Budgets for bodies of at most this many bytes, and this many requests of one client that
    /// come through proxies.
    pub fn new(max_body: usize, per_client: usize) -> Self {
        Self {
            // In all there are no more than connections.
            clients: Budget::new(per_client, usize::MAX),
            requests: Budget::new(REQUESTS_PER_TENANT, REQUESTS),
            streams: Budget::new(STREAMS_PER_TENANT, STREAMS),
            analyses: Budget::new(ANALYSES_PER_TENANT, ANALYSES),
            key_bytes: Budget::new(BODIES_PER_KEY * max_body, BODIES * max_body),
            bytes: Budget::new(BODIES_PER_TENANT * max_body, BODIES * max_body),
            answers: Budget::new(ANSWER_BYTES_PER_TENANT, ANSWER_BYTES),
            turns: Turns::default(),
        }
    }

    /// Takes a place for a request that a proxy passed on for a client. Connections of proxies are
    /// not limited by address: this is the limit in their place.
    ///
    /// # Errors
    /// `rate_limited` with too many requests of the client in flight.
    pub fn enter_from(&self, client: IpAddr) -> Result<Share<IpAddr>> {
        self.clients.take(client, 1).map_err(|_| {
            let message = format!("too many requests in flight from {client}");
            Error::busy(message).hint("send fewer requests at a time")
        })
    }

    /// Takes a place for an analysis.
    ///
    /// # Errors
    /// `rate_limited` while one of the tenant is running; `unavailable` with too many in all.
    pub fn analyze(&self, tenant: &TenantId) -> Result<Share<Owner>> {
        let place = self.analyses.take(Some(tenant.clone()), 1);
        place.map_err(|e| refused(e, "analyses in progress"))
    }

    /// Takes a place for a request of the actor.
    ///
    /// # Errors
    /// `rate_limited` with too many requests of the tenant in flight; `unavailable` with too many
    /// in all.
    pub fn enter(&self, actor: &Actor) -> Result<Held> {
        let owner = actor.reached_tenant().map(|tenant| tenant.id.clone());
        let (Identity::Key { id, .. } | Identity::Job { id, .. }) = &actor.identity;
        let busy = |e| refused(e, "requests in flight");
        Ok(Held {
            place: Mutex::new(self.requests.take(owner.clone(), 1).map_err(busy)?),
            body: Mutex::new(Body {
                of_key: self.key_bytes.take(id.clone(), 0).map_err(busy)?,
                of_owner: self.bytes.take(owner.clone(), 0).map_err(busy)?,
            }),
            answer: Mutex::new(self.answers.take(owner.clone(), 0).map_err(busy)?),
            streams: self.streams.clone(),
            turns: self.turns.clone(),
            owner,
        })
    }
}

impl Held {
    /// Counts this request as a stream from now on.
    ///
    /// # Errors
    /// `rate_limited` with too many streams of the tenant; `unavailable` with too many in all.
    pub fn become_stream(&self) -> Result<()> {
        let stream = self.streams.take(self.owner.clone(), 1);
        let stream = stream.map_err(|e| refused(e, "streams"))?;
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = stream;
        Ok(())
    }

    /// Takes room for more bytes of the request's body, and for what was parsed of it.
    ///
    /// # Errors
    /// `rate_limited` when the key or tenant has too many bytes in flight; `unavailable` when all
    /// together have.
    pub fn grow_body(&self, bytes: usize) -> Result<()> {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        let grown = body.of_key.grow(bytes);
        grown
            .and_then(|()| body.of_owner.grow(bytes))
            .map_err(|e| refused(e, "bytes of requests in flight"))
    }

    /// Takes room for the bytes of a large answer.
    ///
    /// # Errors
    /// `rate_limited` when the tenant has not taken the answers that it has; `unavailable` when all
    /// together have not.
    pub fn grow_answer(&self, bytes: usize) -> Result<()> {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let grown = answer.grow(bytes);
        grown.map_err(|e| refused(e, "bytes of answers in flight"))
    }

    /// Waits for the tenant's turn to make a large answer.
    ///
    /// # Errors
    /// `rate_limited` when others of the tenant take too long.
    pub async fn turn(&self) -> Result<OwnedSemaphorePermit> {
        let turn = timeout(PATIENCE, self.turns.of(&self.owner).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            let message = format!("{LARGE_ANSWERS} large answers for this tenant are being made");
            return Err(Error::busy(message).hint("send fewer requests at a time"));
        };
        Ok(turn)
    }
}

fn refused(exhausted: Exhausted, what: &str) -> Error {
    let hint = "send fewer requests at a time, or smaller batches";
    match exhausted {
        Exhausted::Key => Error::busy(format!("too many {what} for this tenant")).hint(hint),
        Exhausted::All => Error::overloaded(format!("the server has too many {what}")),
    }
}
