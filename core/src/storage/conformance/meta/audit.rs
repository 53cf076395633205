//! The audit log: one chain per tenant and one for the operator.

use super::entry;
use crate::model::Time;
use crate::storage::MetaStore;
use crate::tenancy::{TenantId, first_break};

pub(super) async fn chains(meta: &dyn MetaStore, a: &TenantId) {
    for i in 0..3 {
        meta.audit(&entry(Some(a), i)).await.unwrap();
    }
    meta.audit(&entry(None, 9)).await.unwrap();
    let all = meta.audit_log(Some(a.as_str()), 0, 10).await.unwrap();
    assert_eq!(
        all.iter().map(|e| (e.seq, e.audit.at)).collect::<Vec<_>>(),
        [(1, Time(0)), (2, Time(1)), (3, Time(2))]
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
    let operators = meta.audit_log(None, 0, 10).await.unwrap();
    assert_eq!(
        operators.iter().map(|e| e.seq).collect::<Vec<_>>(),
        [1],
        "the operator has a separate chain"
    );
}
