//! The metadata: a file per trait, run in one order because later cases use earlier rows.

mod agents;
mod api_keys;
mod audit;
mod daemons;
mod data_keys;
mod idempotency;
mod incidents;
mod notifications;
mod placement;
mod progress;
mod retries;
mod sagas;
mod tenants;

use super::tenant;
use crate::billing::Overrides;
use crate::model::Time;
use crate::model::time::MINUTE;
use crate::storage::MetaStore;
use crate::tenancy::{Audit, Tenant, TenantId, TenantState};

/// Checks that a [`MetaStore`] keeps the contract of all its traits.
pub async fn meta_store(meta: &dyn MetaStore) {
    let (a, b) = (tenant("a"), tenant("b"));
    tenants::tenants(meta, &a, &b).await;
    api_keys::api_keys(meta, &a, &b).await;
    progress::commits(meta, &a, &b).await;
    progress::levels(meta, &a, &b).await;
    progress::skipped(meta, &a, &b).await;
    incidents::numbers(meta, &a).await;
    incidents::feedback(meta, &a, &b).await;
    incidents::copies(meta).await;
    incidents::worst(meta).await;
    incidents::feed(meta).await;
    idempotency::idempotency(meta, &a, &b).await;
    retries::retries(meta, &a, &b).await;
    audit::chains(meta, &a).await;
    notifications::notifications(meta, &b).await;
    sagas::sagas(meta, &a).await;
    super::jobs::jobs(meta).await;
    daemons::daemons(meta).await;
    agents::agents(meta, &a, &b).await;
    placement::placement(meta, &a, &b).await;
    data_keys::data_keys(meta, &a, &b).await;
    meta.check().await.unwrap();
    tenants::forget(meta, &a, &b).await;
}

pub(super) fn row(id: &str) -> Tenant {
    Tenant {
        client_id: id.into(),
        name: "Acme".into(),
        plan: "free".into(),
        state: TenantState::Active,
        contact_email: "ops@acme.example".into(),
        created_at: Time(MINUTE),
        deleted_at: None,
        partitions: 6,
        limits: Overrides {
            rca_hour: Some(7),
            ..Overrides::default()
        },
    }
}

fn entry(tenant: Option<&TenantId>, at: i64) -> Audit {
    let client_id = tenant.map(ToString::to_string);
    Audit {
        client_id,
        at: Time(at),
        actor: "key_1".into(),
        action: "client.update".into(),
        target: "x".into(),
        address: (at % 2 == 0).then(|| "192.0.2.1".into()),
    }
}
