//! The graph with its history.

use std::time::Duration;

use serde_json::json;

use super::tenant;
use crate::engine::{Changes, EdgeRow, EpisodeRow, ResourceRow, resource_id};
use crate::graph::Relation;
use crate::incident::State;
use crate::model::{Severity, Time};
use crate::rca::ResourceRef;
use crate::storage::cypher::CypherQuery;
use crate::storage::{
    CauseRow, ErrorKind, GraphBatch, GraphCounts, GraphPage, GraphPart, GraphStore, IncidentNode,
    ResourceFilter, TimelineFilter,
};
use crate::tenancy::TenantId;

fn resource(id: &str, uid: Option<&str>, deleted: Option<i64>) -> ResourceRow {
    let named = ResourceRef {
        kind: "Pod".into(),
        namespace: "shop".into(),
        name: id.into(),
        uid: uid.map(Into::into),
    };
    ResourceRow {
        id: resource_id("prod", &named),
        cluster: "prod".into(),
        resource: named,
        component: format!("app/{id}"),
        component_namespace: uid.map(|_| "shop".into()),
        labels: "app=web".into(),
        healthy: Some(true),
        created: Some(Time(5)),
        deleted: deleted.map(Time),
    }
}

fn episode(id: &str, about: &str, last: i64) -> EpisodeRow {
    EpisodeRow {
        id: id.into(),
        about: about.into(),
        cluster: "prod".into(),
        kind: "event".into(),
        first: Time(last - 1),
        last: Time(last),
        severity: Severity::Warning,
        reason: "BackOff".into(),
        message: "back-off".into(),
        count: 2,
    }
}

fn edge(from: &str, to: &str, since: i64, until: Option<i64>) -> EdgeRow {
    let (valid_from, valid_to) = (Time(since), until.map(Time));
    EdgeRow {
        from: from.into(),
        relation: Relation::Calls,
        to: to.into(),
        valid_from,
        valid_to,
    }
}

fn changes(
    resources: Vec<ResourceRow>,
    edges: Vec<EdgeRow>,
    episodes: Vec<EpisodeRow>,
) -> GraphBatch {
    GraphBatch {
        epoch: 1,
        changes: Changes {
            renamed: Vec::new(),
            resources,
            edges,
            episodes,
        },
        ..GraphBatch::default()
    }
}

/// What every [`GraphStore`] does.
pub async fn graph_store(graph: &dyn GraphStore) {
    let (a, b) = (tenant("a"), tenant("b"));
    for tenant in [&a, &b] {
        graph.create(tenant).await.unwrap();
        graph.create(tenant).await.unwrap();
    }
    assert_eq!(
        graph.counts(&a).await.unwrap(),
        GraphCounts::default(),
        "a new tenant has nothing"
    );
    assert!(
        graph
            .around(&a, "u1", 1, Time(10), 10)
            .await
            .unwrap()
            .is_none()
    );
    let (web, db) = (
        resource("web", Some("u1"), None),
        resource("db", Some("u2"), None),
    );
    let first = writes(graph, &a, &web, &db).await;
    assert_eq!(
        graph.counts(&b).await.unwrap(),
        GraphCounts::default(),
        "tenants do not share"
    );
    assert_eq!(
        graph.resources(&a, "u1").await.unwrap(),
        std::slice::from_ref(&web),
        "rows come back as they were"
    );
    filters(graph, &web, &db).await;
    questions(graph, &a).await;
    history(graph, &a, &web, &db).await;
    timelines(graph, &a).await;
    incidents(graph, &a, &web).await;
    renames(graph, &a, &db).await;
    copies(graph, &a, &b).await;
    let fenced = graph
        .write(&a, GraphBatch { epoch: 0, ..first })
        .await
        .unwrap_err();
    assert_eq!(
        fenced.kind,
        ErrorKind::Fenced,
        "a daemon that lost its lease cannot write"
    );
    assert!(graph.forget(&a, Time(25)).await.unwrap() >= 2);
    assert!(
        graph
            .timeline(
                &a,
                &TimelineFilter {
                    to: Some(Time(25)),
                    limit: 9,
                    ..Default::default()
                }
            )
            .await
            .unwrap()
            .0
            .is_empty()
    );
    graph.remove(&b).await.unwrap();
    graph.remove(&a).await.unwrap();
    assert_eq!(
        graph.counts(&a).await.unwrap(),
        GraphCounts::default(),
        "nothing is left of a removed tenant"
    );
}

/// Writes the first rows of a tenant, twice.
async fn writes(
    graph: &dyn GraphStore,
    a: &TenantId,
    web: &ResourceRow,
    db: &ResourceRow,
) -> GraphBatch {
    let first = changes(
        vec![web.clone(), db.clone()],
        vec![edge(&web.id, &db.id, 10, None)],
        vec![
            episode("e1", &web.id, 20),
            episode("e2", &web.id, 15),
            episode("e3", &db.id, 30),
        ],
    );
    assert!(!graph.knows(a, 0).await.unwrap());
    let lost = graph.write(a, first.clone()).await.unwrap_err();
    assert_eq!(
        lost.kind,
        ErrorKind::Corrupt,
        "a part without its beginning is refused"
    );
    let first = GraphBatch {
        full_resync: true,
        ..first
    };
    for _ in 0..2 {
        graph.write(a, first.clone()).await.unwrap();
    }
    let counts = graph.counts(a).await.unwrap();
    assert_eq!(
        (counts.resources, counts.episodes, counts.edges),
        (2, 3, 4),
        "writes are idempotent by key"
    );
    assert!(graph.knows(a, 0).await.unwrap() && !graph.knows(a, 1).await.unwrap());
    first
}

async fn filters(graph: &dyn GraphStore, web: &ResourceRow, db: &ResourceRow) {
    let wanted =
        |filter: ResourceFilter| async move { graph.find(&tenant("a"), &filter).await.unwrap() };
    let all = ResourceFilter {
        limit: 9,
        ..ResourceFilter::default()
    };
    assert_eq!(
        wanted(all.clone()).await,
        [web.clone(), db.clone()],
        "live ones in the order of their ids"
    );
    let next = ResourceFilter {
        after: Some(web.id.clone()),
        ..all.clone()
    };
    assert_eq!(
        wanted(next).await,
        std::slice::from_ref(db),
        "after a cursor"
    );
    let named = ResourceFilter {
        kind: Some("pod".into()),
        name: Some("web".into()),
        healthy: Some(true),
        ..all.clone()
    };
    assert_eq!(wanted(named).await, std::slice::from_ref(web));
    let label = |value: &str| ResourceFilter {
        label: Some(("app".into(), value.into())),
        ..all.clone()
    };
    assert_eq!(
        (
            wanted(label("web")).await.len(),
            wanted(label("we")).await.len()
        ),
        (2, 0),
        "labels match exactly"
    );
}

async fn history(graph: &dyn GraphStore, a: &TenantId, web: &ResourceRow, db: &ResourceRow) {
    let ended = ResourceRow {
        deleted: Some(Time(40)),
        healthy: None,
        ..db.clone()
    };
    graph
        .write(
            a,
            changes(
                vec![ended.clone()],
                vec![edge(&web.id, &db.id, 10, Some(40))],
                Vec::new(),
            ),
        )
        .await
        .unwrap();
    let before = graph
        .around(a, "u1", 1, Time(39), 10)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (before.resources.len(), before.edges.len()),
        (2, 1),
        "as it was before the end"
    );
    assert_eq!(before.edges[0].valid_to, Some(Time(40)));
    let after = graph
        .around(a, "u1", 1, Time(40), 10)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (after.resources.len(), after.edges.len()),
        (1, 0),
        "as it is after the end"
    );
    assert!(
        graph
            .around(a, "u1", 1, Time(9), 10)
            .await
            .unwrap()
            .unwrap()
            .edges
            .is_empty(),
        "before it began"
    );
    assert_eq!(
        graph.resources(a, "u2").await.unwrap(),
        [ended],
        "what ended stays reachable"
    );
}

async fn timelines(graph: &dyn GraphStore, a: &TenantId) {
    let all = TimelineFilter {
        limit: 2,
        ..TimelineFilter::default()
    };
    let (page, after) = graph.timeline(a, &all).await.unwrap();
    assert_eq!(
        page.iter().map(|e| &*e.id).collect::<Vec<_>>(),
        ["e2", "e1"],
        "in the order of time"
    );
    assert!(after.is_some(), "there is more");
    let (rest, end) = graph
        .timeline(a, &TimelineFilter { after, ..all })
        .await
        .unwrap();
    assert_eq!(end, None, "there is no more");
    assert_eq!(
        rest.iter().map(|e| &*e.id).collect::<Vec<_>>(),
        ["e3"],
        "the cursor continues"
    );
    let about = TimelineFilter {
        resource: Some("u2".into()),
        limit: 9,
        ..TimelineFilter::default()
    };
    assert_eq!(
        graph.timeline(a, &about).await.unwrap().0.len(),
        1,
        "of one resource"
    );
    let none = TimelineFilter {
        kind: Some("alert".into()),
        limit: 9,
        ..TimelineFilter::default()
    };
    assert!(
        graph.timeline(a, &none).await.unwrap().0.is_empty(),
        "of one kind"
    );
}

async fn incidents(graph: &dyn GraphStore, a: &TenantId, web: &ResourceRow) {
    let cause = |rank: usize, id: &str| CauseRow {
        episode: EpisodeRow {
            kind: "cause".into(),
            ..episode(id, &web.id, 35)
        },
        rank,
        confidence: 0.9,
        temporal: None,
        distance: None,
        domain: None,
        hops: 1,
        path: "web CALLS db".into(),
    };
    let incident = |causes: Vec<CauseRow>| IncidentNode {
        id: "inc-1".into(),
        cluster: "prod".into(),
        state: State::Open,
        severity: Severity::Error,
        started: Time(20),
        ended: None,
        symptoms: vec![episode("e1", &web.id, 20)],
        causes: Some(causes),
        at: Time(35),
    };
    let batch = |i| GraphBatch {
        epoch: 1,
        incidents: vec![i],
        ..GraphBatch::default()
    };
    let before = graph.counts(a).await.unwrap();
    graph
        .write(a, batch(incident(vec![cause(1, "c1"), cause(2, "c2")])))
        .await
        .unwrap();
    let two = graph.counts(a).await.unwrap();
    assert_eq!(
        (two.incidents, two.edges - before.edges),
        (1, 5),
        "a symptom, two causes, and what these are about"
    );
    graph
        .write(a, batch(incident(vec![cause(1, "c2")])))
        .await
        .unwrap();
    assert_eq!(
        graph.counts(a).await.unwrap().edges,
        two.edges - 1,
        "causes are replaced as a set"
    );
}

async fn renames(graph: &dyn GraphStore, a: &TenantId, db: &ResourceRow) {
    let named = resource("queue", None, None);
    let known = resource("queue", Some("u3"), None);
    let call = vec![edge(&named.id, &db.id, 12, None)];
    graph
        .write(
            a,
            changes(
                vec![named.clone()],
                call,
                vec![episode("before", &named.id, 50)],
            ),
        )
        .await
        .unwrap();
    let renamed = Changes {
        renamed: vec![(named.id.clone(), known.id.clone())],
        resources: vec![known],
        ..Changes::default()
    };
    graph
        .write(
            a,
            GraphBatch {
                epoch: 1,
                changes: renamed,
                ..GraphBatch::default()
            },
        )
        .await
        .unwrap();
    assert!(
        graph.resources(a, &named.id).await.unwrap().is_empty(),
        "a name that got a uid is one resource"
    );
    let around = graph
        .around(a, "u3", 1, Time(20), 10)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(around.edges.len(), 1, "and keeps its edges");
    let about = TimelineFilter {
        resource: Some("u3".into()),
        limit: 9,
        ..TimelineFilter::default()
    };
    let (told, _) = graph.timeline(a, &about).await.unwrap();
    assert_eq!(told.len(), 1, "and what was recorded of it");
    assert_eq!(told[0].about, resource("queue", Some("u3"), None).id);
    // The same edge told again after a restart that knows no better since when.
    graph
        .write(
            a,
            changes(
                Vec::new(),
                vec![edge(&told[0].about, &db.id, 14, Some(60))],
                Vec::new(),
            ),
        )
        .await
        .unwrap();
    let around = graph
        .around(a, "u3", 1, Time(61), 10)
        .await
        .unwrap()
        .unwrap();
    assert!(
        around.edges.is_empty(),
        "an edge that ended is not open under another beginning"
    );
}

async fn questions(graph: &dyn GraphStore, a: &TenantId) {
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
async fn pages(graph: &dyn GraphStore, tenant: &TenantId, part: GraphPart) -> Vec<GraphPage> {
    let mut pages = vec![graph.page(tenant, part, "", 2).await.unwrap()];
    while let Some(after) = pages[pages.len() - 1].next.clone() {
        pages.push(graph.page(tenant, part, &after, 2).await.unwrap());
    }
    pages
}

async fn copies(graph: &dyn GraphStore, a: &TenantId, b: &TenantId) {
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
