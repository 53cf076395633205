//! Tests of the parent module.

use super::*;
use crate::graph::Graph;
use crate::model::{Kind, Severity, Subject};

fn symptom(name: &str, onset: i64) -> Symptom {
    let mut graph = Graph::default();
    let resource = graph.intern(
        &Subject {
            kind: Kind::Pod,
            uid: None,
            namespace: "shop".into(),
            name: name.into(),
        },
        Time(1),
    );
    Symptom {
        key: format!("Event/{name}"),
        kind: SymptomKind::Event,
        resource,
        component: graph.component(resource),
        onset: Time(onset),
        last: Time(onset),
        severity: Severity::Warning,
        what: "x".into(),
    }
}

/// A cluster's incidents, evaluated minute by minute.
#[derive(Default)]
struct Cluster(Registry);

impl Cluster {
    /// One evaluation in which all symptoms form one group. Returns the incident's key.
    fn sees(&mut self, minute: i64, symptoms: &[&Symptom]) -> Option<u64> {
        let now = Time(minute * MINUTE);
        // States and alerts last until they end; events are seen once.
        let last = |s: &Symptom| match s.kind {
            SymptomKind::Event | SymptomKind::Log => s.last,
            SymptomKind::State | SymptomKind::Alert => now,
        };
        let symptoms: Vec<Symptom> = symptoms
            .iter()
            .map(|s| Symptom {
                last: last(s),
                ..(*s).clone()
            })
            .collect();
        let groups: Vec<Vec<usize>> = if symptoms.is_empty() {
            Vec::new()
        } else {
            vec![(0..symptoms.len()).collect()]
        };
        self.0
            .update("prod", &symptoms, &groups, now)
            .keys
            .first()
            .copied()
            .flatten()
    }

    fn act(&mut self, minute: i64, key: u64, kind: ActKind) -> bool {
        let act = Act {
            incident: key,
            kind,
            by: "ann".into(),
            note: None,
        };
        self.0.act(&act, Time(minute * MINUTE))
    }

    fn state(&self, key: u64) -> State {
        self.0.get(key).unwrap().state
    }
}

/// A cluster with one incident that was resolved by hand in minute 3 while `lasting` lasts.
fn resolved_by_hand(lasting: &[&Symptom]) -> (Cluster, u64) {
    let mut cluster = Cluster::default();
    let key = cluster.sees(2, lasting).unwrap();
    assert!(cluster.act(3, key, ActKind::Resolve));
    (cluster, key)
}

#[test]
fn an_incident_resolves_when_its_symptoms_end_and_reopens_when_they_recur() {
    let mut cluster = Cluster::default();
    let a = symptom("a", MINUTE);
    let key = cluster.sees(2, &[&a]).unwrap();
    cluster.sees(20, &[]);
    assert_eq!(cluster.state(key), State::Resolved);
    assert_eq!(cluster.sees(40, &[&a]), Some(key));
    assert_eq!(cluster.state(key), State::Reopened);
    cluster.sees(41, &[]);
    let late = symptom("a", 90 * MINUTE);
    assert_ne!(
        cluster.sees(90, &[&late]),
        Some(key),
        "more than 30 minutes later"
    );
}

#[test]
fn resolving_by_hand_holds_while_the_symptoms_last() {
    let a = symptom("a", MINUTE);
    let (mut cluster, key) = resolved_by_hand(&[&a]);
    for minute in [4, 60, 3 * 24 * 60] {
        assert_eq!(cluster.sees(minute, &[&a]), Some(key), "no second incident");
        assert_eq!(cluster.state(key), State::Resolved, "minute {minute}");
    }
    let moved = Symptom {
        kind: SymptomKind::State,
        ..symptom("a", 50 * MINUTE)
    };
    cluster.sees(3 * 24 * 60 + 1, &[&moved]);
    assert_eq!(
        cluster.state(key),
        State::Resolved,
        "a restart moves the onset of a state"
    );
    assert_eq!(cluster.0.get(key).unwrap().transitions.len(), 2);
}

#[test]
fn new_evidence_of_a_lasting_symptom_reopens_what_was_resolved_by_hand() {
    for kind in [SymptomKind::Event, SymptomKind::Log] {
        let seen = |minute: i64| Symptom {
            kind,
            last: Time(minute * MINUTE),
            ..symptom("a", MINUTE)
        };
        let (mut cluster, key) = resolved_by_hand(&[&seen(2)]);
        cluster.sees(4, &[&seen(2)]);
        assert_eq!(cluster.state(key), State::Resolved, "the same evidence");
        cluster.sees(5, &[&seen(3)]);
        assert_eq!(cluster.state(key), State::Resolved, "as old as the resolve");
        assert_eq!(cluster.sees(6, &[&seen(5)]), Some(key));
        assert_eq!(cluster.state(key), State::Reopened, "a new {kind:?}");
    }
}

#[test]
fn a_symptom_that_ended_after_the_manual_resolve_and_recurs_reopens_the_incident() {
    let a = symptom("a", MINUTE);
    let (mut cluster, key) = resolved_by_hand(&[&a]);
    cluster.sees(100, &[&a]);
    cluster.sees(101, &[]);
    assert_eq!(
        cluster.sees(120, &[&a]),
        Some(key),
        "20 minutes after it ended"
    );
    assert_eq!(cluster.state(key), State::Reopened);
}

#[test]
fn an_alert_that_fires_again_after_the_manual_resolve_reopens_the_incident() {
    let alert = |onset| Symptom {
        kind: SymptomKind::Alert,
        ..symptom("a", onset)
    };
    let (mut cluster, key) = resolved_by_hand(&[&alert(MINUTE)]);
    cluster.sees(4, &[&alert(MINUTE)]);
    assert_eq!(cluster.state(key), State::Resolved);
    cluster.sees(5, &[&alert(4 * MINUTE)]);
    assert_eq!(cluster.state(key), State::Reopened);
}

#[test]
fn a_new_symptom_reopens_what_was_resolved_by_hand_and_an_older_one_found_later_does_not() {
    let (a, older, newer) = (
        symptom("a", MINUTE),
        symptom("b", 2 * MINUTE),
        symptom("c", 4 * MINUTE),
    );
    let (mut cluster, key) = resolved_by_hand(&[&a]);
    cluster.sees(4, &[&a, &older]);
    assert_eq!(cluster.state(key), State::Resolved);
    cluster.sees(5, &[&a, &older, &newer]);
    assert_eq!(cluster.state(key), State::Reopened);
    assert_eq!(cluster.0.get(key).unwrap().members.len(), 3);
}

#[test]
fn a_manual_resolve_survives_saving_and_restoring() {
    let a = symptom("a", MINUTE);
    let (cluster, key) = resolved_by_hand(&[&a]);
    let saved = serde_json::to_string(&cluster.0).unwrap();
    let mut restored = Cluster(serde_json::from_str(&saved).unwrap());
    assert_eq!(restored.0, cluster.0);
    restored.sees(4, &[&a]);
    assert_eq!(restored.state(key), State::Resolved);
}

#[test]
fn a_manual_resolve_that_an_earlier_version_saved_holds_while_the_symptom_lasts() {
    let a = symptom("a", MINUTE);
    let (cluster, key) = resolved_by_hand(&[&a]);
    let mut saved = serde_json::to_value(&cluster.0).unwrap();
    let incident = &mut saved["incidents"][key.to_string()];
    incident["members"][&a.key]["over"] = incident["ended"].clone();
    let mut restored = Cluster(serde_json::from_value(saved).unwrap());
    assert_eq!(restored.0, cluster.0);
    restored.sees(4, &[&a]);
    assert_eq!(restored.state(key), State::Resolved);
    restored.sees(5, &[]);
    restored.sees(6, &[&a]);
    assert_eq!(
        restored.state(key),
        State::Reopened,
        "it ended and recurred"
    );
}

#[test]
fn symptoms_that_the_engine_ended_stay_ended_after_restoring() {
    let mut cluster = Cluster::default();
    cluster.sees(2, &[&symptom("a", MINUTE)]);
    cluster.sees(3, &[]);
    let saved = serde_json::to_string(&cluster.0).unwrap();
    assert_eq!(serde_json::from_str::<Registry>(&saved).unwrap(), cluster.0);
}

#[test]
fn a_group_that_spans_two_incidents_merges_the_younger_into_the_older() {
    let mut registry = Registry::default();
    let both = [symptom("a", MINUTE), symptom("b", 2 * MINUTE)];
    let apart = registry.update("prod", &both, &[vec![0], vec![1]], Time(3 * MINUTE));
    let joined = registry.update("prod", &both, &[vec![0, 1]], Time(4 * MINUTE));
    let [Some(older), Some(younger)] = apart.keys[..] else {
        panic!("two incidents: {apart:?}")
    };
    assert_eq!(joined.keys, [Some(older)]);
    assert_eq!(registry.get(younger).unwrap().merged_into, Some(older));
}

#[test]
fn people_acknowledge_and_resolve() {
    let mut cluster = Cluster::default();
    let key = cluster.sees(2, &[&symptom("a", MINUTE)]).unwrap();
    assert!(cluster.act(3, key, ActKind::Acknowledge));
    assert!(
        !cluster.act(3, key, ActKind::Acknowledge),
        "acknowledging twice changes nothing"
    );
    assert!(cluster.act(4, key, ActKind::Resolve));
    assert_eq!(cluster.0.get(key).unwrap().transitions.len(), 3);
}

#[test]
fn active_symptoms_are_found_by_component() {
    let mut cluster = Cluster::default();
    cluster.sees(2, &[&symptom("a", MINUTE)]);
    assert_eq!(cluster.0.active_symptoms("shop/app/a").count(), 1);
    assert_eq!(cluster.0.active_symptoms("other/app/a").count(), 0);
    cluster.sees(3, &[]);
    assert_eq!(cluster.0.active_symptoms("shop/app/a").count(), 0);
}

#[test]
fn live_incidents_are_bounded_and_those_that_end_leave_room() {
    let mut registry = Registry::default();
    let symptoms: Vec<Symptom> = (0..MAX_LIVE + 10)
        .map(|i| symptom(&format!("s{i:05}"), MINUTE))
        .collect();
    let groups: Vec<Vec<usize>> = (0..symptoms.len()).map(|i| vec![i]).collect();
    for minute in 2..4 {
        let update = registry.update("prod", &symptoms, &groups, Time(minute * MINUTE));
        assert_eq!(update.keys.len(), groups.len());
        assert_eq!(update.keys.iter().filter(|key| key.is_none()).count(), 10);
        assert_eq!(registry.iter().count(), MAX_LIVE);
    }
    let later = &symptoms[20..];
    let update = registry.update("prod", later, &groups[..later.len()], Time(4 * MINUTE));
    assert_eq!(update.keys.iter().filter(|key| key.is_none()).count(), 10);
    let update = registry.update("prod", later, &groups[..later.len()], Time(5 * MINUTE));
    assert!(update.keys.iter().all(Option::is_some), "others ended");
}
