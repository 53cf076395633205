//! Turns of tenants at what only some requests can use at a time: processors, and large answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Owner;
use crate::usecases::error::{Error, Result};

/// Processors that bodies of one tenant use at a time.
const PROCESSORS_PER_TENANT: usize = 2;
/// Bodies up to this size, in bytes, do not wait for other tenants.
const PARSED_AT_ONCE: usize = 64 << 10;

/// Turns of each owner, so many at a time.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    each: usize,
    all: Arc<Mutex<HashMap<Owner, Arc<Semaphore>>>>,
}

impl Turns {
    pub(super) fn new(each: usize) -> Self {
        Self {
            each,
            all: Arc::default(),
        }
    }

    pub(super) fn of(&self, owner: &Owner) -> Arc<Semaphore> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other, turns| other == owner || Arc::strong_count(turns) > 1);
        let turns = all.entry(owner.clone());
        Arc::clone(turns.or_insert_with(|| Arc::new(Semaphore::new(self.each))))
    }
}

/// The processors, on which bodies are decompressed and parsed. An owner waits for its own turn
/// first: so only a few of its bodies are ahead of others, however many it sent.
#[derive(Clone, Debug)]
pub(super) struct Processors {
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
    /// Those of the machine.
    pub(super) fn of_the_machine() -> Self {
        let count = std::thread::available_parallelism();
        Self::new(count.map(usize::from).unwrap_or(1))
    }

    fn new(count: usize) -> Self {
        Self {
            turns: Turns::new((count / 2).clamp(1, PROCESSORS_PER_TENANT)),
            all: Arc::new(Semaphore::new(count)),
        }
    }

    pub(super) async fn take(&self, owner: &Owner, bytes: usize) -> Result<Processor> {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kgrca_core::tenancy::TenantId;
    use tokio::time::timeout;

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
