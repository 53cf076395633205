//! API keys: who can see, revoke and expire them.

use crate::model::Time;
use crate::model::time::MINUTE;
use crate::storage::MetaStore;
use crate::tenancy::{ApiKey, Scope, TenantId};

pub(super) async fn api_keys(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    let key = ApiKey {
        key_id: "key_1".into(),
        client_id: Some(a.to_string()),
        name: "ci".into(),
        last4: "abcd".into(),
        scopes: vec![Scope::Ingest, Scope::Read],
        created_at: Time(MINUTE),
        expires_at: None,
        revoked_at: None,
    };
    meta.put_key(&key, "hash").await.unwrap();
    assert_eq!(meta.key_by_hash("hash").await.unwrap(), Some(key));
    assert_eq!(meta.key_by_hash("other").await.unwrap(), None);
    assert!(
        !meta
            .revoke_key(Some(b.as_str()), "key_1", Time(9))
            .await
            .unwrap(),
        "another tenant cannot revoke it"
    );
    assert!(
        meta.revoke_key(Some(a.as_str()), "key_1", Time(9))
            .await
            .unwrap()
    );
    assert_eq!(
        meta.keys(Some(a.as_str())).await.unwrap()[0].revoked_at,
        Some(Time(9))
    );
    assert!(meta.keys(None).await.unwrap().is_empty());
    assert!(
        !meta
            .expire_key(Some(a.as_str()), "key_1", Time(99))
            .await
            .unwrap(),
        "a revoked key cannot expire"
    );
    let rotated = ApiKey {
        key_id: "key_2".into(),
        revoked_at: None,
        ..meta.keys(Some(a.as_str())).await.unwrap().remove(0)
    };
    meta.put_key(&rotated, "hash 2").await.unwrap();
    assert!(
        meta.expire_key(Some(a.as_str()), "key_2", Time(99))
            .await
            .unwrap()
    );
    let known = meta.key_by_hash("hash 2").await.unwrap().unwrap();
    assert_eq!(
        (known.holds(Time(98)), known.holds(Time(99))),
        (true, false),
        "a rotated key stops working when it expires"
    );
}
