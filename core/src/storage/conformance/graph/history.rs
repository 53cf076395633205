//! What the graph store answers about the past.

use super::{changes, edge, episode, resource};
use crate::engine::{Changes, EpisodeRow, ResourceRow};
use crate::incident::State;
use crate::model::{Severity, Time};
use crate::storage::{CauseRow, GraphBatch, GraphStore, IncidentNode, TimelineFilter};
use crate::tenancy::TenantId;

pub(super) async fn history(
    graph: &dyn GraphStore,
    a: &TenantId,
    web: &ResourceRow,
    db: &ResourceRow,
) {
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

pub(super) async fn timelines(graph: &dyn GraphStore, a: &TenantId) {
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

pub(super) async fn incidents(graph: &dyn GraphStore, a: &TenantId, web: &ResourceRow) {
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

pub(super) async fn renames(graph: &dyn GraphStore, a: &TenantId, db: &ResourceRow) {
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
