//! Writing: idempotent by key, one transaction per batch, guarded by a fence.

use kgrca_core::model::Time;
use kgrca_core::storage::{Error, ErrorKind, Result};
use kgrca_core::tenancy::TenantId;
use neo4rs::{BoltType, Graph, Query, Row, Txn, query};

use super::prepared::{Prepared, quoted};
use super::{failed, persistent, rows};

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
