//! The dead letter queue: records that were rejected, and sending them again.

use std::collections::HashMap;

use kgrca_core::api::{DeadLetter, Ingested, Page};
use kgrca_core::model::{Time, Topic};
use kgrca_core::storage::{READ_BYTES, Stored, StreamId};
use kgrca_core::tenancy::Scope;

use super::actor::{Actor, TenantScope};
use super::app::App;
use super::error::{Error, Result};
use super::ingest::{self, IngestRequest};
use super::within;
use crate::clock::now;
use crate::environment::blocking;
use crate::storage::Stores;

/// A page of rejected records, oldest first.
///
/// # Errors
/// `invalid_request` for a cursor or a limit that cannot be used.
pub async fn list(
    app: &App,
    actor: &Actor,
    cursor: Option<i64>,
    limit: Option<usize>,
) -> Result<Page<DeadLetter>> {
    let tenant = actor.tenant(Scope::Read)?;
    let limit = within("limit", limit, 100, 1000)?;
    let start = u64::try_from(cursor.unwrap_or(0))
        .map_err(|_| Error::invalid("`cursor` is not a cursor of this list"))?;
    let stream = stream(app, tenant);
    let stored = app.stores.log.read(tenant.id, stream, start, limit).await?;
    let bytes: usize = stored.iter().map(|s| s.value.len()).sum();
    let may_continue = stored.len() == limit || bytes >= READ_BYTES;
    let next = stored
        .last()
        .filter(|_| may_continue)
        .map(|s| (s.offset + 1).to_string());
    let items = blocking(move || stored.iter().filter_map(letter).collect());
    let mut items: Vec<DeadLetter> = items.await.map_err(Error::internal)?;
    if let (Some(first), Some(last)) = (items.first(), items.last()) {
        let meta = &app.stores.meta;
        let retries = meta.retries(tenant.id, stream.partition, first.id, last.id);
        let retries: HashMap<u64, Time> = retries.await?.into_iter().collect();
        for letter in &mut items {
            letter.retried_at = retries.get(&letter.id).copied();
        }
    }
    Ok(Page { items, next })
}

fn stream(app: &App, tenant: TenantScope<'_>) -> StreamId {
    StreamId {
        topic: Topic::Dlq,
        partition: app.fleet.partition(tenant.id, tenant.id.as_str()),
    }
}

/// How to send again what was not kept.
const FROM_ITS_SOURCE: &str = "send it again from where it came from";

/// Sends a rejected record again, once unless `again`: a record without an id counts each time.
///
/// # Errors
/// `not_found` without such a letter; `conflict` when it was sent again before, or its text was not
/// kept; otherwise as for [`ingest::ingest`].
pub async fn retry(app: &App, actor: &Actor, id: u64, again: bool) -> Result<Ingested> {
    let tenant = actor.tenant(Scope::Read)?;
    let stream = stream(app, tenant);
    let log = &app.stores.log;
    let missing = || Error::not_found(format!("rejected record {id} not found"));
    let stored = log.read(tenant.id, stream, id, 1).await?;
    let stored = stored.first().filter(|stored| stored.offset == id);
    let letter = stored.and_then(letter).ok_or_else(missing)?;
    let signal = Topic::parse(&letter.topic).map(Topic::signal);
    let Some(kind) = signal.and_then(|signal| signal.route) else {
        let message = format!(
            "records of topic `{}` are not sent to the API",
            letter.topic
        );
        return Err(Error::conflict(message));
    };
    if letter.record.is_empty() {
        let message = format!("the text of record {id} was not kept");
        return Err(Error::conflict(message).hint(FROM_ITS_SOURCE));
    }
    // What was kept of a long record ends in the middle of it.
    if serde_json::from_str::<serde::de::IgnoredAny>(&letter.record).is_err() {
        let message = format!("only the beginning of record {id} was kept");
        return Err(Error::conflict(message).hint(FROM_ITS_SOURCE));
    }
    let meta = &app.stores.meta;
    let partition = stream.partition;
    let noted = meta.note_retry(tenant.id, partition, id, now(), again);
    let before = noted.await?;
    if let Some(at) = before.filter(|_| !again) {
        let message = format!("record {id} was sent again before, at {at}");
        return Err(Error::conflict(message).hint(format!("kgrca dlq retry --again {id}")));
    }
    let request = IngestRequest {
        kind: kind.to_owned(),
        cluster: None,
        idempotency_key: None,
        body: letter.record.into_bytes().into(),
        held: None,
    };
    let answer = ingest::ingest(app, actor, request).await;
    if answer.is_err() && before.is_none() {
        meta.forget_retry(tenant.id, partition, id).await?;
    }
    if let Err(error) = trim(app, tenant, stream).await {
        // What was accepted is accepted: the next retry trims.
        tracing::warn!(client_id = %tenant.id, %error, "retries of old dead letters not forgotten");
    }
    answer
}

/// Forgets the retries of letters that are no longer kept.
async fn trim(
    app: &App,
    tenant: TenantScope<'_>,
    stream: StreamId,
) -> std::result::Result<(), kgrca_core::storage::Error> {
    let Stores { log, meta, .. } = &app.stores;
    if let Some(oldest) = log.read(tenant.id, stream, 0, 1).await?.first() {
        let partition = stream.partition;
        meta.trim_retries(tenant.id, partition, oldest.offset)
            .await?;
    }
    Ok(())
}

fn letter(stored: &Stored) -> Option<DeadLetter> {
    let letter = serde_json::from_slice::<DeadLetter>(&stored.value).ok()?;
    Some(DeadLetter {
        id: stored.offset,
        ..letter
    })
}
