//! Rejected records: all are counted, the first are listed in the answer and kept as dead letters,
//! within the tenant's quota.

use kgrca_core::api::RejectedItem;
use kgrca_core::model::time::DAY;
use kgrca_core::storage::{Entry, Window};
use kgrca_core::tenancy::TenantId;

use crate::clock::now;
use crate::usecases::app::App;
use crate::usecases::error::Result;

/// How many rejected records of a batch are listed and kept.
const MAX_LISTED: usize = 100;

/// The rejected records of a batch.
#[derive(Default)]
pub struct Rejects {
    /// All of them.
    pub count: u64,
    /// The first ones; with the first of each reason.
    pub listed: Vec<RejectedItem>,
    /// What the dead letter queue keeps.
    pub letters: Vec<Entry>,
}

impl Rejects {
    /// Counts a record. Returns whether it is listed, and so to be kept.
    pub fn add(&mut self, item: RejectedItem) -> bool {
        self.count += 1;
        if self.listed.len() >= MAX_LISTED {
            if self.listed.iter().any(|known| known.reason == item.reason) {
                return false;
            }
            self.listed.pop();
            self.letters.pop();
        }
        self.listed.push(item);
        true
    }
}

/// Those of the letters that the tenant's quota of the day has room for. The others are counted.
pub async fn within_quota(
    app: &App,
    tenant: &TenantId,
    mut letters: Vec<Entry>,
) -> Result<Vec<Entry>> {
    if letters.is_empty() {
        return Ok(letters);
    }
    let window = Window {
        name: "dlq/day",
        length: DAY,
        limit: app.settings.dead_letters_per_day,
    };
    let wanted = letters.len() as u64;
    let limits = &app.stores.limits;
    let mut taken = limits.take(tenant, window, wanted, now()).await?;
    let mut granted = wanted;
    if !taken.allowed {
        granted = taken.remaining.min(wanted);
        taken.allowed = granted > 0 && limits.take(tenant, window, granted, now()).await?.allowed;
    }
    if !taken.allowed {
        granted = 0;
    }
    metrics::counter!("kg_dead_letters_dropped_total").increment(wanted - granted);
    letters.truncate(granted as usize);
    Ok(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_each_reason_is_listed() {
        let mut rejects = Rejects::default();
        let item = |index: usize, reason: &str| RejectedItem {
            index,
            reason: reason.to_owned(),
            message: String::new(),
        };
        let kept = (0..1000).filter(|i| rejects.add(item(*i, "torn"))).count();
        assert_eq!((kept, rejects.count), (MAX_LISTED, 1000));
        assert!(rejects.add(item(1000, "far_future")));
        assert!(!rejects.add(item(1001, "far_future")));
        assert_eq!(rejects.listed.len(), MAX_LISTED);
        assert_eq!(rejects.listed[MAX_LISTED - 1].index, 1000);
    }
}
