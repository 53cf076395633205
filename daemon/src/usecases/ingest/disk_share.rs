//! What is left of the disk with the embedded log. Before it is full, nothing more is taken in from
//! those tenants that store most: a full disk would stop all of them, and the metadata, too.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::{instant, since};
use crate::environment::blocking;
use crate::usecases::actor::TenantScope;
use crate::usecases::app::App;
use crate::usecases::error::{Error, Result};

/// The reserve without a setting: one part in so many of the disk, and at most this.
const PART: u64 = 20;
const MAX_RESERVE: u64 = 10 << 30;
/// Below this part of the reserve, nothing is taken in from any tenant.
const LAST_PART: u64 = 4;
/// For how long what was measured counts.
const CACHE_TTL: Duration = Duration::from_secs(2);
/// When a refused sender should try again, in seconds.
const RETRY: u64 = 60;

/// How often at most the log says that batches are refused.
const REPORT_EVERY: Duration = Duration::from_mins(1);

/// What was last measured of the disk.
#[derive(Debug, Default)]
pub struct DiskShare(Mutex<Known>);

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    space: Option<(Instant, Space)>,
    reported: Option<Instant>,
}

/// Room on a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Space {
    free: u64,
    total: u64,
}

impl Space {
    fn reserve(self) -> u64 {
        (self.total / PART).min(MAX_RESERVE)
    }
}

impl DiskShare {
    /// The room beside the log; `None` when it is not in files of this machine.
    async fn space(&self, app: &App) -> Option<Space> {
        let last = self.known().space;
        if let Some((_, space)) = last.filter(|(at, _)| since(*at) < CACHE_TTL) {
            return Some(space);
        }
        let folder = app.stores.log.folder()?.to_owned();
        let measured = blocking(move || {
            let disk = rustix::fs::statvfs(&folder)?;
            Ok::<_, rustix::io::Errno>(Space {
                free: disk.f_bavail.saturating_mul(disk.f_frsize),
                total: disk.f_blocks.saturating_mul(disk.f_frsize),
            })
        })
        .await;
        // A file system that does not say how full it is refuses what it has no room for.
        let space = measured.ok()?.ok()?;
        self.known().space = Some((instant(), space));
        Some(space)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time to say once more that batches are refused.
    fn is_report_due(&self) -> bool {
        let mut known = self.known();
        if known.reported.is_some_and(|at| since(at) < REPORT_EVERY) {
            return false;
        }
        known.reported = Some(instant());
        true
    }
}

/// Refuses a batch when the disk is almost full: at first those of tenants that store more than
/// others do on average. Batches that only delete or end a listing are taken longer.
///
/// # Errors
/// `unavailable`, to be repeated.
pub async fn admit(app: &App, tenant: TenantScope<'_>, adds: bool) -> Result<()> {
    let Some(space) = app.disk_share.space(app).await else {
        return Ok(());
    };
    let set = app.settings.disk_reserve_mib.map(|mib| mib << 20);
    let reserve = set.unwrap_or_else(|| space.reserve());
    if space.free >= reserve {
        return Ok(());
    }
    let stored = app.storage_quota.stored(app, tenant.id).await?;
    let is_large = stored > app.storage_quota.mean();
    if space.free >= reserve / LAST_PART && !(is_large && adds) {
        return Ok(());
    }
    if app.disk_share.is_report_due() {
        tracing::error!(
            client_id = %tenant.id, free_bytes = space.free, reserve_bytes = reserve,
            "the disk is almost full: records are refused"
        );
    }
    let message = if is_large {
        "the server's disk is almost full, and this tenant stores more than others"
    } else {
        "the server's disk is almost full"
    };
    Err(Error::unavailable_for(message, RETRY)
        .hint("agents keep what was refused; the provider has to add space"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_a_part_of_the_disk_and_bounded() {
        let reserve = |total| Space { free: 0, total }.reserve();
        assert_eq!(reserve(20 << 30), 1 << 30);
        assert_eq!(reserve(4 << 40), 10 << 30);
    }
}
