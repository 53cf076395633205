//! Reading a complete graph page by page, in the form in which it is written.

use marsdb_graph::{Direction, GraphStore as Database, Node, PropertyValue, Txn};

use super::failed;
use super::row::{self, get_text, get_time, text};
use crate::engine::{Changes, EdgeRow, EpisodeRow};
use crate::incident::State;
use crate::model::Severity;
use crate::storage::Result;
use crate::storage::graph::{CauseRow, GraphPage, GraphPart, IncidentNode, PAGE_BYTES};

pub(super) fn page(db: &Database, part: GraphPart, after: &str, limit: usize) -> Result<GraphPage> {
    let tx = db.begin_read().map_err(|e| failed(&e))?;
    let txn = Txn::Read(&tx);
    let label = match part {
        GraphPart::Resources | GraphPart::Edges => row::RESOURCE,
        GraphPart::Episodes => row::EPISODE,
        GraphPart::Incidents => row::INCIDENT,
    };
    let Found { nodes, has_more } = nodes_after(txn, label, after, limit)?;
    let next = nodes
        .last()
        .filter(|_| has_more)
        .map(|n| get_text(&n.props, "id"));
    let mut page = GraphPage {
        next,
        ..GraphPage::default()
    };
    let Changes {
        resources,
        edges,
        episodes,
        ..
    } = &mut page.changes;
    for node in &nodes {
        match part {
            GraphPart::Resources => resources.push(row::resource(node)),
            GraphPart::Edges => edges.extend(leaving(txn, node)?),
            GraphPart::Episodes => episodes.push(row::episode(node)),
            GraphPart::Incidents => page.incidents.push(incident(txn, node)?),
        }
    }
    Ok(page)
}

/// Nodes of a page.
struct Found {
    nodes: Vec<Node>,
    /// Whether there may be others behind them.
    has_more: bool,
}

/// Nodes of a label with ids above one, ordered by id.
fn nodes_after(txn: Txn<'_>, label: &'static str, after: &str, limit: usize) -> Result<Found> {
    let start = text(after);
    let cursor = Database::index_range_cursor_in_txn(txn, label, "id", Some((&start, false)), None)
        .map_err(|e| failed(&e))?;
    let (mut nodes, mut bytes) = (Vec::new(), 0);
    if let Some(mut cursor) = cursor {
        for id in cursor.next_chunk(txn, limit).map_err(|e| failed(&e))? {
            let Some(node) = Database::get_node_in_txn(txn, id).map_err(|e| failed(&e))? else {
                continue;
            };
            bytes += row::text_bytes(&node.props);
            nodes.push(node);
            if bytes >= PAGE_BYTES {
                break;
            }
        }
    }
    Ok(Found {
        has_more: nodes.len() == limit || bytes >= PAGE_BYTES,
        nodes,
    })
}

fn leaving(txn: Txn<'_>, node: &Node) -> Result<Vec<EdgeRow>> {
    let from = get_text(&node.props, "id");
    let mut edges = Vec::new();
    for near in
        Database::neighbors_in_txn(txn, node.id, Direction::Out, None).map_err(|e| failed(&e))?
    {
        let edge = Database::get_edge_in_txn(txn, near.edge_id).map_err(|e| failed(&e))?;
        let other = Database::get_node_in_txn(txn, near.other).map_err(|e| failed(&e))?;
        if let (Some(edge), Some(other)) = (edge, other) {
            edges.extend(row::edge(&edge, &from, &get_text(&other.props, "id")));
        }
    }
    edges.sort();
    // Two resources that became one may have left the same edge twice.
    edges.dedup();
    Ok(edges)
}

fn incident(txn: Txn<'_>, node: &Node) -> Result<IncidentNode> {
    let p = &node.props;
    let mut symptoms: Vec<EpisodeRow> = Vec::new();
    for near in Database::neighbors_in_txn(txn, node.id, Direction::In, Some(row::SAME_INCIDENT))
        .map_err(|e| failed(&e))?
    {
        symptoms.extend(
            Database::get_node_in_txn(txn, near.other)
                .map_err(|e| failed(&e))?
                .as_ref()
                .map(row::episode),
        );
    }
    symptoms.sort_by(|a, b| a.id.cmp(&b.id));
    let mut causes = Vec::new();
    let mut at = None;
    for near in Database::neighbors_in_txn(txn, node.id, Direction::In, Some(row::POTENTIAL_CAUSE))
        .map_err(|e| failed(&e))?
    {
        let edge = Database::get_edge_in_txn(txn, near.edge_id).map_err(|e| failed(&e))?;
        let episode = Database::get_node_in_txn(txn, near.other).map_err(|e| failed(&e))?;
        if let (Some(edge), Some(episode)) = (edge, episode) {
            at = at.max(get_time(&edge.props, "created_at"));
            causes.push(cause(row::episode(&episode), &edge.props));
        }
    }
    causes.sort_by(|a, b| (a.rank, &a.episode.id).cmp(&(b.rank, &b.episode.id)));
    let started = get_time(p, "started").unwrap_or_default();
    Ok(IncidentNode {
        id: get_text(p, "id"),
        cluster: get_text(p, "cluster"),
        state: State::parse(&get_text(p, "state")).unwrap_or(State::Open),
        severity: Severity::parse(&get_text(p, "severity")).unwrap_or_default(),
        started,
        ended: get_time(p, "ended"),
        symptoms,
        causes: Some(causes),
        at: at.unwrap_or(started),
    })
}

fn cause(episode: EpisodeRow, p: &row::Props) -> CauseRow {
    let float = |key: &str| match p.get(key) {
        Some(PropertyValue::Float(value)) => Some(*value),
        _ => None,
    };
    let int = |key: &str| row::get_int(p, key).unwrap_or_default().max(0) as usize;
    CauseRow {
        episode,
        rank: int("rank"),
        confidence: float("confidence").unwrap_or_default(),
        temporal: float("temporal_score"),
        distance: float("distance_score"),
        domain: float("domain_score"),
        hops: int("hops"),
        path: get_text(p, "path"),
    }
}
