//! Places of workers: how many batches are read, applied and evaluated at a time in all, so that
//! many busy tenants share the processors and the memory that batches take.

use std::time::{Duration, Instant};

use kgrca_core::storage::Error;
use kgrca_core::tenancy::TenantId;

use super::batch::stopped;
use super::worker::{RENEW_EVERY, Worker};
use crate::clock::sleep;
use crate::places::{Limits, Place, Places};

/// Fewest places: a batch that waits for the disk leaves the processor to another.
const FEWEST: usize = 4;

/// The places of one daemon. One of them is for tenants that have none.
pub(super) fn places() -> Places<TenantId> {
    let processors = std::thread::available_parallelism()
        .map(usize::from)
        .unwrap_or(1);
    Places::new(Limits {
        total: (2 * processors).max(FEWEST),
        per_key: usize::MAX,
        kept: 1,
    })
}

impl Worker {
    /// Waits for a place, at most so long. `None` after that, and when the worker is stopping.
    pub async fn place_within(&self, longest: Duration) -> Option<Place<TenantId>> {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stops| *stops) => None,
            place = self.places.wait(self.partition.tenant.clone()) => place.ok(),
            () = sleep(longest) => None,
        }
    }

    /// Waits for a place and keeps the lease meanwhile.
    ///
    /// # Errors
    /// When the worker is stopping or lost its lease.
    pub async fn place(&self, renewed: &mut Instant) -> Result<Place<TenantId>, Error> {
        loop {
            self.keep_lease(renewed).await?;
            if *self.stop.borrow() {
                return Err(stopped());
            }
            if let Some(place) = self.place_within(RENEW_EVERY).await {
                return Ok(place);
            }
        }
    }
}
