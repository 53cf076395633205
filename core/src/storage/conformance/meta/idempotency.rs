//! Responses by idempotency key.

use crate::model::Time;
use crate::model::time::DAY;
use crate::storage::{MetaStore, PENDING, Reserved};
use crate::tenancy::TenantId;

pub(super) async fn idempotency(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    let now = Time(2000 * DAY);
    let at_once = at_the_same_time(meta, a, now).await;
    let got = at_once.iter().filter(|r| **r == Reserved::New).count();
    assert_eq!(
        got, 1,
        "one of simultaneous callers gets the key: {at_once:?}"
    );
    assert_eq!(
        meta.reserve(b, "k", now).await.unwrap(),
        Reserved::New,
        "tenants do not share keys"
    );
    meta.answer_repeats(a, "k", "one", now).await.unwrap();
    let repeat = meta.reserve(a, "k", now.plus(1)).await.unwrap();
    assert_eq!(repeat, Reserved::Answered("one".into()));
    meta.release_key(a, "k").await.unwrap();
    let kept = meta.reserve(a, "k", now.plus(PENDING)).await.unwrap();
    assert_eq!(kept, Reserved::Answered("one".into()), "an answer stays");
    let later = now.plus(DAY + 1);
    let expired = meta.reserve(a, "k", later).await.unwrap();
    assert_eq!(expired, Reserved::New, "a response expires after a day");
    assert_eq!(
        meta.reserve(a, "k", later).await.unwrap(),
        Reserved::Pending
    );
    meta.release_key(a, "k").await.unwrap();
    assert_eq!(
        meta.reserve(a, "k", later).await.unwrap(),
        Reserved::New,
        "a failed request may be repeated"
    );
    let abandoned = meta.reserve(a, "k", later.plus(PENDING)).await.unwrap();
    assert_eq!(abandoned, Reserved::New, "its daemon died");
    let newest = later.plus(2 * PENDING);
    for (n, key) in ["k1", "k2", "k3"].iter().enumerate() {
        let at = newest.plus(n as i64);
        assert_eq!(meta.reserve(a, key, at).await.unwrap(), Reserved::New);
    }
    meta.trim_repeats(a, 2).await.unwrap();
    for (key, expected) in [
        ("k1", Reserved::New),
        ("k2", Reserved::Pending),
        ("k3", Reserved::Pending),
    ] {
        let again = meta.reserve(a, key, newest.plus(3)).await.unwrap();
        assert_eq!(again, expected, "the newest stay: {key}");
    }
}

async fn at_the_same_time(meta: &dyn MetaStore, a: &TenantId, now: Time) -> Vec<Reserved> {
    let reserve = || meta.reserve(a, "k", now);
    let (one, two, three) = tokio::join!(reserve(), reserve(), reserve());
    vec![one.unwrap(), two.unwrap(), three.unwrap()]
}
