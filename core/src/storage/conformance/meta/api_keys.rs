//! API keys: who can see, revoke and expire them.

use crate::model::Time;
use crate::model::time::MINUTE;
use crate::storage::{
    AddKey, EndKey, ErrorKind, KeyChange, MAX_ENDED_KEYS, MAX_KEYS, MetaStore, Replaced,
};
use crate::tenancy::{ApiKey, Audit, KeyUse, Network, Scope, TenantId};

use super::entry;

fn revoking(key_id: &str) -> KeyChange<'_> {
    KeyChange {
        end: Some(EndKey {
            key_id,
            replaced: None,
        }),
        ..KeyChange::default()
    }
}

fn replaced(key_id: &'static str, at: i64) -> EndKey<'static> {
    EndKey {
        key_id,
        replaced: Some(Replaced {
            by: "key_new",
            expires_at: Time(at),
        }),
    }
}

fn key_of(owner: &str, key_id: &str) -> ApiKey {
    ApiKey {
        key_id: key_id.into(),
        client_id: Some(owner.into()),
        name: String::new(),
        last4: "abcd".into(),
        scopes: vec![Scope::Read, Scope::Admin],
        created_at: Time(MINUTE),
        expires_at: None,
        revoked_at: None,
        allowed_networks: Vec::new(),
        cluster: None,
        certificate_sha256: None,
        last_used_at: None,
        last_used_from: None,
        replaced_by: None,
    }
}

fn audit_of(owner: &str, at: i64) -> Audit {
    Audit {
        client_id: Some(owner.into()),
        ..entry(None, at)
    }
}

/// Adds a key and ends another in one change.
async fn replace(meta: &dyn MetaStore, key: &ApiKey, end: Option<EndKey<'_>>, at: i64) {
    let add = Some(AddKey {
        key,
        hash: &key.key_id,
    });
    let owner = key.client_id.as_deref().unwrap();
    let change = KeyChange { by: None, add, end };
    let audit = audit_of(owner, at);
    assert!(meta.change_keys(change, &audit).await.unwrap());
}

/// However keys are ended, one with the scope `admin` remains that does not expire.
async fn last_admin(meta: &dyn MetaStore) {
    let owner = "client-keys-000000";
    replace(meta, &key_of(owner, "key_3"), None, 1).await;
    let audit = audit_of(owner, 2);
    let refused = meta.change_keys(revoking("key_3"), &audit);
    assert_eq!(refused.await.unwrap_err().kind, ErrorKind::Conflict);
    let rotation = replaced("key_3", 99);
    replace(meta, &key_of(owner, "key_4"), Some(rotation), 3).await;
    let audit = audit_of(owner, 4);
    let refused = meta.change_keys(revoking("key_4"), &audit);
    assert_eq!(
        refused.await.unwrap_err().kind,
        ErrorKind::Conflict,
        "the other one expires"
    );
    let audit = audit_of(owner, 5);
    assert!(meta.change_keys(revoking("key_3"), &audit).await.unwrap());
    let working = meta.keys(Some(owner)).await.unwrap();
    assert_eq!(working.iter().filter(|k| k.holds(Time(6))).count(), 1);
}

/// Whoever makes a change has a key that works when the change is made.
async fn changed_by(meta: &dyn MetaStore) {
    let owner = "client-keys-111111";
    for id in ["key_b1", "key_b2", "key_b3"] {
        replace(meta, &key_of(owner, id), None, 1).await;
    }
    let key = key_of(owner, "key_b4");
    let by = |by| KeyChange {
        by: Some(by),
        add: Some(AddKey {
            key: &key,
            hash: "hash of key_b4",
        }),
        end: None,
    };
    let audit = audit_of(owner, 2);
    assert!(meta.change_keys(revoking("key_b1"), &audit).await.unwrap());
    let expire = KeyChange {
        end: Some(replaced("key_b2", 3)),
        ..KeyChange::default()
    };
    assert!(meta.change_keys(expire, &audit).await.unwrap());
    let audit = audit_of(owner, 3);
    for ended in ["key_b1", "key_b2", "key_unknown"] {
        assert!(
            !meta.change_keys(by(ended), &audit).await.unwrap(),
            "{ended}"
        );
        let revoke = KeyChange {
            by: Some(ended),
            ..revoking("key_b3")
        };
        assert!(!meta.change_keys(revoke, &audit).await.unwrap(), "{ended}");
    }
    assert_eq!(meta.keys(Some(owner)).await.unwrap().len(), 3);
    assert!(meta.change_keys(by("key_b3"), &audit).await.unwrap());
}

/// The last use of a key is kept, in whatever order daemons report it.
async fn used(meta: &dyn MetaStore, owner: &TenantId) {
    let used_at = |at: i64, from: Option<&str>| KeyUse {
        key_id: "key_2".into(),
        at: Time(at),
        from: from.map(|address| address.parse().unwrap()),
    };
    let uses = [
        used_at(20, Some("192.0.2.7")),
        KeyUse {
            key_id: "key_missing".into(),
            ..used_at(20, None)
        },
    ];
    meta.keys_used(&uses).await.unwrap();
    meta.keys_used(&[used_at(19, Some("192.0.2.8"))])
        .await
        .unwrap();
    let keys = meta.keys(Some(owner.as_str())).await.unwrap();
    let key = keys.iter().find(|key| key.key_id == "key_2").unwrap();
    assert_eq!(key.last_used_at, Some(Time(20)));
    assert_eq!(key.last_used_from.as_deref(), Some("192.0.2.7"));
    meta.keys_used(&[used_at(21, None)]).await.unwrap();
    let known = meta.key_by_hash("hash 2").await.unwrap().unwrap();
    assert_eq!(
        (known.last_used_at, known.last_used_from),
        (Some(Time(21)), None)
    );
}

/// Neither working keys nor those that ended grow without bound.
async fn many(meta: &dyn MetaStore) {
    let owner = "client-many-000000";
    for n in 0..MAX_KEYS {
        replace(meta, &key_of(owner, &format!("key_m{n}")), None, 1).await;
    }
    let one_more = key_of(owner, "key_more");
    let add = Some(AddKey {
        key: &one_more,
        hash: "more",
    });
    let audit = audit_of(owner, 2);
    let full = meta.change_keys(
        KeyChange {
            add,
            ..KeyChange::default()
        },
        &audit,
    );
    assert_eq!(full.await.unwrap_err().kind, ErrorKind::Conflict);
    let mut ended = "key_m0".to_owned();
    for n in 0..MAX_ENDED_KEYS + 5 {
        let audit = audit_of(owner, 3);
        assert!(meta.change_keys(revoking(&ended), &audit).await.unwrap());
        ended = format!("key_n{n}");
        replace(meta, &key_of(owner, &ended), None, 3).await;
    }
    let kept = meta.keys(Some(owner)).await.unwrap().len();
    assert_eq!(kept, MAX_KEYS + MAX_ENDED_KEYS);
}

pub(super) async fn api_keys(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    let networks = ["10.0.0.0/8", "2001:db8::/32"];
    let key = ApiKey {
        name: "ci".into(),
        scopes: vec![Scope::Ingest, Scope::Read],
        allowed_networks: networks.map(|n| Network::parse(n).unwrap()).to_vec(),
        cluster: Some("prod".into()),
        certificate_sha256: Some("ab".repeat(32)),
        ..key_of(a.as_str(), "key_1")
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
    let rotated = ApiKey {
        key_id: "key_2".into(),
        revoked_at: None,
        ..meta.keys(Some(a.as_str())).await.unwrap().remove(0)
    };
    meta.put_key(&rotated, "hash 2").await.unwrap();
    meta.put_key(&rotated, "hash 2").await.unwrap();
    let audit = entry(Some(a), 10);
    let expire = KeyChange {
        end: Some(replaced("key_2", 99)),
        ..KeyChange::default()
    };
    assert!(meta.change_keys(expire, &audit).await.unwrap());
    assert!(
        !meta.change_keys(expire, &audit).await.unwrap(),
        "it is replaced once"
    );
    let known = meta.key_by_hash("hash 2").await.unwrap().unwrap();
    assert_eq!(known.replaced_by.as_deref(), Some("key_new"));
    assert_eq!(
        (known.holds(Time(98)), known.holds(Time(99))),
        (true, false),
        "a rotated key stops working when it expires"
    );
    let revoke = revoking("key_1");
    assert!(
        !meta.change_keys(revoke, &audit).await.unwrap(),
        "it was revoked before"
    );
    let log = meta.audit_log(Some(a.as_str()), 0, 10).await.unwrap();
    assert_eq!(log.len(), 1, "what did not happen is not in the audit log");
    used(meta, a).await;
    last_admin(meta).await;
    changed_by(meta).await;
    many(meta).await;
}
