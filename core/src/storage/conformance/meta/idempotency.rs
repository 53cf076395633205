//! Responses by idempotency key.

use crate::model::Time;
use crate::model::time::DAY;
use crate::storage::MetaStore;
use crate::tenancy::TenantId;

pub(super) async fn idempotency(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    let now = Time(2000 * DAY);
    let first = meta.idempotent(a, "k", Some("one"), now).await.unwrap();
    assert_eq!(first, None);
    let repeat = meta.idempotent(a, "k", Some("two"), now).await.unwrap();
    assert_eq!(repeat.as_deref(), Some("one"));
    assert_eq!(
        meta.idempotent(b, "k", None, now).await.unwrap(),
        None,
        "tenants do not share keys"
    );
    let later = now.plus(DAY + 1);
    assert_eq!(
        meta.idempotent(a, "k", None, later).await.unwrap(),
        None,
        "a response expires after a day"
    );
}
