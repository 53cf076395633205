//! Pages of a timeline: the earliest episodes, in whatever order they are found.

use std::collections::BTreeMap;

use marsdb_graph::{Direction, GraphStore as Database, NodeId, Txn};

use super::failed;
use super::read::named;
use super::row::{self, time};
use crate::engine::EpisodeRow;
use crate::model::Time;
use crate::storage::Result;
use crate::storage::graph::{PAGE_BYTES, TimelineFilter};

/// Maximum number and bytes of episodes that are read for a page, which may end early.
const LOOKED_AT: usize = 100_000;
const LOOKED_AT_BYTES: usize = 64 << 20;
/// How many are found at once; they are read one by one.
const CHUNK: usize = 1000;

/// Time and id of an episode, by which a timeline is ordered.
type Position = (Time, String);
/// A page of a timeline and the cursor of the next one.
type Timeline = (Vec<EpisodeRow>, Option<Position>);

/// The earliest of the episodes that were added, as many as a page holds.
struct Earliest {
    limit: usize,
    rows: BTreeMap<Position, EpisodeRow>,
    bytes: usize,
    /// Whether later ones were left out.
    has_more: bool,
}

impl Earliest {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            rows: BTreeMap::new(),
            bytes: 0,
            has_more: false,
        }
    }

    fn add(&mut self, episode: EpisodeRow) {
        self.bytes += episode.bytes();
        let position = (episode.last, episode.id.clone());
        if let Some(same) = self.rows.insert(position, episode) {
            self.bytes -= same.bytes();
        }
        while let Some((_, last)) = self.rows.last_key_value() {
            let without_it = self.bytes - last.bytes();
            if without_it < PAGE_BYTES && self.rows.len() <= self.limit {
                return;
            }
            self.rows.pop_last();
            self.bytes = without_it;
            self.has_more = true;
        }
    }

    /// Whether later episodes cannot belong to the page. Those of one instant come in any order.
    fn is_full(&self, newest: Option<Time>) -> bool {
        let last = self.rows.last_key_value().map(|((at, _), _)| *at);
        self.has_more && newest > last
    }

    /// The page; the next one starts at `rest` unless it starts within what was found.
    fn page(self, rest: Option<Position>) -> Timeline {
        let last = self.rows.last_key_value().map(|(position, _)| position);
        let next = match last {
            Some(last) if self.has_more => Some(last.clone()),
            _ => rest,
        };
        (self.rows.into_values().collect(), next)
    }
}

fn is_wanted(filter: &TimelineFilter, e: &EpisodeRow) -> bool {
    let is_after = |(at, id): &Position| (e.last, &e.id) > (*at, id);
    filter
        .cluster
        .as_ref()
        .map(|c| *c == e.cluster)
        .unwrap_or(true)
        && filter.kind.as_ref().map(|k| *k == e.kind).unwrap_or(true)
        && filter.from.map(|t| e.last >= t).unwrap_or(true)
        && filter.to.map(|t| e.last < t).unwrap_or(true)
        && filter.after.as_ref().map(is_after).unwrap_or(true)
}

pub(super) fn timeline(db: &Database, filter: &TimelineFilter) -> Result<Timeline> {
    let tx = db.begin_read().map_err(|e| failed(&e))?;
    let txn = Txn::Read(&tx);
    let Some(uid) = &filter.resource else {
        return of_all(txn, filter);
    };
    let mut earliest = Earliest::new(filter.limit);
    for resource in named(txn, uid)? {
        let about = Database::neighbors_in_txn(txn, resource, Direction::In, Some(row::ABOUT));
        for near in about.map_err(|e| failed(&e))? {
            if let Some(e) = episode(txn, near.other)?.filter(|e| is_wanted(filter, e)) {
                earliest.add(e);
            }
        }
    }
    Ok(earliest.page(None))
}

fn of_all(txn: Txn<'_>, filter: &TimelineFilter) -> Result<Timeline> {
    // A range without any bound has no type and is empty.
    let after = filter.after.as_ref().map(|(at, _)| *at);
    let from = after.max(filter.from).unwrap_or(Time(i64::MIN));
    let (start, end) = (time(from), filter.to.map(time));
    let (start, end) = (Some((&start, true)), end.as_ref().map(|v| (v, false)));
    let cursor = Database::index_range_cursor_in_txn(txn, row::EPISODE, "last", start, end)
        .map_err(|e| failed(&e))?;
    let Some(mut cursor) = cursor else {
        return Ok((Vec::new(), None));
    };
    let mut earliest = Earliest::new(filter.limit);
    let (mut looked_at, mut bytes, mut newest) = (0, 0, None);
    loop {
        let ids = cursor.next_chunk(txn, CHUNK).map_err(|e| failed(&e))?;
        for id in &ids {
            let Some(e) = episode(txn, *id)? else {
                continue;
            };
            looked_at += 1;
            bytes += e.bytes();
            newest = newest.max(Some(e.last));
            if is_wanted(filter, &e) {
                earliest.add(e);
            }
            if earliest.is_full(newest) {
                return Ok(earliest.page(None));
            }
            let is_long = looked_at >= LOOKED_AT || bytes >= LOOKED_AT_BYTES;
            // Within one instant there is no place to continue from.
            if let Some(newest) = newest.filter(|newest| is_long && *newest > from) {
                earliest.rows.retain(|(at, _), _| *at < newest);
                return Ok(earliest.page(Some((newest, String::new()))));
            }
        }
        if ids.len() < CHUNK {
            return Ok(earliest.page(None));
        }
    }
}

fn episode(txn: Txn<'_>, id: NodeId) -> Result<Option<EpisodeRow>> {
    let node = Database::get_node_in_txn(txn, id).map_err(|e| failed(&e))?;
    Ok(node.as_ref().map(row::episode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Severity;

    fn episode(last: i64, id: &str, bytes: usize) -> EpisodeRow {
        EpisodeRow {
            id: id.into(),
            about: "pod".into(),
            cluster: "prod".into(),
            kind: "log".into(),
            first: Time(last),
            last: Time(last),
            severity: Severity::Error,
            reason: String::new(),
            message: "x".repeat(bytes),
            count: 1,
        }
    }

    /// The ids of a page, and whether another one follows.
    fn page(limit: usize, added: &[(i64, usize)]) -> (Vec<String>, bool) {
        let mut earliest = Earliest::new(limit);
        for (last, bytes) in added {
            earliest.add(episode(*last, &last.to_string(), *bytes));
            let held: usize = earliest.rows.values().map(EpisodeRow::bytes).sum();
            assert_eq!(earliest.bytes, held);
            assert!(held < PAGE_BYTES + (3 << 20), "{held}");
        }
        let (rows, next) = earliest.page(None);
        (rows.into_iter().map(|e| e.id).collect(), next.is_some())
    }

    #[test]
    fn a_page_has_the_earliest_rows_in_whatever_order_they_come() {
        let all = [(5, 1), (3, 1), (4, 1), (1, 1), (2, 1)];
        assert_eq!(
            page(3, &all),
            (vec!["1".into(), "2".into(), "3".into()], true)
        );
        assert!(!page(5, &all).1);
    }

    #[test]
    fn a_page_ends_with_the_row_that_fills_it() {
        let mib = 1 << 20;
        let ascending: Vec<_> = (1..100).map(|n| (n, mib)).collect();
        let descending: Vec<_> = ascending.iter().rev().copied().collect();
        for all in [ascending, descending] {
            let (ids, has_more) = page(1_000, &all);
            assert_eq!((ids.len(), has_more), (4, true), "{ids:?}");
            assert_eq!(ids[0], "1");
        }
        // One that is larger than a page is a page of its own.
        assert_eq!(page(9, &[(2, 1), (1, 5 * mib)]).0, ["1"]);
    }
}
