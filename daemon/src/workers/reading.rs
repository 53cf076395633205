//! Reading records of the log.

use kgrca_core::model::{Body, Record, Topic};
use kgrca_core::parse::mask::{self, HashKey};
use kgrca_core::parse::{self, Context, Reject};
use kgrca_core::storage::Stored;
use kgrca_core::tenancy::TenantId;

/// What is hidden of a record of the log before anything else sees it.
#[derive(Clone, Copy, Default)]
pub(super) struct Hiding<'a> {
    /// Replaces values that nothing reads: agents that write to Kafka do not have the tenant's key,
    /// and imports may be older than it.
    pub hash_key: Option<&'a HashKey>,
    /// Whether secrets and personal data are masked: where others than ingestion write to the log,
    /// they may not have done it.
    pub masks: bool,
}

/// Parses one record of the log. The record's key gives the cluster of a record that names none,
/// where keys are clusters.
pub(super) fn read_one(
    tenant: &TenantId,
    topic: Topic,
    stored: &Stored,
    hiding: Hiding<'_>,
    out: &mut Vec<Record>,
) -> Result<(), Reject> {
    let key = (!topic.signal().is_compacted()).then_some(&*stored.key);
    let context = Context {
        received_at: stored.received_at,
        cluster: key.and_then(|key| std::str::from_utf8(key).ok()),
        client_id: Some(tenant.as_str()),
    };
    let before = out.len();
    let masked = hiding.masks && topic != Topic::Control;
    let masked = masked.then(|| mask::record(topic, &stored.value));
    parse::parse_stored(
        topic,
        masked.as_deref().unwrap_or(&stored.value),
        &context,
        out,
    )?;
    if let Some(key) = hiding.hash_key {
        for record in &mut out[before..] {
            if let Body::State(_, object) = &mut record.body {
                key.replace_in(object);
            }
        }
    }
    Ok(())
}
