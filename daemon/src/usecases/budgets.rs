//! What requests may hold at a time, so that no tenant's requests take the daemon's memory or its
//! connections from others: requests in flight, streams, bytes of bodies and answers, and large
//! answers in the making.

mod turns;

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kgrca_core::tenancy::TenantId;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::actor::{Actor, Identity};
use super::error::{Error, Result};
use crate::budget::{Budget, Exhausted, Kept, Share};
use crate::places::{Limits, Place, Places};
pub use turns::Processor;
use turns::{Processors, Turns};

/// Requests of one tenant in flight. A request is, until its answer was taken by the client.
const REQUESTS_PER_TENANT: usize = 64;
const REQUESTS: usize = 2048;
const FEW_REQUESTS: [Kept; 2] = [kept(1024, 4), kept(512, 1)];
/// Streams that one tenant follows, through one daemon.
const STREAMS_PER_TENANT: usize = 32;
const STREAMS: usize = 1024;
const FEW_STREAMS: [Kept; 2] = [kept(512, 2), kept(256, 1)];
/// Analyses of records that are sent along. They take a processor each.
const ANALYSES: Limits = Limits {
    total: 2,
    per_key: 1,
    kept: 0,
};
/// Longest wait for an analysis of others.
const ANALYSIS_PATIENCE: Duration = Duration::from_secs(20);
/// How many of the largest bodies one key, one tenant, and all together can have in flight.
const BODIES_PER_KEY: usize = 2;
const BODIES_PER_TENANT: usize = 3;
const BODIES: usize = 8;
/// Bytes of all bodies at least, where the largest body is small.
const MIN_BODY_BYTES: usize = 64 << 20;
/// Of all bytes of bodies, this many eighths are for tenants that hold little.
const SMALL_BODIES: [(usize, usize); 3] = [(3, 4 << 20), (2, 1 << 20), (1, 64 << 10)];

/// Large answers of one tenant that are made at a time, and how long others wait for their turn.
const LARGE_ANSWERS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of large answers that one tenant, and all together, have not taken yet.
const ANSWER_BYTES_PER_TENANT: usize = 64 << 20;
const ANSWER_BYTES: usize = 256 << 20;
const SMALL_ANSWERS: [Kept; 2] = [kept(128 << 20, 8 << 20), kept(32 << 20, 256 << 10)];

const fn kept(amount: usize, each: usize) -> Kept {
    Kept { amount, each }
}

/// Whose requests they are; `None` is the operator.
pub type Owner = Option<TenantId>;

/// The budgets of a daemon.
#[derive(Debug)]
pub struct Budgets {
    clients: Budget<IpAddr>,
    requests: Divided,
    streams: Divided,
    analyses: Places<TenantId>,
    key_bytes: Budget<String>,
    bytes: Divided,
    answers: Divided,
    turns: Turns,
    makers: Places<Owner>,
    processors: Processors,
}

/// A budget of the tenants, and one for the operator alone: whatever tenants hold, the operator
/// can act.
#[derive(Clone, Debug)]
struct Divided {
    tenants: Budget<Owner>,
    operator: Budget<Owner>,
}

impl Divided {
    /// The operator has as much as one tenant may have.
    fn new(per_tenant: usize, total: usize, kept: &[Kept]) -> Self {
        Self {
            tenants: Budget::keeping(per_tenant, total, kept),
            operator: Budget::new(per_tenant, per_tenant),
        }
    }

    fn take(&self, owner: &Owner, amount: usize) -> Result<Share<Owner>, Exhausted> {
        let budget = match owner {
            Some(_) => &self.tenants,
            None => &self.operator,
        };
        budget.take(owner.clone(), amount)
    }
}

/// What one request holds. It is given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    owner: Owner,
    streams: Divided,
    place: Mutex<Share<Owner>>,
    body: Mutex<Body>,
    answer: Mutex<Share<Owner>>,
    turns: Turns,
    makers: Places<Owner>,
    processors: Processors,
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
        let bytes = (BODIES * max_body).max(MIN_BODY_BYTES);
        let small_bodies = SMALL_BODIES.map(|(eighths, each)| kept(bytes / 8 * eighths, each));
        Self {
            // In all there are no more than connections.
            clients: Budget::new(per_client, usize::MAX),
            requests: Divided::new(REQUESTS_PER_TENANT, REQUESTS, &FEW_REQUESTS),
            streams: Divided::new(STREAMS_PER_TENANT, STREAMS, &FEW_STREAMS),
            analyses: Places::new(ANALYSES),
            // In all there is no more than the owners of the keys have.
            key_bytes: Budget::new(BODIES_PER_KEY * max_body, usize::MAX),
            bytes: Divided::new(BODIES_PER_TENANT * max_body, bytes, &small_bodies),
            answers: Divided::new(ANSWER_BYTES_PER_TENANT, ANSWER_BYTES, &SMALL_ANSWERS),
            turns: Turns::new(LARGE_ANSWERS),
            makers: makers(),
            processors: Processors::of_the_machine(),
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

    /// Waits for a processor for so many bytes of a body of the tenant.
    ///
    /// # Errors
    /// None in practice: the processors are never closed.
    pub async fn processor(&self, tenant: &TenantId, bytes: usize) -> Result<Processor> {
        self.processors.take(&Some(tenant.clone()), bytes).await
    }

    /// Waits for a place for an analysis.
    ///
    /// # Errors
    /// `rate_limited` while one of the tenant is running or waiting; `unavailable` when those of
    /// others take too long.
    pub async fn analyze(&self, tenant: &TenantId) -> Result<Place<TenantId>> {
        let place = self.analyses.take(tenant.clone(), ANALYSIS_PATIENCE).await;
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
        self.enter_as(owner, id)
    }

    fn enter_as(&self, owner: Owner, key_id: &str) -> Result<Held> {
        let busy = |e| refused(e, "requests in flight");
        Ok(Held {
            place: Mutex::new(self.requests.take(&owner, 1).map_err(busy)?),
            body: Mutex::new(Body {
                of_key: self.key_bytes.take(key_id.to_owned(), 0).map_err(busy)?,
                of_owner: self.bytes.take(&owner, 0).map_err(busy)?,
            }),
            answer: Mutex::new(self.answers.take(&owner, 0).map_err(busy)?),
            streams: self.streams.clone(),
            turns: self.turns.clone(),
            makers: self.makers.clone(),
            processors: self.processors.clone(),
            owner,
        })
    }
}

impl Held {
    /// Waits for a processor for so many bytes of the request's body.
    ///
    /// # Errors
    /// None in practice: the processors are never closed.
    pub async fn processor(&self, bytes: usize) -> Result<Processor> {
        self.processors.take(&self.owner, bytes).await
    }

    /// Counts this request as a stream from now on.
    ///
    /// # Errors
    /// `rate_limited` with too many streams of the tenant; `unavailable` with too many in all.
    pub fn become_stream(&self) -> Result<()> {
        let stream = self.streams.take(&self.owner, 1);
        let stream = stream.map_err(|e| refused(e, "streams"))?;
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = stream;
        Ok(())
    }

    /// Takes room for more bytes of the request's body, and for what was parsed of it.
    ///
    /// # Errors
    /// `rate_limited` when the key or tenant has too many bytes in flight; `unavailable` when all
    /// together have; `payload_too_large` when this request alone has more than a key may.
    pub fn grow_body(&self, bytes: usize) -> Result<()> {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        let grown = body.of_key.grow(bytes);
        grown
            .and_then(|()| body.of_owner.grow(bytes))
            .map_err(|e| refused(e, "bytes in flight"))
    }

    /// Takes room for the bytes of a large answer.
    ///
    /// # Errors
    /// `rate_limited` when the tenant has not taken the answers that it has; `unavailable` when all
    /// together have not; `payload_too_large` for an answer that alone is more than that.
    pub fn grow_answer(&self, bytes: usize) -> Result<()> {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let grown = answer.grow(bytes);
        grown.map_err(|e| match e {
            Exhausted::TooMuch => Error::too_large("the answer is too large").hint("ask for less"),
            e => refused(e, "bytes of answers in flight"),
        })
    }

    /// Waits for the tenant's turn to make a large answer, and for a processor.
    ///
    /// # Errors
    /// `rate_limited` when others of the tenant take too long; `unavailable` when those of other
    /// tenants do.
    pub async fn turn(&self) -> Result<Turn> {
        let own = timeout(PATIENCE, self.turns.of(&self.owner).acquire_owned()).await;
        let Ok(Ok(own)) = own else {
            let message = format!("{LARGE_ANSWERS} large answers for this tenant are being made");
            return Err(Error::busy(message).hint("send fewer requests at a time"));
        };
        let place = self.makers.take(self.owner.clone(), PATIENCE).await;
        Ok(Turn {
            _place: place.map_err(|e| refused(e, "large answers to make"))?,
            _own: own,
        })
    }
}

/// The right to make a large answer, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _own: OwnedSemaphorePermit,
    _place: Place<Owner>,
}

/// One answer is made on each processor. While a tenant makes one, another one's goes first.
fn makers() -> Places<Owner> {
    let total = std::thread::available_parallelism();
    let total = total.map(usize::from).unwrap_or(1);
    Places::new(Limits {
        total,
        per_key: LARGE_ANSWERS,
        kept: total / 2,
    })
}

fn refused(exhausted: Exhausted, what: &str) -> Error {
    let hint = "send fewer requests at a time, or smaller batches";
    match exhausted {
        Exhausted::Key => Error::busy(format!("too many {what} for this tenant")).hint(hint),
        Exhausted::All => Error::overloaded(format!("the server has too many {what}")),
        Exhausted::TooMuch => Error::too_large(format!("this request has too many {what}"))
            .hint("send smaller batches"),
    }
}

#[cfg(test)]
mod tests;
