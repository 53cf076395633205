//! How many bytes a tenant may send a day, by its plan; where more is stored than was sent, that
//! counts. Objects and topology are not metered by
//! record, and do not expire; events, logs and alerts are, but a record may have up to 1 MiB.

use kgrca_core::billing::Plan;
use kgrca_core::model::Topic;
use kgrca_core::model::time::DAY;
use kgrca_core::storage::{Taken, Window};

use super::batch::Batch;
use crate::clock::now;
use crate::usecases::actor::TenantScope;
use crate::usecases::app::App;
use crate::usecases::error::{Error, Result, seconds_until_retry};

/// The unit in which it is counted, in bytes: windows are exact to a microsecond per token.
const UNIT: u64 = 1000;
const UNITS_PER_MB: u64 = 1000;
const MB_PER_GB: u64 = 1000;
/// Which part of the limit on state batches that only delete may exceed it by: without deletions
/// the live state would be wrong.
const DELETIONS_PART: u64 = 10;
/// By how many megabytes they may exceed it at least.
const DELETIONS_MB: u64 = 10;

/// What a plan allows to be sent in a day.
struct Allowed {
    megabytes: u64,
    window: Window,
    what: &'static str,
    hint: &'static str,
}

impl Allowed {
    fn by(plan: &Plan, topic: Topic, is_ending: bool) -> Option<Self> {
        if !topic.signal().is_compacted() {
            // Where more storage has a price, it is charged and not refused.
            let included = plan.storage_gb.filter(|_| plan.overage.is_none())?;
            let megabytes = included.saturating_mul(MB_PER_GB);
            return Some(Self {
                megabytes,
                window: window("records/day", megabytes, 0),
                what: "events, logs and alerts",
                hint: "send shorter messages, or change the plan",
            });
        }
        let megabytes = plan.state_mb_day?;
        let more = (megabytes / DELETIONS_PART).max(DELETIONS_MB);
        Some(Self {
            megabytes,
            window: window("state/day", megabytes, if is_ending { more } else { 0 }),
            what: "objects and topology",
            hint: "send objects that change often less often, or change the plan",
        })
    }
}

impl Allowed {
    fn refusal(&self, plan: &Plan, taken: &Taken) -> Error {
        let message = format!(
            "daily limit of {} MB of {} (plan `{}`) reached",
            self.megabytes, self.what, plan.name
        );
        Error::quota_exceeded(message, seconds_until_retry(taken)).hint(self.hint)
    }
}

/// A day's window, with room for further megabytes at the same rate.
fn window(name: &'static str, megabytes: u64, more: u64) -> Window {
    let day = Window {
        name,
        length: DAY,
        limit: megabytes.saturating_mul(UNITS_PER_MB),
    };
    let limit = day.limit.saturating_add(more * UNITS_PER_MB);
    Window {
        name,
        length: day.interval().saturating_mul(limit as i64),
        limit,
    }
}

/// What a batch took from the day.
#[derive(Clone, Copy)]
pub struct TakenBytes {
    window: Window,
    units: u64,
}

impl TakenBytes {
    /// Returns it: the batch is not stored.
    ///
    /// # Errors
    /// When the limits do not answer.
    pub async fn give_back(self, app: &App, tenant: TenantScope<'_>) -> Result<()> {
        let limits = &app.stores.limits;
        Ok(limits
            .give_back(tenant.id, self.window, self.units, now())
            .await?)
    }
}

/// Refuses a body that the day has no room for, whatever it is, before it is parsed.
///
/// # Errors
/// `quota_exceeded` when the plan has no room for it.
pub async fn check(app: &App, tenant: TenantScope<'_>, topic: Topic, body: usize) -> Result<()> {
    let Some(allowed) = Allowed::by(tenant.plan, topic, true) else {
        return Ok(());
    };
    let units = (body as u64).div_ceil(UNIT);
    let limits = &app.stores.limits;
    let left = limits.take(tenant.id, allowed.window, 0, now()).await?;
    if left.remaining >= units {
        return Ok(());
    }
    let taken = limits.take(tenant.id, allowed.window, units, now()).await?;
    if !taken.allowed {
        return Err(allowed.refusal(tenant.plan, &taken));
    }
    // There is room again meanwhile. It is taken when it is known what the batch is.
    let window = allowed.window;
    TakenBytes { window, units }.give_back(app, tenant).await
}

/// Takes a batch from the day. Batches that only delete have more room. `None`
/// where the plan has no limit.
///
/// # Errors
/// `quota_exceeded` when the plan has no room for it.
pub async fn take(
    app: &App,
    tenant: TenantScope<'_>,
    topic: Topic,
    batch: &Batch,
) -> Result<Option<TakenBytes>> {
    let allowed = Allowed::by(tenant.plan, topic, !batch.adds);
    let Some(allowed) = allowed.filter(|_| !batch.entries.is_empty()) else {
        return Ok(None);
    };
    let units = (batch.bytes() as u64).div_ceil(UNIT);
    let limits = &app.stores.limits;
    let taken = limits.take(tenant.id, allowed.window, units, now()).await?;
    if taken.allowed {
        let window = allowed.window;
        return Ok(Some(TakenBytes { window, units }));
    }
    let labels = [("topic", topic.as_str()), ("status", "quota")];
    metrics::counter!("kg_messages_processed_total", &labels).increment(batch.accepted);
    Err(allowed.refusal(tenant.plan, &taken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kgrca_core::billing;
    use kgrca_core::storage::limits::gcra;

    /// How many bytes a tenant can send at once in records that add something, and in others.
    fn room(plan: &str, topic: Topic) -> Option<[u64; 2]> {
        let plan = billing::find(plan).unwrap();
        let units = |is_ending| {
            let window = Allowed::by(plan, topic, is_ending)?.window;
            let at = kgrca_core::model::Time(DAY);
            let fits = |n: u64| gcra(at, window, n, at).0;
            assert!(fits(window.limit) && !fits(window.limit + 1));
            Some(window.limit * UNIT)
        };
        Some([units(false)?, units(true)?])
    }

    #[test]
    fn each_kind_of_record_of_each_plan_is_bounded_in_bytes() {
        for topic in Topic::inputs() {
            let [adding, ending] = room("free", topic).unwrap();
            assert_eq!(adding, 1_000_000_000, "{topic:?}");
            assert!(ending <= adding * 11 / 10, "{topic:?}");
            assert_eq!(room("pro", topic).is_some(), topic.signal().is_compacted());
            assert!(room("enterprise", topic).is_none(), "agreed individually");
        }
    }

    #[test]
    fn deletions_have_room_beyond_small_limits_too() {
        let plan = Plan {
            state_mb_day: Some(1),
            ..billing::find("free").unwrap().clone()
        };
        let limit = |is_ending| {
            let allowed = Allowed::by(&plan, Topic::Resource, is_ending);
            allowed.unwrap().window.limit
        };
        assert_eq!((limit(false), limit(true)), (1000, 11_000));
    }
}
