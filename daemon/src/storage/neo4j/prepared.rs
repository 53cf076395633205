//! A batch as statements with their rows.

use std::collections::{BTreeMap, HashMap};

use kgrca_core::engine::EdgeRow;
use kgrca_core::storage::{GraphBatch, is_label};
use neo4rs::BoltMap;

use super::row;

/// A batch as lists of maps, built once for all retries.
pub(super) struct Prepared {
    pub partition: i64,
    pub epoch: i64,
    pub full_resync: bool,
    pub renamed: Vec<(String, String)>,
    pub statements: Vec<(String, Vec<BoltMap>)>,
}

/// A name quoted as a label.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

impl Prepared {
    pub fn new(batch: &GraphBatch) -> Self {
        let mut statements = Vec::new();
        resources(batch, &mut statements);
        edges(batch, &mut statements);
        let mut episodes: BTreeMap<&str, BoltMap> = BTreeMap::new();
        let of_incidents = batch.incidents.iter().flat_map(|i| {
            i.symptoms
                .iter()
                .chain(i.causes.iter().flatten().map(|c| &c.episode))
        });
        // The last version of an episode counts.
        for episode in batch.changes.episodes.iter().chain(of_incidents) {
            episodes.insert(&episode.id, row::episode_props(episode));
        }
        let text = "UNWIND $rows AS row MERGE (e:Episodic {id: row.id}) SET e = row
            WITH e, row MATCH (r:Resource {id: row.about}) MERGE (e)-[:ABOUT]->(r)";
        statements.push((text.to_owned(), episodes.into_values().collect()));
        incidents(batch, &mut statements);
        Self {
            partition: i64::from(batch.partition),
            epoch: batch.epoch,
            full_resync: batch.full_resync,
            renamed: batch.changes.renamed.clone(),
            statements,
        }
    }
}

fn resources(batch: &GraphBatch, statements: &mut Vec<(String, Vec<BoltMap>)>) {
    let mut newest: HashMap<&str, usize> = HashMap::new();
    for (i, r) in batch.changes.resources.iter().enumerate() {
        newest.insert(&r.id, i);
    }
    let mut by_kind: BTreeMap<&str, Vec<BoltMap>> = BTreeMap::new();
    let all = batch.changes.resources.iter().enumerate();
    for (_, r) in all.filter(|(i, r)| newest.get(r.id.as_str()) == Some(i)) {
        by_kind
            .entry(&r.resource.kind)
            .or_default()
            .push(row::resource_props(r));
    }
    for (kind, all) in by_kind {
        let label = if is_label(kind) {
            format!(", r:{}", quoted(kind))
        } else {
            String::new()
        };
        let text =
            format!("UNWIND $rows AS row MERGE (r:Resource {{id: row.id}}) SET r = row{label}");
        statements.push((text, all));
    }
}

/// An edge is identified by its ends and type; one that ended earlier is a different one. After a
/// restart the start of an open edge may be less precise: it is still the same edge.
fn edges(batch: &GraphBatch, statements: &mut Vec<(String, Vec<BoltMap>)>) {
    let mut by_relation: BTreeMap<&str, Vec<BoltMap>> = BTreeMap::new();
    let edges_of_batch = if batch.is_copy {
        batch.changes.edges.clone()
    } else {
        folded(&batch.changes.edges)
    };
    for edge in edges_of_batch {
        by_relation
            .entry(edge.relation.as_str())
            .or_default()
            .push(row::edge(&edge));
    }
    for (relation, all) in by_relation {
        let relation = quoted(relation);
        if batch.is_copy {
            let text = format!(
                "UNWIND $rows AS row
                    MATCH (a:Resource {{id: row.from}}), (b:Resource {{id: row.to}})
                OPTIONAL MATCH (a)-[e:{relation}]->(b)
                    WHERE e.valid_from = row.since
                        AND coalesce(e.valid_to, -1) = coalesce(row.until, -1)
                WITH a, b, row, count(e) AS known WHERE known = 0
                CREATE (a)-[:{relation} {{valid_from: row.since, valid_to: row.until}}]->(b)"
            );
            statements.push((text, all));
            continue;
        }
        let text = format!(
            "UNWIND $rows AS row
                    MATCH (a:Resource {{id: row.from}}), (b:Resource {{id: row.to}})
            OPTIONAL MATCH (a)-[e:{relation}]->(b)
                WHERE e.valid_from = row.since OR e.valid_to IS NULL
            WITH a, b, row, e ORDER BY CASE WHEN e.valid_from = row.since THEN 0 ELSE 1 END
            WITH a, b, row, head(collect(e)) AS known
            FOREACH (_ IN CASE WHEN known IS NULL THEN [1] ELSE [] END |
                CREATE (a)-[:{relation} {{valid_from: row.since, valid_to: row.until}}]->(b))
            FOREACH (_ IN CASE WHEN known IS NOT NULL AND row.until IS NOT NULL
                THEN [1] ELSE [] END |
                SET known.valid_to = row.until)"
        );
        statements.push((text, all));
    }
}

/// The edges of a batch without repeats: a statement does not see its own writes.
fn folded(edges: &[EdgeRow]) -> Vec<EdgeRow> {
    let mut all: Vec<EdgeRow> = Vec::new();
    let mut known: HashMap<(&str, &str, &str), Vec<usize>> = HashMap::new();
    for edge in edges {
        let indices = known
            .entry((&edge.from, edge.relation.as_str(), &edge.to))
            .or_default();
        let same = indices
            .iter()
            .find(|i| all[**i].valid_from == edge.valid_from);
        let same = same
            .or_else(|| indices.iter().find(|i| all[**i].valid_to.is_none()))
            .copied();
        if let Some(i) = same {
            all[i].valid_to = edge.valid_to.or(all[i].valid_to);
        } else {
            indices.push(all.len());
            all.push(edge.clone());
        }
    }
    all
}

fn incidents(batch: &GraphBatch, statements: &mut Vec<(String, Vec<BoltMap>)>) {
    let pair = |incident: &str, episode: &str| {
        [("incident", incident), ("episode", episode)]
            .into_iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect::<BoltMap>()
    };
    let mut symptoms = Vec::new();
    let mut causes = Vec::new();
    let mut replaced = Vec::new();
    for incident in &batch.incidents {
        symptoms.extend(incident.symptoms.iter().map(|s| pair(&incident.id, &s.id)));
        let Some(now) = &incident.causes else {
            continue;
        };
        replaced.push(
            [("incident".into(), incident.id.as_str().into())]
                .into_iter()
                .collect(),
        );
        for cause in now {
            let mut row = row::cause(cause, incident.at);
            row.put("incident".into(), incident.id.as_str().into());
            causes.push(row);
        }
    }
    let props = batch.incidents.iter().map(row::incident_props).collect();
    statements.push((
        "UNWIND $rows AS row MERGE (i:Incident {id: row.id}) SET i = row".to_owned(),
        props,
    ));
    let text =
        "UNWIND $rows AS row MATCH (e:Episodic {id: row.episode}), (i:Incident {id: row.incident})
        MERGE (e)-[:SAME_INCIDENT]->(i)";
    statements.push((text.to_owned(), symptoms));
    let text = "UNWIND $rows AS row
        MATCH (:Episodic)-[c:POTENTIAL_CAUSE]->(:Incident {id: row.incident}) DELETE c";
    statements.push((text.to_owned(), replaced));
    let text =
        "UNWIND $rows AS row MATCH (e:Episodic {id: row.id}), (i:Incident {id: row.incident})
        CREATE (e)-[c:POTENTIAL_CAUSE]->(i) SET c = row.props";
    statements.push((text.to_owned(), causes));
}

#[cfg(test)]
mod tests {
    use kgrca_core::graph::Relation;
    use kgrca_core::model::Time;

    use super::*;

    #[test]
    fn an_edge_that_opens_and_ends_in_one_batch_is_one() {
        let edge = |since: i64, until: Option<i64>| EdgeRow {
            from: "a".into(),
            relation: Relation::Calls,
            to: "b".into(),
            valid_from: Time(since),
            valid_to: until.map(Time),
        };
        let all = [
            edge(1, None),
            edge(1, Some(5)),
            edge(7, None),
            edge(8, Some(9)),
        ];
        assert_eq!(folded(&all), [edge(1, Some(5)), edge(7, Some(9))]);
    }

    #[test]
    fn a_kind_cannot_end_its_label() {
        assert_eq!(quoted("A` DETACH DELETE n //"), "`A`` DETACH DELETE n //`");
    }
}
