//! What is left of the disk with the embedded log. When it is almost full, each tenant can add an
//! equal part of what is left, so that whoever sends most is refused first. The last part is for the
//! metadata: a full disk would stop all tenants.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kgrca_core::tenancy::TenantId;

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
/// How often at most the log says that batches are refused.
const REPORT_EVERY: Duration = Duration::from_mins(1);
/// When a refused sender should try again, in seconds.
const RETRY: u64 = 60;

/// What is known of the disk.
#[derive(Debug, Default)]
pub struct DiskShare(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    space: Option<(Instant, Space)>,
    reported: Option<Instant>,
    /// What each tenant's log had when it first sent something since the disk became almost full, in
    /// bytes.
    before: HashMap<TenantId, u64>,
}

/// Room on a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Space {
    free: u64,
    total: u64,
}

/// Why a batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// The tenant has used its part.
    Tenant,
    /// What is left is for the metadata.
    All,
}

impl Space {
    fn reserve(self) -> u64 {
        (self.total / PART).min(MAX_RESERVE)
    }
}

/// Whether a batch is refused with so many bytes free of a reserve, of a tenant among so many that
/// has added so many bytes since. Batches that only delete or end a listing have as much room again:
/// without them the live state would be wrong.
fn judge(free: u64, reserve: u64, added: u64, tenants: u64, adds: bool) -> Option<Refused> {
    let last = reserve / LAST_PART;
    let part = (reserve - last) / tenants.max(1);
    let most = if adds { part } else { 2 * part };
    if free >= reserve {
        None
    } else if free < last {
        Some(Refused::All)
    } else if added > most {
        Some(Refused::Tenant)
    } else {
        None
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

    /// What a tenant's log has more than when the disk was first almost full, by what it has now.
    fn added(&self, tenant: &TenantId, bytes: u64) -> u64 {
        let mut known = self.known();
        let before = known.before.entry(tenant.clone()).or_insert(bytes);
        bytes.saturating_sub(*before)
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

/// Refuses a batch when the disk is almost full and its tenant has used its part of what is left.
///
/// # Errors
/// `unavailable`, to be repeated.
pub async fn admit(app: &App, tenant: TenantScope<'_>, adds: bool) -> Result<()> {
    let share = &app.disk_share;
    let Some(space) = share.space(app).await else {
        return Ok(());
    };
    let set = app.settings.disk_reserve_mib.map(|mib| mib << 20);
    let reserve = set.unwrap_or_else(|| space.reserve());
    if space.free >= reserve {
        share.known().before.clear();
        return Ok(());
    }
    let log = &app.stores.log;
    let added = share.added(tenant.id, log.bytes(tenant.id).await?);
    let tenants = log.tenants_with_files()?.len() as u64;
    let Some(refused) = judge(space.free, reserve, added, tenants, adds) else {
        return Ok(());
    };
    if share.is_report_due() {
        tracing::error!(
            client_id = %tenant.id, free_bytes = space.free, reserve_bytes = reserve,
            "the disk is almost full: records are refused"
        );
    }
    let message = match refused {
        Refused::Tenant => "the server's disk is almost full: this tenant has used its share",
        Refused::All => "the server's disk is almost full",
    };
    Err(Error::unavailable_for(message, RETRY)
        .hint("agents keep what was refused; the provider has to add space"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_reserve_is_a_part_of_the_disk_and_bounded() {
        let reserve = |total| Space { free: 0, total }.reserve();
        assert_eq!(reserve(20 << 30), 1 << 30);
        assert_eq!(reserve(4 << 40), 10 << 30);
    }

    #[test]
    fn each_tenant_can_add_an_equal_part_of_the_reserve() {
        // 400 MiB, of which 100 are the last part: 100 for each of three tenants.
        let of = |free, added, adds| judge(free * MIB, 400 * MIB, added * MIB, 3, adds);
        assert_eq!(of(400, 900, true), None, "enough is free");
        assert_eq!(of(399, 100, true), None);
        assert_eq!(of(399, 101, true), Some(Refused::Tenant));
        assert_eq!(of(399, 200, false), None, "deletions");
        assert_eq!(of(399, 201, false), Some(Refused::Tenant));
        assert_eq!(of(100, 100, true), None);
        assert_eq!(of(99, 0, true), Some(Refused::All));
        assert_eq!(of(99, 0, false), Some(Refused::All));
        assert_eq!(judge(50, 100, 76, 0, true), Some(Refused::Tenant));
    }

    #[test]
    fn what_was_there_before_does_not_count() {
        let share = DiskShare::default();
        let tenant = TenantId::parse("client-a-000000").unwrap();
        assert_eq!(share.added(&tenant, 500), 0);
        assert_eq!(share.added(&tenant, 620), 120);
        assert_eq!(share.added(&tenant, 400), 0, "compacted");
    }
}
