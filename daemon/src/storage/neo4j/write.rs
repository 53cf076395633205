//! Writing: idempotent by key, one transaction per batch, guarded by a fence.

use std::collections::{BTreeMap, HashMap};

use kgrca_core::engine::EdgeRow;
use kgrca_core::model::Time;
use kgrca_core::storage::{Error, ErrorKind, GraphBatch, Result, is_label};
use kgrca_core::tenancy::TenantId;
use neo4rs::{BoltMap, BoltType, Graph, Query, Row, Txn, query};

use super::{failed, persistent, row, rows};

/// Maximum number of rows per statement.
const ROWS: usize = 1000;
/// The epoch of a fence that no worker can pass.
pub(super) const HELD: i64 = i64::MAX;
/// Maximum number of nodes or edges erased in one transaction.
const ERASED: i64 = 10_000;

/// Marks a database as owned by a tenant.
///
/// # Errors
/// When it holds other data.
pub(super) async fn own(graph: &Graph, tenant: &TenantId, server: &str) -> Result<()> {
    let question = || {
        query(
            "OPTIONAL MATCH (o:Owner) WITH collect(o.client_id) AS owners MATCH (n)
                RETURN owners LIMIT 1",
        )
    };
    let found = rows(graph, question).await?;
    let owners = found
        .first()
        .and_then(|r| r.get::<Vec<String>>("owners").ok());
    match owners {
        Some(owners) if owners.iter().any(|o| o == tenant.as_str()) => return Ok(()),
        Some(owners) => {
            return Err(occupied(
                server,
                owners.first().map(String::as_str).unwrap_or("not ours"),
            ));
        }
        None => {}
    }
    // If two tenants claim it at the same time, a constraint lets only one become the owner.
    let only = "CREATE CONSTRAINT kgrca_owner IF NOT EXISTS FOR (o:Owner) REQUIRE o.slot IS UNIQUE";
    persistent(|| async {
        graph
            .run(query(only))
            .await
            .map(|_| ())
            .map_err(|e| failed(&e))
    })
    .await?;
    let text =
        "MERGE (o:Owner {slot: 1}) ON CREATE SET o.client_id = $tenant RETURN o.client_id AS owner";
    let owner = persistent(|| async {
        let mut stream = graph
            .execute(query(text).param("tenant", tenant.as_str()))
            .await
            .map_err(|e| failed(&e))?;
        let row = stream.next().await.map_err(|e| failed(&e))?;
        Ok(row
            .and_then(|r| r.get::<String>("owner").ok())
            .unwrap_or_default())
    })
    .await?;
    if owner == tenant.as_str() {
        Ok(())
    } else {
        Err(occupied(server, &owner))
    }
}

fn occupied(server: &str, whose: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("graph: server {server} holds data that is not this tenant's: {whose}"),
    )
    .hint("use a dedicated server for kgrca, or empty this one")
}

/// A batch as lists of maps, built once for all retries.
pub(super) struct Prepared {
    partition: i64,
    epoch: i64,
    full_resync: bool,
    renamed: Vec<(String, String)>,
    statements: Vec<(String, Vec<BoltMap>)>,
}

/// A name quoted as a label.
fn quoted(name: &str) -> String {
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

/// Writes a batch under the epoch of its lease.
pub(super) async fn write(graph: &Graph, tenant: &TenantId, batch: &Prepared) -> Result<()> {
    let mut tx = graph.start_txn().await.map_err(|e| failed(&e))?;
    let done = fenced(&mut tx, tenant, batch).await;
    match done {
        Ok(()) => tx.commit().await.map(|_| ()).map_err(|e| failed(&e)),
        Err(e) => {
            // If the rollback fails, the transaction ends with its connection.
            let _ = tx.rollback().await;
            Err(e)
        }
    }
}

async fn first(tx: &mut Txn, question: Query) -> Result<Option<Row>> {
    let mut stream = tx.execute(question).await.map_err(|e| failed(&e))?;
    let row = stream.next(tx.handle()).await.map_err(|e| failed(&e))?;
    stream.finish(tx.handle()).await.map_err(|e| failed(&e))?;
    Ok(row)
}

async fn fenced(tx: &mut Txn, tenant: &TenantId, batch: &Prepared) -> Result<()> {
    // Writing the fence, even unchanged, locks it until the end of the transaction.
    const RAISE: &str = "SET f.epoch = CASE WHEN f.epoch < $epoch THEN $epoch ELSE f.epoch END
        RETURN f.epoch AS epoch";
    let moves = || {
        Error::new(
            ErrorKind::Unavailable,
            format!("the graph of {tenant} is moving to another server"),
        )
    };
    if batch.full_resync {
        // A new fence must not appear while the graph is held: lock the owner as well.
        let lock = "MATCH (o:Owner {client_id: $tenant}) SET o.client_id = $tenant
            RETURN o.moves AS moves";
        let owner = first(tx, query(lock).param("tenant", tenant.as_str())).await?;
        if owner
            .and_then(|r| r.get::<bool>("moves").ok())
            .unwrap_or(false)
        {
            return Err(moves());
        }
    }
    let find = if batch.full_resync {
        "MATCH (:Owner {client_id: $tenant}) MERGE (f:Fence {partition: $partition})
            ON CREATE SET f.epoch = $epoch"
    } else {
        "MATCH (:Owner {client_id: $tenant}) MATCH (f:Fence {partition: $partition})"
    };
    let question = query(&format!("{find} {RAISE}"))
        .param("tenant", tenant.as_str())
        .param("partition", batch.partition)
        .param("epoch", batch.epoch);
    let found = first(tx, question).await?;
    let Some(epoch) = found.and_then(|r| r.get::<i64>("epoch").ok()) else {
        let message = format!(
            "the graph of {tenant} has nothing of partition {}: its data was lost",
            batch.partition
        );
        return Err(Error::new(ErrorKind::Corrupt, message));
    };
    if epoch == HELD {
        return Err(moves());
    }
    if epoch > batch.epoch {
        return Err(Error::new(
            ErrorKind::Fenced,
            format!(
                "epoch {} is no longer current: {epoch} wrote the graph",
                batch.epoch
            ),
        ));
    }
    for (old, new) in batch.renamed.iter().filter(|(old, new)| old != new) {
        rename(tx, old, new).await?;
    }
    for (text, all) in &batch.statements {
        for some in all.chunks(ROWS) {
            let some: Vec<BoltType> = some.iter().cloned().map(BoltType::Map).collect();
            tx.run(query(text).param("rows", some))
                .await
                .map_err(|e| failed(&e))?;
        }
    }
    Ok(())
}

/// Changes a resource's id to the one derived from its uid. If that id exists already, the two
/// resources are merged.
async fn rename(tx: &mut Txn, old: &str, new: &str) -> Result<()> {
    let with = |text: &str| query(text).param("old", old).param("new", new);
    let about = "MATCH (e:Episodic)-[:ABOUT]->(:Resource {id: $old}) SET e.about = $new";
    tx.run(with(about)).await.map_err(|e| failed(&e))?;
    let both = "MATCH (a:Resource {id: $old}), (b:Resource {id: $new}) RETURN count(*) AS n";
    let meet = first(tx, with(both))
        .await?
        .and_then(|r| r.get::<i64>("n").ok())
        .unwrap_or(0)
        > 0;
    if !meet {
        let rename = "MATCH (a:Resource {id: $old}) SET a.id = $new";
        return tx
            .run(with(rename))
            .await
            .map(|_| ())
            .map_err(|e| failed(&e));
    }
    let types = "MATCH (:Resource {id: $old})-[e]-() RETURN collect(DISTINCT type(e)) AS types";
    let types = first(tx, with(types))
        .await?
        .and_then(|r| r.get::<Vec<String>>("types").ok())
        .unwrap_or_default();
    for relation in types {
        let relation = quoted(&relation);
        for moved in [
            format!(
                "MATCH (a:Resource {{id: $old}})-[e:{relation}]->(o)
                    MATCH (b:Resource {{id: $new}}) CREATE (b)-[n:{relation}]->(o)
                    SET n = properties(e)"
            ),
            format!(
                "MATCH (a:Resource {{id: $old}})<-[e:{relation}]-(o)
                    MATCH (b:Resource {{id: $new}}) CREATE (b)<-[n:{relation}]-(o)
                    SET n = properties(e)"
            ),
        ] {
            tx.run(with(&moved)).await.map_err(|e| failed(&e))?;
        }
    }
    tx.run(with("MATCH (a:Resource {id: $old}) DETACH DELETE a"))
        .await
        .map(|_| ())
        .map_err(|e| failed(&e))
}

/// Repeats an erasing statement until it erases less than the maximum. Returns the total.
async fn erase(graph: &Graph, text: &str, parameter: Option<i64>) -> Result<u64> {
    let mut all = 0;
    loop {
        let erased = persistent(|| async {
            let question = query(text)
                .param("limit", ERASED)
                .param("before", parameter.unwrap_or_default());
            let mut stream = graph.execute(question).await.map_err(|e| failed(&e))?;
            let row = stream.next().await.map_err(|e| failed(&e))?;
            Ok(row.and_then(|r| r.get::<i64>("n").ok()).unwrap_or(0))
        })
        .await?;
        all += erased.max(0) as u64;
        if erased < ERASED {
            return Ok(all);
        }
    }
}

/// Erases episodes last seen, and resources, incidents and edges that ended, before an instant.
/// Nothing is erased while the graph is being copied: the copy would differ.
pub(super) async fn forget(graph: &Graph, before: Time) -> Result<u64> {
    let moves = || query("MATCH (o:Owner) WHERE o.moves RETURN o.client_id AS owner");
    if !rows(graph, moves).await?.is_empty() {
        return Ok(0);
    }
    let mut erased = 0;
    for text in [
        "MATCH (n:Episodic) WHERE n.last < $before WITH n LIMIT $limit DETACH DELETE n
            RETURN count(*) AS n",
        "MATCH (n:Resource) WHERE n.deleted < $before WITH n LIMIT $limit DETACH DELETE n
            RETURN count(*) AS n",
        "MATCH (n:Incident) WHERE n.ended < $before WITH n LIMIT $limit DETACH DELETE n
            RETURN count(*) AS n",
        "MATCH ()-[e]->() WHERE e.valid_to < $before WITH e LIMIT $limit DELETE e
            RETURN count(*) AS n",
    ] {
        erased += erase(graph, text, Some(before.0)).await?;
    }
    Ok(erased)
}

/// Erases all data of the tenant that owns the database.
pub(super) async fn clear(graph: &Graph, tenant: &TenantId) -> Result<()> {
    let question = || {
        query("MATCH (o:Owner {client_id: $tenant}) RETURN o.client_id AS o")
            .param("tenant", tenant.as_str())
    };
    if rows(graph, question).await?.is_empty() {
        return Ok(());
    }
    // The owner last, so that an interrupted removal can continue.
    erase(
        graph,
        "MATCH (n) WHERE NOT n:Owner WITH n LIMIT $limit DETACH DELETE n RETURN count(*) AS n",
        None,
    )
    .await?;
    erase(
        graph,
        "MATCH (n:Owner) WITH n LIMIT $limit DETACH DELETE n RETURN count(*) AS n",
        None,
    )
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kgrca_core::graph::Relation;

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
