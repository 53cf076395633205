//! A batch that is sent again under its idempotency key is taken in once.

use kgrca_core::api::Ingested;
use kgrca_core::storage::Reserved;
use kgrca_core::tenancy::{TenantId, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::IngestRequest;
use crate::clock::now;
use crate::usecases::app::App;
use crate::usecases::error::{Error, Result};

/// How many rejected records of a batch are listed again when it is repeated.
const MAX_KEPT: usize = 5;

/// A batch with an idempotency key.
pub(super) struct Repetition {
    /// The kind of the records and the caller's key.
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
    pub(super) fn of(request: &IngestRequest) -> Option<Self> {
        let key = request.idempotency_key.as_ref()?;
        let mut digest = Sha256::new();
        digest.update(request.cluster.as_deref().unwrap_or_default());
        digest.update([0]);
        digest.update(&request.body);
        Some(Self {
            key: format!("{}/{key}", request.kind),
            digest: hex(&digest.finalize()),
        })
    }

    /// Reserves the key. Returns the answer when the batch was taken in before.
    ///
    /// # Errors
    /// `unavailable` while the same batch is being taken in; `conflict` when another one was.
    pub(super) async fn begin(&self, app: &App, tenant: &TenantId) -> Result<Option<Ingested>> {
        let earlier = match app.stores.meta.reserve(tenant, &self.key, now()).await? {
            Reserved::New => return Ok(None),
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
