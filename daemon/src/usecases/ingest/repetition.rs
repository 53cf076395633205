//! A batch that is sent again under its idempotency key is taken in once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kgrca_core::api::Ingested;
use kgrca_core::billing::Plan;
use kgrca_core::storage::Reserved;
use kgrca_core::tenancy::{TenantId, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::IngestRequest;
use crate::clock::now;
use crate::usecases::actor::TenantScope;
use crate::usecases::app::App;
use crate::usecases::error::{Error, Result};

/// How many rejected records of a batch are listed again when it is repeated.
const MAX_KEPT: usize = 5;

/// How many idempotency keys of a tenant are kept at most, and of one with a small plan.
const MAX_REPEATS: u64 = 1_000_000;
const FEW_REPEATS: u64 = 50_000;
/// After how many new keys the oldest are removed, as a part of those that are kept.
const TRIM_AFTER: u64 = 10;

/// How many idempotency keys of a tenant with this plan are kept: five for each event of a day that
/// the plan has.
pub fn kept(plan: &Plan) -> u64 {
    let of_day = plan.events_day.filter(|_| plan.events_are_hard);
    let kept = of_day.map(|events| events.saturating_mul(5));
    kept.unwrap_or(MAX_REPEATS).clamp(FEW_REPEATS, MAX_REPEATS)
}

/// New idempotency keys since the tenant's were last trimmed.
#[derive(Debug, Default)]
pub struct Repeats(Mutex<HashMap<TenantId, u64>>);

impl Repeats {
    /// Counts a new key. Returns whether the oldest must be removed now, between the hourly times.
    fn are_many(&self, tenant: &TenantId, keep: u64) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(tenant.clone()).or_default();
        *count += 1;
        if *count < keep / TRIM_AFTER {
            return false;
        }
        all.remove(tenant);
        true
    }
}

/// A batch with an idempotency key.
pub(super) struct Repetition {
    /// The kind of the records, the caller, and the key that it sent.
    key: String,
    /// SHA-256 of the batch: under one key there is one batch.
    digest: String,
}

/// What is stored of a batch that was taken in.
#[derive(Serialize, Deserialize)]
struct Taken {
    digest: String,
    answer: Ingested,
}

impl Repetition {
    /// Callers choose their keys without knowing of each other: a key is one of its caller.
    pub(super) fn of(request: &IngestRequest, caller: &str) -> Option<Self> {
        let key = request.idempotency_key.as_ref()?;
        let mut digest = Sha256::new();
        digest.update(request.cluster.as_deref().unwrap_or_default());
        digest.update([0]);
        digest.update(&request.body);
        Some(Self {
            key: format!("{}/{caller}/{key}", request.kind),
            digest: hex(&digest.finalize()),
        })
    }

    /// Reserves the key. Returns the answer when the batch was taken in before.
    ///
    /// # Errors
    /// `unavailable` while the same batch is being taken in; `conflict` when another one was.
    pub(super) async fn begin(
        &self,
        app: &App,
        tenant: TenantScope<'_>,
    ) -> Result<Option<Ingested>> {
        let meta = &app.stores.meta;
        let earlier = match meta.reserve(tenant.id, &self.key, now()).await? {
            Reserved::New => {
                let keep = kept(tenant.plan);
                if app.repeats.are_many(tenant.id, keep)
                    && let Err(error) = meta.trim_repeats(tenant.id, keep).await
                {
                    // The batch has its key already: the hourly run removes what is too much.
                    tracing::warn!(client_id = %tenant.id, %error, "old idempotency keys stay");
                }
                return Ok(None);
            }
            // Senders send again what is not available, and drop what is a conflict.
            Reserved::Pending => {
                return Err(Error::overloaded(
                    "a batch with this `Idempotency-Key` is being taken in",
                ));
            }
            Reserved::Answered(earlier) => earlier,
        };
        let answer = match serde_json::from_str::<Taken>(&earlier) {
            Ok(taken) if taken.digest != self.digest => {
                let message = "this `Idempotency-Key` was used for another batch";
                return Err(Error::conflict(message).hint("use a new key for each batch"));
            }
            Ok(taken) => taken.answer,
            // An earlier version stored the answer alone.
            Err(_) => serde_json::from_str(&earlier).unwrap_or_default(),
        };
        Ok(Some(repeated(answer)))
    }

    /// Keeps the answer for repeats.
    pub(super) async fn keep(self, app: &App, tenant: &TenantId, answer: &Ingested) -> Result<()> {
        let taken = Taken {
            digest: self.digest,
            answer: brief(answer),
        };
        let text = serde_json::to_string(&taken).map_err(Error::internal)?;
        let meta = &app.stores.meta;
        Ok(meta.answer_repeats(tenant, &self.key, &text, now()).await?)
    }

    /// Frees the key of a batch that failed. When that fails too, the reservation expires.
    pub(super) async fn release(self, app: &App, tenant: &TenantId) {
        if let Err(error) = app.stores.meta.release_key(tenant, &self.key).await {
            tracing::warn!(%error, "cannot free an idempotency key; it expires in 2 minutes");
        }
    }
}

/// An answer with the first rejected records only: it is stored for a day.
fn brief(answer: &Ingested) -> Ingested {
    let listed = answer.rejected.iter().take(MAX_KEPT).cloned();
    Ingested {
        rejected: listed.collect(),
        ..answer.clone()
    }
}

/// What an earlier batch with the same key brought in counts as duplicates now.
fn repeated(earlier: Ingested) -> Ingested {
    Ingested {
        accepted: 0,
        duplicate: earlier.accepted,
        rejected_count: earlier.rejected_total(),
        rejected: earlier.rejected,
    }
}

#[cfg(test)]
mod tests {
    use kgrca_core::billing;

    use super::*;

    #[test]
    fn keys_are_kept_by_plan_and_trimmed_when_many_are_new() {
        let keep = |plan: &str| kept(billing::find(plan).unwrap());
        assert_eq!(keep("free"), FEW_REPEATS);
        assert_eq!(keep("enterprise"), MAX_REPEATS);
        let repeats = Repeats::default();
        let tenant = TenantId::parse("client-a-abc123").unwrap();
        let trims = (0..20_000).filter(|_| repeats.are_many(&tenant, FEW_REPEATS));
        assert_eq!(trims.count(), 4);
    }

    #[test]
    fn a_key_is_one_of_its_caller_and_kind() {
        let request = |kind: &str| IngestRequest {
            kind: kind.to_owned(),
            cluster: None,
            idempotency_key: Some("1".to_owned()),
            body: bytes::Bytes::from_static(b"{}"),
            held: None,
        };
        let key = |kind: &str, caller: &str| Repetition::of(&request(kind), caller).unwrap().key;
        assert_eq!(key("logs", "key-a"), key("logs", "key-a"));
        assert_ne!(key("logs", "key-a"), key("logs", "key-b"));
        assert_ne!(key("logs", "key-a"), key("events", "key-a"));
    }
}
