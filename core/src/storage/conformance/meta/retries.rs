//! Retries of dead letters.

use crate::model::Time;
use crate::storage::MetaStore;
use crate::tenancy::TenantId;

pub(super) async fn retries(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    let note = |letter, at, again| meta.note_retry(a, 0, letter, Time(at), again);
    assert_eq!(note(7, 1, false).await.unwrap(), None);
    assert_eq!(note(7, 2, false).await.unwrap(), Some(Time(1)), "once");
    assert_eq!(meta.retries(a, 0, 0, 9).await.unwrap(), [(7, Time(1))]);
    assert_eq!(note(7, 3, true).await.unwrap(), Some(Time(1)));
    assert_eq!(note(2, 4, true).await.unwrap(), None);
    assert_eq!(
        meta.retries(a, 0, 0, 9).await.unwrap(),
        [(2, Time(4)), (7, Time(3))]
    );
    assert_eq!(meta.retries(a, 0, 3, 6).await.unwrap(), []);
    assert_eq!(
        meta.retries(b, 0, 0, 9).await.unwrap(),
        [],
        "of another tenant"
    );
    let elsewhere = meta.note_retry(a, 1, 7, Time(9), false).await;
    assert_eq!(elsewhere.unwrap(), None, "another letter");
    meta.forget_retry(a, 0, 7).await.unwrap();
    assert_eq!(
        note(7, 5, false).await.unwrap(),
        None,
        "it can be sent after a failure"
    );
    meta.trim_retries(a, 0, 7).await.unwrap();
    assert_eq!(meta.retries(a, 0, 0, 9).await.unwrap(), [(7, Time(5))]);
    // A tenant that is deleted takes them along: see `forget`.
}
