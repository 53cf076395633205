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

/// Processors that bodies of one tenant use at a time.
const PROCESSORS_PER_TENANT: usize = 2;
/// Bodies up to this size, in bytes, do not wait for other tenants.
const PARSED_AT_ONCE: usize = 64 << 10;
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
    processors: Processors,
}

/// Turns of each owner, so many at a time.
#[derive(Clone, Debug)]
struct Turns {
    each: usize,
    all: Arc<Mutex<HashMap<Owner, Arc<Semaphore>>>>,
}

impl Turns {
    fn new(each: usize) -> Self {
        Self {
            each,
            all: Arc::default(),
        }
    }

    fn of(&self, owner: &Owner) -> Arc<Semaphore> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other, turns| other == owner || Arc::strong_count(turns) > 1);
        let turns = all.entry(owner.clone());
        Arc::clone(turns.or_insert_with(|| Arc::new(Semaphore::new(self.each))))
    }
}

/// The processors, on which bodies are decompressed and parsed. An owner waits for its own turn
/// first: so only a few of its bodies are ahead of others, however many it sent.
#[derive(Clone, Debug)]
struct Processors {
    turns: Turns,
    all: Arc<Semaphore>,
}

/// The right to use a processor, until it is dropped.
#[derive(Debug)]
pub struct Processor {
    _turn: OwnedSemaphorePermit,
    _place: Option<OwnedSemaphorePermit>,
}

impl Processors {
    fn new(count: usize) -> Self {
        Self {
            turns: Turns::new((count / 2).clamp(1, PROCESSORS_PER_TENANT)),
            all: Arc::new(Semaphore::new(count)),
        }
    }

    async fn take(&self, owner: &Owner, bytes: usize) -> Result<Processor> {
        let turn = self.turns.of(owner).acquire_owned().await;
        let place = if bytes > PARSED_AT_ONCE {
            let place = Arc::clone(&self.all).acquire_owned().await;
            Some(place.map_err(Error::internal)?)
        } else {
            None
        };
        Ok(Processor {
            _turn: turn.map_err(Error::internal)?,
            _place: place,
        })
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
        Self {
            // In all there are no more than connections.
            clients: Budget::new(per_client, usize::MAX),
            requests: Budget::new(REQUESTS_PER_TENANT, REQUESTS),
            streams: Budget::new(STREAMS_PER_TENANT, STREAMS),
            analyses: Budget::new(ANALYSES_PER_TENANT, ANALYSES),
            key_bytes: Budget::new(BODIES_PER_KEY * max_body, BODIES * max_body),
            bytes: Budget::new(BODIES_PER_TENANT * max_body, BODIES * max_body),
            answers: Budget::new(ANSWER_BYTES_PER_TENANT, ANSWER_BYTES),
            turns: Turns::new(LARGE_ANSWERS),
            processors: Processors::new(processors()),
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
        let stream = self.streams.take(self.owner.clone(), 1);
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

/// How many processors there are.
fn processors() -> usize {
    let count = std::thread::available_parallelism();
    count.map(usize::from).unwrap_or(1)
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
mod tests {
    use super::*;

    fn owner(id: &str) -> Owner {
        TenantId::parse(id)
    }

    async fn must_wait<T>(waiting: impl Future<Output = T>) -> bool {
        timeout(Duration::from_millis(20), waiting).await.is_err()
    }

    #[tokio::test]
    async fn many_bodies_of_one_tenant_leave_processors_to_others() {
        let processors = Processors::new(2);
        let (a, b) = (owner("client-a-000000"), owner("client-b-000000"));
        assert!(a.is_some() && b.is_some());
        let large = PARSED_AT_ONCE + 1;
        let first = processors.take(&a, large).await.unwrap();
        assert!(must_wait(processors.take(&a, large)).await);
        assert!(must_wait(processors.take(&a, 1)).await);
        let second = processors.take(&b, large).await.unwrap();
        let third = owner("client-c-000000");
        assert!(
            must_wait(processors.take(&third, large)).await,
            "two in all"
        );
        processors.take(&third, PARSED_AT_ONCE).await.unwrap();
        drop(first);
        processors.take(&third, large).await.unwrap();
        drop(second);
        assert_eq!(processors.all.available_permits(), 2);
    }

    #[tokio::test]
    async fn another_tenant_waits_for_one_body_however_many_are_waiting() {
        let processors = Processors::new(1);
        let (a, b) = (owner("client-a-000000"), owner("client-b-000000"));
        let large = PARSED_AT_ONCE + 1;
        let first = processors.take(&a, large).await.unwrap();
        let _others: Vec<_> = (0..50)
            .map(|_| {
                let (processors, a) = (processors.clone(), a.clone());
                tokio::spawn(async move { processors.take(&a, large).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let mut other = Box::pin(processors.take(&b, large));
        assert!(must_wait(&mut other).await);
        drop(first);
        assert!(!must_wait(other).await);
    }
}
