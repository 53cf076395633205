//! Keys that encrypt the data of tenants.

use super::row;
use crate::model::Time;
use crate::storage::{DataKey, ErrorKind, MetaStore};
use crate::tenancy::{TenantId, TenantState};

pub(super) async fn data_keys(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    let key = |tenant: &TenantId, key_id, wrapped: &str| DataKey {
        client_id: tenant.to_string(),
        key_id,
        wrapped: wrapped.into(),
        master_key: "one".into(),
        created_at: Time(3 + i64::from(key_id == 1)),
    };
    let first = key(a, 7, "first");
    meta.add_data_key(&first).await.unwrap();
    let again = meta.add_data_key(&key(a, 7, "again")).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::Conflict, "a key is never replaced");
    let (second, other) = (key(a, 1, "second"), key(b, 1, "other"));
    let unknown = meta.add_data_key(&other).await.unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::Conflict, "there is no such tenant");
    meta.put_tenant(&row(b.as_str())).await.unwrap();
    for state in [TenantState::Leaving, TenantState::Deleted] {
        meta.set_tenant_state(b, state, None).await.unwrap();
        let leaving = meta.add_data_key(&other).await.unwrap_err();
        assert_eq!(leaving.kind, ErrorKind::Conflict, "{state:?}");
    }
    meta.set_tenant_state(b, TenantState::Active, None)
        .await
        .unwrap();
    for added in [&other, &second] {
        meta.add_data_key(added).await.unwrap();
    }
    assert_eq!(
        meta.data_keys(a).await.unwrap(),
        [first.clone(), second.clone()]
    );
    let rewrapped = DataKey {
        wrapped: "again".into(),
        master_key: "two".into(),
        ..first.clone()
    };
    assert!(meta.rewrap_data_key(&first, &rewrapped).await.unwrap());
    assert!(
        !meta.rewrap_data_key(&first, &second).await.unwrap(),
        "it was rewrapped meanwhile"
    );
    let all = meta.all_data_keys().await.unwrap();
    assert_eq!(all, [rewrapped, second, other]);
}

/// Nothing can decrypt the data of a tenant that is forgotten.
pub(super) async fn forgotten(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    assert_eq!(meta.data_keys(a).await.unwrap(), []);
    assert_eq!(meta.data_keys(b).await.unwrap().len(), 1);
}
