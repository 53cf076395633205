//! The graph with its history.

mod history;
mod queries;

use super::tenant;
use crate::engine::resource_id;
use crate::engine::{Changes, EdgeRow, EpisodeRow, ResourceRow};
use crate::graph::Relation;
use crate::model::{Severity, Time};
use crate::rca::ResourceRef;
use crate::storage::{
    ErrorKind, GraphBatch, GraphCounts, GraphStore, ResourceFilter, TimelineFilter,
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
    queries::questions(graph, &a).await;
    history::history(graph, &a, &web, &db).await;
    history::timelines(graph, &a).await;
    history::incidents(graph, &a, &web).await;
    history::renames(graph, &a, &db).await;
    queries::copies(graph, &a, &b).await;
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
