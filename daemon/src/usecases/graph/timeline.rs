//! Everything that happened, in the order of time.

use kgrca_core::api::{EpisodeView, Page};
use kgrca_core::engine::EpisodeRow;
use kgrca_core::model::Time;
use kgrca_core::storage::TimelineFilter;
use kgrca_core::tenancy::{Scope, hex};

use super::views;
use crate::usecases::actor::TenantScope;
use crate::usecases::error::{Error, Result};
use crate::usecases::{Actor, App, within};

/// A page of episodes, oldest first. `filter.limit` and `filter.after` are ignored in favour of
/// `limit` and `cursor`.
///
/// # Errors
/// `invalid_request` for a cursor or a limit that cannot be used.
pub async fn timeline(
    app: &App,
    actor: &Actor,
    filter: TimelineFilter,
    cursor: Option<&str>,
    limit: Option<usize>,
) -> Result<Page<EpisodeView>> {
    let tenant = actor.tenant(Scope::Read)?;
    let (rows, next) = page(app, tenant, filter, cursor, limit).await?;
    Ok(Page {
        items: rows.into_iter().map(views::episode).collect(),
        next,
    })
}

/// The rows of a page, and the cursor of the next one.
pub(super) async fn page(
    app: &App,
    tenant: TenantScope<'_>,
    filter: TimelineFilter,
    cursor: Option<&str>,
    limit: Option<usize>,
) -> Result<(Vec<EpisodeRow>, Option<String>)> {
    let unusable = || Error::invalid("`cursor` is not a cursor of this list");
    let after = match cursor {
        Some(text) => Some(parse_cursor(text).ok_or_else(unusable)?),
        None => None,
    };
    let filter = TimelineFilter {
        after,
        limit: within("limit", limit, 200, 1000)?,
        ..filter
    };
    let (rows, next) = app.stores.graph.timeline(tenant.id, &filter).await?;
    Ok((rows, next.map(|(time, id)| cursor_text(time, &id))))
}

/// Time and id of the last row of a page. Ids hold any character, so they are written in hex.
fn cursor_text(time: Time, id: &str) -> String {
    format!("{}-{}", time.0, hex(id.as_bytes()))
}

fn parse_cursor(cursor: &str) -> Option<(Time, String)> {
    let (time, id) = cursor.rsplit_once('-')?;
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = id.as_bytes().chunks(2).map(byte).collect();
    // Cursors that were handed out hold valid UTF-8; others just sort somewhere between the ids.
    let id = String::from_utf8_lossy(&bytes?).into_owned();
    Some((Time(time.parse().ok()?), id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_round_trip() {
        let (time, id) = (Time(-5), "prod/é-1");
        let text = cursor_text(time, id);
        assert_eq!(parse_cursor(&text), Some((time, id.to_owned())));
        assert_eq!(parse_cursor("yesterday"), None);
    }
}
