//! The audit log: one chain per tenant and one for the operator.

use super::entry;
use crate::model::Time;
use crate::storage::{MAX_AUDIT_BYTES, MetaStore};
use crate::tenancy::{Audit, TenantId, first_break};

pub(super) async fn chains(meta: &dyn MetaStore, a: &TenantId) {
    for i in 0..3 {
        meta.audit(&entry(Some(a), i)).await.unwrap();
    }
    meta.audit(&entry(None, 9)).await.unwrap();
    let all = meta.audit_log(Some(a.as_str()), 0, 10).await.unwrap();
    assert_eq!(
        all.iter().map(|e| (e.seq, e.audit.at)).collect::<Vec<_>>(),
        [(1, Time(10)), (2, Time(0)), (3, Time(1)), (4, Time(2))],
        "the first is of a change of keys"
    );
    assert_eq!(
        first_break(None, &all),
        None,
        "each entry holds the hash of the one before"
    );
    assert_eq!(
        meta.audit_log(Some(a.as_str()), 2, 10).await.unwrap(),
        all[2..],
        "entries above a sequence number"
    );
    pages(meta).await;
    let heads = meta.audit_heads().await.unwrap();
    let head = |chain: Option<&str>| {
        let head = heads.iter().find(|h| h.client_id.as_deref() == chain);
        head.map(|h| (h.seq, h.hash.clone()))
    };
    let last = all.last().unwrap();
    assert_eq!(head(Some(a.as_str())), Some((last.seq, last.hash.clone())));
    assert_eq!(
        head(None).map(|h| h.0),
        Some(1),
        "the operator's chain, too"
    );
    let operators = meta.audit_log(None, 0, 10).await.unwrap();
    assert_eq!(
        operators.iter().map(|e| e.seq).collect::<Vec<_>>(),
        [1],
        "the operator has a separate chain"
    );
}

async fn pages(meta: &dyn MetaStore) {
    let chain = "client-large-000000";
    for at in 0..5 {
        let large = Audit {
            client_id: Some(chain.to_owned()),
            target: "x".repeat(MAX_AUDIT_BYTES * 2 / 3),
            ..entry(None, at)
        };
        meta.audit(&large).await.unwrap();
    }
    let mut read = Vec::new();
    for _ in 0..3 {
        let after = read.last().copied().unwrap_or(0);
        let page = meta.audit_log(Some(chain), after, 10).await.unwrap();
        read.extend(page.iter().map(|e| e.seq));
    }
    assert_eq!(
        read,
        [1, 2, 3, 4, 5],
        "a page ends where it is large enough"
    );
    let first = meta.audit_log(Some(chain), 0, 10).await.unwrap();
    assert_eq!(first.len(), 2);
}
