//! The dead letter queue: records that were rejected.

use kgrca_core::api::{DeadLetter, Page};
use kgrca_core::model::Topic;
use kgrca_core::storage::{READ_BYTES, Stored, StreamId};
use kgrca_core::tenancy::Scope;

use super::actor::Actor;
use super::app::App;
use super::error::{Error, Result};
use super::within;
use crate::environment::blocking;

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
    let stream = StreamId {
        topic: Topic::Dlq,
        partition: app.fleet.partition(tenant.id, tenant.id.as_str()),
    };
    let stored = app.stores.log.read(tenant.id, stream, start, limit).await?;
    let bytes: usize = stored.iter().map(|s| s.value.len()).sum();
    let may_continue = stored.len() == limit || bytes >= READ_BYTES;
    let next = stored
        .last()
        .filter(|_| may_continue)
        .map(|s| (s.offset + 1).to_string());
    let items = blocking(move || stored.iter().filter_map(letter).collect());
    Ok(Page {
        items: items.await.map_err(Error::internal)?,
        next,
    })
}

fn letter(stored: &Stored) -> Option<DeadLetter> {
    let letter = serde_json::from_slice::<DeadLetter>(&stored.value).ok()?;
    Some(DeadLetter {
        id: stored.offset,
        ..letter
    })
}
