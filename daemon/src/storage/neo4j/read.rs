//! Reading. Each query is one statement, except for neighborhoods: one for each hop.

use std::collections::{BTreeMap, BTreeSet};

use kgrca_core::engine::{EpisodeRow, ResourceRow};
use kgrca_core::model::Time;
use kgrca_core::storage::{
    Error, ErrorKind, GraphCounts, PAGE_BYTES, ResourceFilter, Result, Subgraph, TimelineFilter,
};
use neo4rs::{BoltType, Graph, Row, query};
use serde::de::DeserializeOwned;

use super::row::{EpisodeNode, NearRow, ResourceNode};
use super::rows;

pub(super) fn read<T: DeserializeOwned>(row: &Row, name: &str) -> Result<T> {
    row.get(name).map_err(|e| {
        Error::new(
            ErrorKind::Corrupt,
            format!("graph: `{name}` cannot be read: {e}"),
        )
    })
}

fn or_null<T: Into<BoltType>>(value: Option<T>) -> BoltType {
    value
        .map(Into::into)
        .unwrap_or(BoltType::Null(neo4rs::BoltNull))
}

pub(super) async fn resources(graph: &Graph, uid: &str) -> Result<Vec<ResourceRow>> {
    let text = "MATCH (r:Resource) WHERE r.uid = $uid OR r.id = $uid RETURN properties(r) AS r";
    let found = rows(graph, || query(text).param("uid", uid)).await?;
    let mut all = found
        .iter()
        .map(|r| read::<ResourceNode>(r, "r").map(ResourceRow::from))
        .collect::<Result<Vec<_>>>()?;
    all.sort_by(|a, b| {
        (a.deleted.is_some(), b.created, &a.id).cmp(&(b.deleted.is_some(), a.created, &b.id))
    });
    all.truncate(page_length(all.iter().map(ResourceRow::bytes)));
    Ok(all)
}

pub(super) async fn find(graph: &Graph, f: &ResourceFilter) -> Result<Vec<ResourceRow>> {
    let text = "MATCH (r:Resource) WHERE r.deleted IS NULL AND ($after IS NULL OR r.id > $after)
        AND ($kind IS NULL OR toLower(r.kind) = $kind)
            AND ($namespace IS NULL OR r.namespace = $namespace)
        AND ($name IS NULL OR r.name = $name) AND ($healthy IS NULL OR r.healthy = $healthy)
        AND ($label IS NULL OR (',' + r.labels + ',') CONTAINS $label)
        RETURN properties(r) AS r ORDER BY r.id LIMIT $limit";
    let label = f.label.as_ref().map(|(k, v)| format!(",{k}={v},"));
    let question = || {
        query(text)
            .param("after", or_null(f.after.as_deref()))
            .param("kind", or_null(f.kind.as_deref().map(str::to_lowercase)))
            .param("namespace", or_null(f.namespace.as_deref()))
            .param("name", or_null(f.name.as_deref()))
            .param("healthy", or_null(f.healthy))
            .param("label", or_null(label.as_deref()))
            .param("limit", f.limit as i64)
    };
    let found = rows(graph, question).await?;
    let found = found
        .iter()
        .map(|r| read::<ResourceNode>(r, "r").map(ResourceRow::from));
    let mut page = found.collect::<Result<Vec<_>>>()?;
    page.truncate(page_length(page.iter().map(ResourceRow::bytes)));
    Ok(page)
}

/// How many rows of these sizes fit into a page: up to the one that fills it.
fn page_length(sizes: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let fits = |size: &usize| {
        let is_full = bytes >= PAGE_BYTES;
        bytes += size;
        !is_full
    };
    sizes.take_while(fits).count()
}

pub(super) async fn around(
    graph: &Graph,
    uid: &str,
    depth: usize,
    at: Time,
    limit: usize,
) -> Result<Option<Subgraph>> {
    let born = |r: &ResourceRow| r.created.map(|created| created <= at).unwrap_or(true);
    let Some(first) = resources(graph, uid).await?.into_iter().find(born) else {
        return Ok(None);
    };
    let mut bytes = first.bytes();
    let mut outermost = vec![first.id.clone()];
    let mut order = vec![first.id.clone()];
    let mut known = BTreeMap::from([(first.id.clone(), first)]);
    let mut edges = BTreeSet::new();
    for _ in 0..depth {
        let text = "UNWIND $ids AS id MATCH (a:Resource {id: id})-[e]-(b:Resource)
            WHERE e.valid_from <= $at AND (e.valid_to IS NULL OR $at < e.valid_to)
            RETURN startNode(e).id AS from, type(e) AS relation, endNode(e).id AS to,
                e.valid_from AS valid_from,
                e.valid_to AS valid_to, properties(b) AS other ORDER BY b.id, type(e)";
        let ids: Vec<BoltType> = outermost.iter().map(|id| id.as_str().into()).collect();
        let found = rows(graph, || {
            query(text).param("ids", ids.clone()).param("at", at.0)
        })
        .await?;
        outermost.clear();
        for row in &found {
            let near: NearRow = row
                .to()
                .map_err(|e| Error::new(ErrorKind::Corrupt, format!("graph: an edge: {e}")))?;
            let Some(edge) = near.edge() else { continue };
            let other = ResourceRow::from(near.other);
            if !known.contains_key(&other.id) {
                if order.len() >= limit || bytes >= PAGE_BYTES {
                    continue;
                }
                bytes += other.bytes();
                order.push(other.id.clone());
                outermost.push(other.id.clone());
                known.insert(other.id.clone(), other);
            }
            edges.insert(edge);
        }
    }
    let resources = order
        .iter()
        .filter_map(|id| known.get(id).cloned())
        .collect();
    Ok(Some(Subgraph {
        resources,
        edges: edges.into_iter().collect(),
    }))
}

pub(super) async fn knows(graph: &Graph, partition: u32) -> Result<bool> {
    let text = "MATCH (f:Fence {partition: $partition}) RETURN f.epoch AS epoch";
    Ok(!rows(graph, || {
        query(text).param("partition", i64::from(partition))
    })
    .await?
    .is_empty())
}

/// A page of a timeline and the cursor of the next one.
type Timeline = (Vec<EpisodeRow>, Option<(Time, String)>);

pub(super) async fn timeline(graph: &Graph, f: &TimelineFilter) -> Result<Timeline> {
    const OF_ALL: &str = "MATCH (e:Episodic)";
    const OF_ONE: &str = "MATCH (r:Resource) WHERE r.uid = $resource OR r.id = $resource
        MATCH (e:Episodic)-[:ABOUT]->(r)";
    let from = f
        .from
        .max(f.after.as_ref().map(|(t, _)| *t))
        .unwrap_or(Time(i64::MIN));
    let text = format!(
        "{} WHERE e.last >= $from AND ($to IS NULL OR e.last < $to)
            AND ($cluster IS NULL OR e.cluster = $cluster)
        AND ($kind IS NULL OR e.kind = $kind)
            AND ($after_at IS NULL OR e.last > $after_at OR e.id > $after_id)
        RETURN DISTINCT properties(e) AS e, e.last AS last, e.id AS id
        ORDER BY last, id LIMIT $limit",
        if f.resource.is_some() { OF_ONE } else { OF_ALL }
    );
    let question = || {
        query(&text)
            .param("from", from.0)
            .param("to", or_null(f.to.map(|t| t.0)))
            .param("resource", or_null(f.resource.as_deref()))
            .param("cluster", or_null(f.cluster.as_deref()))
            .param("kind", or_null(f.kind.as_deref()))
            .param("after_at", or_null(f.after.as_ref().map(|(t, _)| t.0)))
            .param(
                "after_id",
                or_null(f.after.as_ref().map(|(_, id)| id.as_str())),
            )
            .param("limit", f.limit as i64 + 1)
    };
    let found = rows(graph, question).await?;
    let mut page = found
        .iter()
        .map(|r| read::<EpisodeNode>(r, "e").map(EpisodeRow::from))
        .collect::<Result<Vec<_>>>()?;
    let length = page_length(page.iter().map(EpisodeRow::bytes)).min(f.limit);
    let more = page.len() > length;
    page.truncate(length);
    let next = page.last().filter(|_| more).map(|e| (e.last, e.id.clone()));
    Ok((page, next))
}

pub(super) async fn counts(graph: &Graph) -> Result<GraphCounts> {
    // Each is a single lookup in the server's count store.
    let count = async |text: &str| {
        let found = rows(graph, || query(text)).await?;
        found
            .first()
            .map(|row| read::<i64>(row, "n"))
            .unwrap_or(Ok(0))
            .map(|n| n.max(0) as u64)
    };
    Ok(GraphCounts {
        resources: count("MATCH (n:Resource) RETURN count(n) AS n").await?,
        episodes: count("MATCH (n:Episodic) RETURN count(n) AS n").await?,
        incidents: count("MATCH (n:Incident) RETURN count(n) AS n").await?,
        edges: count("MATCH ()-[e]->() RETURN count(e) AS n").await?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_with_the_row_that_fills_it() {
        let length = |sizes: &[usize]| page_length(sizes.iter().copied());
        assert_eq!(length(&[PAGE_BYTES - 1, 1, 1]), 2);
        assert_eq!(length(&[2 * PAGE_BYTES, 1]), 1);
        assert_eq!(length(&[1, 1]), 2);
    }
}
