//! Sagas: stored progress and claims.

use super::row;
use crate::model::Time;
use crate::storage::{ErrorKind, MetaStore};
use crate::tenancy::{Saga, SagaKind, SagaState, TenantId};

pub(super) async fn sagas(meta: &dyn MetaStore, a: &TenantId) {
    let saga = Saga {
        saga_id: "saga_1".into(),
        client_id: a.to_string(),
        kind: SagaKind::Create,
        state: SagaState::Running,
        steps: Vec::new(),
        error: None,
        request: Some("r1".into()),
        request_digest: Some("d1".into()),
        key_ids: vec!["key_1".into()],
        tenant: row(a.as_str()),
        graph: None,
        wait_until: None,
        created_at: Time(5),
        updated_at: Time(5),
    };
    meta.put_saga(&saga, &[]).await.unwrap();
    let later = Saga {
        state: SagaState::Done,
        updated_at: Time(7),
        ..saga
    };
    meta.put_saga(&later, &[]).await.unwrap();
    assert_eq!(meta.saga("saga_1").await.unwrap().as_ref(), Some(&later));
    assert_eq!(meta.saga("saga_2").await.unwrap(), None);
    assert_eq!(
        meta.sagas(Some(a.as_str())).await.unwrap(),
        std::slice::from_ref(&later)
    );
    assert_eq!(meta.sagas(None).await.unwrap().len(), 1);
    let twin = Saga {
        saga_id: "saga_3".into(),
        created_at: Time(4),
        ..later.clone()
    };
    assert_eq!(
        meta.put_saga(&twin, &[]).await.unwrap_err().kind,
        ErrorKind::Conflict,
        "one saga per request"
    );
    let rolled_back = Saga {
        state: SagaState::Compensated,
        ..later.clone()
    };
    meta.put_saga(&rolled_back, &[]).await.unwrap();
    meta.put_saga(&twin, &[]).await.unwrap();
    assert_eq!(
        meta.sagas(None).await.unwrap().len(),
        2,
        "a compensated saga frees its request"
    );
    let found = meta.saga_of_request("r1").await.unwrap().unwrap();
    assert_eq!(found.saga_id, "saga_3", "the one that is not rolled back");
    assert_eq!(meta.saga_of_request("r2").await.unwrap(), None);
    meta.release_request("saga_3").await.unwrap();
    assert_eq!(
        meta.saga_of_request("r1").await.unwrap(),
        None,
        "a released request may begin another saga"
    );
    assert!(
        meta.claim_saga("saga_1", "one", Time(50), Time(10))
            .await
            .unwrap()
    );
    assert!(
        !meta
            .claim_saga("saga_1", "two", Time(60), Time(20))
            .await
            .unwrap(),
        "one daemon at a time"
    );
    assert!(
        meta.claim_saga("saga_1", "one", Time(70), Time(20))
            .await
            .unwrap(),
        "the owner may renew its claim"
    );
    assert!(
        meta.claim_saga("saga_1", "two", Time(99), Time(71))
            .await
            .unwrap(),
        "a claim expires"
    );
}
