//! Tenants: their rows, and what remains when they are forgotten.

use super::{data_keys, entry, row};
use crate::model::Time;
use crate::storage::{ErrorKind, MetaStore};
use crate::tenancy::{Tenant, TenantId, TenantState};

/// Creating, changing and listing tenants.
pub(super) async fn tenants(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    meta.put_tenant(&row(a.as_str())).await.unwrap();
    let suspended = Tenant {
        state: TenantState::Suspended,
        ..row(a.as_str())
    };
    meta.put_tenant(&suspended).await.unwrap();
    assert_eq!(
        meta.tenant(a.as_str()).await.unwrap(),
        Some(suspended.clone()),
        "writes are idempotent by key"
    );
    let leaving = Tenant {
        state: TenantState::Leaving,
        deleted_at: Some(Time(7)),
        ..suspended.clone()
    };
    for expected in [&leaving, &suspended] {
        meta.set_tenant_state(a, expected.state, expected.deleted_at)
            .await
            .unwrap();
        let stored = meta.tenant(a.as_str()).await.unwrap();
        assert_eq!(stored.as_ref(), Some(expected), "the rest of the row stays");
    }
    meta.set_tenant_state(b, TenantState::Active, None)
        .await
        .unwrap();
    assert_eq!(meta.tenant(b.as_str()).await.unwrap(), None);
    assert_eq!(meta.list_tenants().await.unwrap().len(), 1);
    let renamed = Tenant {
        name: "Acme Ltd".into(),
        ..row(a.as_str())
    };
    let stale = meta
        .change_tenant(&row(a.as_str()), &renamed, &entry(Some(b), 1), &[])
        .await
        .unwrap_err();
    assert_eq!(
        stale.kind,
        ErrorKind::Conflict,
        "a change is based on the current row"
    );
    assert_eq!(
        meta.audit_log(Some(b.as_str()), 0, 10).await.unwrap(),
        [],
        "a refused change is not in the audit log"
    );
    meta.change_tenant(&suspended, &renamed, &entry(Some(b), 1), &[])
        .await
        .unwrap();
    assert_eq!(meta.tenant(a.as_str()).await.unwrap(), Some(renamed));
    let audited = meta.audit_log(Some(b.as_str()), 0, 10).await.unwrap();
    assert_eq!(audited.len(), 1, "a change is audited in its transaction");
    for fresh in ["first", "second"] {
        let secret = meta.tenant_secret(a, fresh).await.unwrap();
        assert_eq!(secret, "first", "a secret stays");
    }
    for (before, changes) in [("second", false), ("first", true), ("first", false)] {
        let changed = meta
            .replace_tenant_secret(a, before, "third")
            .await
            .unwrap();
        assert_eq!(
            changed, changes,
            "only the secret that is stored is replaced"
        );
    }
    meta.subscribe(a, "pro", Time(5)).await.unwrap();
    meta.subscribe(a, "basic", Time(5)).await.unwrap();
}

/// Forgetting a tenant removes its data, then its row, but never the audit log.
pub(super) async fn forget(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    meta.forget_tenant(a, false).await.unwrap();
    assert!(
        meta.keys(Some(a.as_str())).await.unwrap().is_empty()
            && meta.offsets(a).await.unwrap().is_empty()
    );
    assert_eq!(
        meta.tenant_secret(a, "another").await.unwrap(),
        "another",
        "its secret is gone"
    );
    data_keys::forgotten(meta, a, b).await;
    assert!(
        meta.tenant(a.as_str()).await.unwrap().is_some(),
        "its row remains"
    );
    assert!(
        !meta
            .usage(a, "2026-01-01", "2026-02-01")
            .await
            .unwrap()
            .is_empty(),
        "and so does its usage"
    );
    meta.forget_tenant(a, true).await.unwrap();
    assert_eq!(meta.tenant(a.as_str()).await.unwrap(), None);
    assert!(meta.usage_total(a).await.unwrap().is_empty());
    assert_eq!(
        meta.audit_log(Some(a.as_str()), 0, 10).await.unwrap().len(),
        4,
        "the audit log remains"
    );
    assert_eq!(
        meta.feedback().await.unwrap(),
        [None],
        "other tenants' feedback remains"
    );
    meta.forget_tenant(b, true).await.unwrap();
}
