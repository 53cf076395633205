//! Rates and quotas.

use super::tenant;
use crate::model::Time;
use crate::model::time::{DAY, MINUTE};
use crate::storage::{Limits, Window};

/// What every [`Limits`] does.
pub async fn limits(limits: &dyn Limits) {
    let (a, b) = (tenant("a"), tenant("b"));
    let now = Time(1000 * DAY);
    let window = Window {
        name: "api/minute",
        length: MINUTE,
        limit: 2,
    };
    for left in [1, 0] {
        let taken = limits.take(&a, window, 1, now).await.unwrap();
        assert_eq!((taken.allowed, taken.remaining), (true, left));
    }
    let refused = limits.take(&a, window, 1, now).await.unwrap();
    assert!(!refused.allowed);
    assert_eq!(
        (refused.reset, refused.retry),
        (now.plus(MINUTE), now.plus(MINUTE / 2)),
        "tokens come back one by one"
    );
    assert!(
        !limits
            .take(&a, window, 1, now.plus(MINUTE / 2 - 1))
            .await
            .unwrap()
            .allowed
    );
    assert!(
        limits.take(&b, window, 1, now).await.unwrap().allowed,
        "tenants do not share"
    );
    assert!(
        limits
            .take(&a, window, 1, now.plus(MINUTE))
            .await
            .unwrap()
            .allowed,
        "a minute later all tokens are back"
    );
    assert!(
        !limits
            .take(&a, window, 2, now.plus(MINUTE))
            .await
            .unwrap()
            .allowed,
        "all or none"
    );
    assert!(
        limits
            .take(&a, window, 1, now.plus(MINUTE))
            .await
            .unwrap()
            .allowed,
        "what was refused took nothing"
    );
    for _ in 0..2 {
        let taken = limits.take(&b, window, 1, now).await.unwrap();
        assert!(taken.allowed, "what was returned can be taken again");
        limits.give_back(&b, window, 1, now).await.unwrap();
    }
    assert!(limits.take_day(&a, 90, 100, now).await.unwrap().allowed);
    assert!(
        limits.take_day(&a, 90, 100, now).await.unwrap().allowed,
        "a batch that starts within the quota is granted in full"
    );
    assert!(!limits.take_day(&a, 1, 100, now).await.unwrap().allowed);
    limits.give_back_day(&a, 90, now).await.unwrap();
    assert!(
        limits.take_day(&a, 1, 100, now).await.unwrap().allowed,
        "returned quota can be used"
    );
    limits.preload_day(&b, 100, now).await.unwrap();
    assert!(
        !limits.take_day(&b, 1, 100, now).await.unwrap().allowed,
        "what was used before a restart counts"
    );
}
