//! How much state a tenant may send a day, by its plan: objects and topology are not metered, and
//! do not expire.

use kgrca_core::model::Topic;
use kgrca_core::model::time::DAY;
use kgrca_core::storage::Window;

use super::batch::Batch;
use crate::clock::now;
use crate::usecases::actor::TenantScope;
use crate::usecases::app::App;
use crate::usecases::error::{Error, Result, seconds_until_retry};

/// The unit in which it is counted, in bytes: windows are exact to a microsecond per token.
const UNIT: u64 = 1000;
const UNITS_PER_MB: u64 = 1000;

/// Takes a batch of this many bytes from the day. Deletions are always taken in: without them the
/// live state would be wrong.
///
/// # Errors
/// `quota_exceeded` when the plan has no room for it.
pub async fn take(
    app: &App,
    tenant: TenantScope<'_>,
    topic: Topic,
    batch: &Batch,
    bytes: usize,
) -> Result<()> {
    let has_state = topic.signal().is_compacted() && batch.adds;
    let Some(limit) = tenant.plan.state_mb_day.filter(|_| has_state) else {
        return Ok(());
    };
    let window = Window {
        name: "state/day",
        length: DAY,
        limit: limit.saturating_mul(UNITS_PER_MB),
    };
    let units = (bytes as u64).div_ceil(UNIT);
    let limits = &app.stores.limits;
    let taken = limits.take(tenant.id, window, units, now()).await?;
    if taken.allowed {
        return Ok(());
    }
    let labels = [("topic", topic.as_str()), ("status", "quota")];
    metrics::counter!("kg_messages_processed_total", &labels).increment(batch.accepted);
    let message = format!(
        "daily limit of {limit} MB of objects and topology (plan `{}`) reached",
        tenant.plan.name
    );
    Err(Error::quota_exceeded(message, seconds_until_retry(&taken))
        .hint("send objects that change often less often, or change the plan"))
}
