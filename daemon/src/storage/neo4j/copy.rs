//! Reading a complete graph page by page, in the form in which it is written.

use kgrca_core::engine::{EdgeRow, EpisodeRow, ResourceRow};
use kgrca_core::graph::Relation;
use kgrca_core::incident::State;
use kgrca_core::model::{Severity, Time};
use kgrca_core::storage::{CauseRow, GraphPage, GraphPart, IncidentNode, Result};
use neo4rs::{Graph, query};
use serde::Deserialize;

use super::read::read;
use super::row::{EpisodeNode, ResourceNode};
use super::rows;

const RESOURCES: &str = "MATCH (r:Resource) WHERE r.id > $after
    RETURN properties(r) AS row, r.id AS id
    ORDER BY id LIMIT $limit";
const EPISODES: &str = "MATCH (e:Episodic) WHERE e.id > $after
    RETURN properties(e) AS row, e.id AS id
    ORDER BY id LIMIT $limit";
const EDGES: &str = "MATCH (a:Resource) WHERE a.id > $after WITH a ORDER BY a.id LIMIT $limit
    RETURN [(a)-[e]->(b:Resource) | {relation: type(e), to: b.id, valid_from: e.valid_from,
        valid_to: e.valid_to}] AS row,
        a.id AS id ORDER BY id";
const INCIDENTS: &str = "MATCH (i:Incident) WHERE i.id > $after WITH i ORDER BY i.id LIMIT $limit
    RETURN {incident: properties(i), symptoms: [(e)-[:SAME_INCIDENT]->(i) | properties(e)],
        causes: [(e)-[c:POTENTIAL_CAUSE]->(i) | {episode: properties(e),
            edge: properties(c)}]} AS row, i.id AS id
    ORDER BY id";

#[derive(Deserialize)]
struct Edge {
    relation: String,
    to: String,
    valid_from: i64,
    valid_to: Option<i64>,
}

#[derive(Deserialize)]
struct IncidentProps {
    id: String,
    cluster: String,
    state: String,
    severity: String,
    started: i64,
    ended: Option<i64>,
}

#[derive(Deserialize)]
struct CauseProps {
    rank: i64,
    confidence: f64,
    temporal_score: Option<f64>,
    distance_score: Option<f64>,
    domain_score: Option<f64>,
    hops: i64,
    path: String,
    created_at: i64,
}

#[derive(Deserialize)]
struct Cause {
    episode: EpisodeNode,
    edge: CauseProps,
}

#[derive(Deserialize)]
struct Incident {
    incident: IncidentProps,
    symptoms: Vec<EpisodeNode>,
    causes: Vec<Cause>,
}

impl From<Cause> for CauseRow {
    fn from(c: Cause) -> Self {
        Self {
            episode: c.episode.into(),
            rank: c.edge.rank.max(0) as usize,
            confidence: c.edge.confidence,
            temporal: c.edge.temporal_score,
            distance: c.edge.distance_score,
            domain: c.edge.domain_score,
            hops: c.edge.hops.max(0) as usize,
            path: c.edge.path,
        }
    }
}

impl From<Incident> for IncidentNode {
    fn from(i: Incident) -> Self {
        let props = i.incident;
        let at = i
            .causes
            .iter()
            .map(|c| c.edge.created_at)
            .max()
            .unwrap_or(props.started);
        let mut symptoms: Vec<EpisodeRow> = i.symptoms.into_iter().map(Into::into).collect();
        symptoms.sort_by(|a, b| a.id.cmp(&b.id));
        let mut causes: Vec<CauseRow> = i.causes.into_iter().map(Into::into).collect();
        causes.sort_by(|a, b| (a.rank, &a.episode.id).cmp(&(b.rank, &b.episode.id)));
        Self {
            id: props.id,
            cluster: props.cluster,
            state: State::parse(&props.state).unwrap_or(State::Open),
            severity: Severity::parse(&props.severity).unwrap_or_default(),
            started: Time(props.started),
            ended: props.ended.map(Time),
            symptoms,
            causes: Some(causes),
            at: Time(at),
        }
    }
}

fn edges(from: &str, leaving: Vec<Edge>) -> Vec<EdgeRow> {
    let row = |e: Edge| {
        let relation = Relation::parse(&e.relation)?;
        let (valid_from, valid_to) = (Time(e.valid_from), e.valid_to.map(Time));
        Some(EdgeRow {
            from: from.into(),
            relation,
            to: e.to.into(),
            valid_from,
            valid_to,
        })
    };
    let mut edges: Vec<EdgeRow> = leaving.into_iter().filter_map(row).collect();
    edges.sort();
    // Merged resources may have left the same edge twice.
    edges.dedup();
    edges
}

pub(super) async fn page(
    graph: &Graph,
    part: GraphPart,
    after: &str,
    limit: usize,
) -> Result<GraphPage> {
    let text = match part {
        GraphPart::Resources => RESOURCES,
        GraphPart::Edges => EDGES,
        GraphPart::Episodes => EPISODES,
        GraphPart::Incidents => INCIDENTS,
    };
    let found = rows(graph, || {
        query(text)
            .param("after", after)
            .param("limit", limit as i64)
    })
    .await?;
    let mut page = GraphPage::default();
    for row in &found {
        let id: String = read(row, "id")?;
        match part {
            GraphPart::Resources => {
                page.changes
                    .resources
                    .push(ResourceRow::from(read::<ResourceNode>(row, "row")?));
            }
            GraphPart::Edges => page.changes.edges.extend(edges(&id, read(row, "row")?)),
            GraphPart::Episodes => page
                .changes
                .episodes
                .push(EpisodeRow::from(read::<EpisodeNode>(row, "row")?)),
            GraphPart::Incidents => page
                .incidents
                .push(IncidentNode::from(read::<Incident>(row, "row")?)),
        }
        page.next = Some(id);
    }
    if found.len() < limit {
        page.next = None;
    }
    Ok(page)
}
