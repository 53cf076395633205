//! Queries in Cypher, pages and copies of a graph.

use std::time::Duration;

use serde_json::json;

use super::{changes, edge, resource};
use crate::engine::ResourceRow;
use crate::rca::ResourceRef;
use crate::storage::cypher::CypherQuery;
use crate::storage::{ErrorKind, GraphBatch, GraphPage, GraphPart, GraphStore};
use crate::tenancy::TenantId;

pub(super) async fn questions(graph: &dyn GraphStore, a: &TenantId) {
    let request = |text: &str| CypherQuery {
        text: text.into(),
        parameters: serde_json::json!({"kind": "Pod", "first": 10})
            .as_object()
            .unwrap()
            .clone(),
        time: Duration::from_secs(5),
        rows: 2,
        bytes: 10_000,
    };
    let named = "MATCH (r:Resource) WHERE r.kind = $kind RETURN r.name AS name,
        r.healthy AS well ORDER BY name";
    let answer = graph.cypher(a, &request(named)).await.unwrap();
    assert_eq!(answer.columns, ["name", "well"]);
    assert_eq!(
        answer.rows,
        [[json!("db"), json!(true)], [json!("web"), json!(true)]]
    );
    assert!(!answer.truncated);
    let calls = "MATCH (a:Resource)-[e:CALLS]->(b:Resource) RETURN a.name AS a, e AS e, b AS b";
    let answer = graph.cypher(a, &request(calls)).await.unwrap();
    assert_eq!(
        answer.rows[0][1],
        json!({"type": "CALLS", "properties": {"valid_from": 10}})
    );
    assert_eq!(answer.rows[0][2]["properties"]["name"], "db");
    let episodes = request("MATCH (e:Episodic) RETURN e.id AS id ORDER BY id");
    let answer = graph.cypher(a, &episodes).await.unwrap();
    assert_eq!(
        (answer.rows.len(), answer.truncated),
        (2, true),
        "beyond the budget of rows"
    );
    let small = CypherQuery {
        bytes: 4,
        ..episodes
    };
    assert!(
        graph.cypher(a, &small).await.unwrap().truncated,
        "beyond the budget of bytes"
    );
    for wrong in [
        "MATCH (n) SET n.name = 'x' RETURN n",
        "MATCH (n RETURN n",
        "RETURN $missing",
        "CREATE (n) RETURN n",
    ] {
        assert_eq!(
            graph.cypher(a, &request(wrong)).await.unwrap_err().kind,
            ErrorKind::Refused,
            "{wrong}"
        );
    }
    // Every row is needed before it can be said that none fits.
    let endless = "MATCH (a), (b), (c), (d), (e), (f), (g), (h), (i), (j), (k), (l)
        WHERE a.id + b.id + c.id + d.id + e.id + f.id + g.id + h.id + i.id + j.id + k.id + l.id =
            'x' RETURN count(*) AS n";
    let short = CypherQuery {
        time: Duration::from_millis(200),
        ..request(endless)
    };
    assert_eq!(
        graph.cypher(a, &short).await.unwrap_err().kind,
        ErrorKind::Refused,
        "beyond its time"
    );
}

/// All pages of a part.
pub(super) async fn pages(
    graph: &dyn GraphStore,
    tenant: &TenantId,
    part: GraphPart,
) -> Vec<GraphPage> {
    let mut pages = vec![graph.page(tenant, part, "", 2).await.unwrap()];
    while let Some(after) = pages[pages.len() - 1].next.clone() {
        pages.push(graph.page(tenant, part, &after, 2).await.unwrap());
    }
    pages
}

pub(super) async fn copies(graph: &dyn GraphStore, a: &TenantId, b: &TenantId) {
    // What only a copy brings: an edge that ended beside one that began before it, and a kind that
    // is called as our labels are.
    let (web, odd) = (
        resource("web", Some("u1"), None),
        resource("odd", Some("u9"), None),
    );
    let odd = ResourceRow {
        resource: ResourceRef {
            kind: "Incident".into(),
            ..odd.resource.clone()
        },
        ..odd
    };
    let edges = vec![
        edge(&web.id, &odd.id, 5, None),
        edge(&web.id, &odd.id, 10, Some(20)),
        edge(&odd.id, &web.id, 7, None),
    ];
    let told = changes(vec![odd], edges, Vec::new());
    for _ in 0..2 {
        graph
            .write(
                a,
                GraphBatch {
                    is_copy: true,
                    ..told.clone()
                },
            )
            .await
            .unwrap();
    }
    assert_eq!(
        pages(graph, a, GraphPart::Edges)
            .await
            .iter()
            .map(|p| p.changes.edges.len())
            .sum::<usize>(),
        5
    );
    for part in GraphPart::ALL {
        assert_eq!(
            pages(graph, b, part).await,
            [GraphPage::default()],
            "nothing is there to copy"
        );
    }
    for part in GraphPart::ALL {
        let of_a = pages(graph, a, part).await;
        for _ in 0..2 {
            for page in of_a.clone() {
                let GraphPage {
                    changes, incidents, ..
                } = page;
                graph
                    .write(
                        b,
                        GraphBatch {
                            full_resync: true,
                            is_copy: true,
                            changes,
                            incidents,
                            ..GraphBatch::default()
                        },
                    )
                    .await
                    .unwrap();
            }
        }
        assert_eq!(
            pages(graph, b, part).await,
            of_a,
            "a copy is equal, also when it was copied twice"
        );
    }
    assert_eq!(
        graph.counts(b).await.unwrap(),
        graph.counts(a).await.unwrap()
    );
}
