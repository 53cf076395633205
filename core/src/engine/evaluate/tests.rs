use std::cell::Cell;

use super::*;
use crate::detect::Pace;
use crate::engine::ClusterState;
use crate::model::Topic;
use crate::parse::{Context, parse};

/// Applies the record of an object.
fn apply(state: &mut ClusterState, text: &str) {
    let context = Context {
        received_at: Time::parse("1970-01-01T00:10:00Z").unwrap_or_default(),
        ..Context::default()
    };
    let mut records = Vec::new();
    parse(Topic::Resource, text.as_bytes(), &context, &mut records).unwrap();
    state.apply(records.remove(0));
}

/// A cluster with pods that fail, each in a namespace of its own.
fn cluster(pods: usize) -> ClusterState {
    let mut state = ClusterState::new("prod");
    for i in 0..pods {
        let text = format!(
            r#"{{"at":"1970-01-01T00:10:00Z","cluster":"prod","kind":"Pod","namespace":"n{i}",
            "name":"p","uid":"u{i}","created":"1970-01-01T00:00:00Z","status":{{"phase":"Running",
            "containerStatuses":[{{"name":"c","ready":false,"restartCount":9,"state":{{"waiting":
            {{"reason":"CrashLoopBackOff"}}}}}}]}}}}"#
        );
        apply(&mut state, &text);
    }
    state
}

fn evaluate(state: &mut ClusterState, pace: &dyn Fn(Phase) -> Pace) -> Option<Evaluation> {
    let (weights, catalogue) = (Weights::shipped(), Catalogue::shipped());
    let now = state.watermark;
    state.evaluate_within(Watch::new(pace), now, &weights, &catalogue)
}

fn causes(state: &ClusterState, evaluation: &Evaluation) -> BTreeMap<u64, String> {
    let ranked = evaluation.ranked.iter();
    assert_eq!(ranked.len(), state.incidents.iter().count());
    ranked.map(|r| (r.key, format!("{:?}", r.causal))).collect()
}

#[test]
fn an_evaluation_in_pieces_finds_what_one_without_limits_finds() {
    let mut at_once = cluster(20);
    let expected = evaluate(&mut at_once, &|_| Pace::Continue).unwrap();
    assert!(!expected.is_partial);
    let expected = causes(&at_once, &expected);
    assert_eq!(expected.len(), 20);
    let mut state = cluster(20);
    for round in 0..1000 {
        let left = Cell::new(1 + round * 10);
        let evaluation = evaluate(&mut state, &|_| {
            left.set(left.get() - 1);
            if left.get() < 0 {
                Pace::EndPhase
            } else {
                Pace::Continue
            }
        });
        let evaluation = evaluation.unwrap();
        if evaluation.is_partial {
            assert!(!evaluation.shows_health);
            assert!(!evaluation.missing_evidence.is_empty());
            continue;
        }
        assert!(round > 3, "the limit never had an effect");
        assert_eq!(causes(&state, &evaluation), expected);
        return;
    }
    panic!("it never ended");
}

#[test]
fn an_evaluation_that_was_called_off_changes_no_incident_and_loses_nothing() {
    let mut at_once = cluster(5);
    let expected = evaluate(&mut at_once, &|_| Pace::Continue).unwrap();
    let expected = causes(&at_once, &expected);
    // Before how many questions it is called off.
    for after in 0..200 {
        let mut state = cluster(5);
        let asked = Cell::new(0);
        let pace = |_| {
            asked.set(asked.get() + 1);
            if asked.get() > after {
                Pace::Abort
            } else {
                Pace::Continue
            }
        };
        if evaluate(&mut state, &pace).is_none() {
            assert_eq!(state.incidents.iter().count(), 0, "after {after}");
        }
        // One that is called off while it ranks leaves the rest to the next.
        let evaluation = evaluate(&mut state, &|_| Pace::Continue).unwrap();
        assert_eq!(causes(&state, &evaluation), expected, "after {after}");
    }
}

/// A pod that fails and takes a key of a Secret, and what else is known of its cluster.
fn needs_a_key(others: &[&str]) -> Evaluation {
    let mut state = ClusterState::new("prod");
    for record in others {
        apply(&mut state, record);
    }
    let pod = r#"{"at":"1970-01-01T00:10:00Z","cluster":"prod","kind":"Pod","namespace":"shop",
        "name":"web","uid":"u","created":"1970-01-01T00:00:00Z",
        "spec":{"containers":[{"name":"c","env":[{"name":"TOKEN","valueFrom":{"secretKeyRef":
        {"name":"tokens","key":"web"}}}]}]},
        "status":{"phase":"Running","containerStatuses":[{"name":"c","ready":false,
        "restartCount":0,"state":{"waiting":{"reason":"CreateContainerConfigError"}}}]}}"#;
    apply(&mut state, pod);
    evaluate(&mut state, &|_| Pace::Continue).unwrap()
}

#[test]
fn without_the_right_to_list_secrets_an_answer_says_so() {
    let is_missing = |others: &[&str]| {
        let evaluation = needs_a_key(others);
        assert!(!evaluation.ranked.is_empty());
        let missing = evaluation.missing_evidence;
        let found = missing.iter().any(|m| m.what == "state of Secrets");
        let key = evaluation.ranked.iter().any(|r| {
            let mut causes = r.causal.iter();
            causes.any(|cause| cause.fault_type == "config.key_missing")
        });
        (found, key)
    };
    let config = r#"{"at":"1970-01-01T00:09:00Z","cluster":"prod","kind":"ConfigMap",
        "namespace":"shop","name":"web","uid":"c","data":{"a":"b"}}"#;
    let of = |namespace: &str, key: &str| {
        format!(
            r#"{{"at":"1970-01-01T00:09:00Z","cluster":"prod","kind":"Secret",
            "namespace":"{namespace}","name":"tokens","uid":"s","data":{{"{key}":"x"}}}}"#
        )
    };
    assert_eq!(is_missing(&[config]), (true, false), "--no-secrets");
    assert!(!is_missing(&[&of("shop", "web")]).0, "it is there");
    let (says_so, is_found) = is_missing(&[&of("shop", "other")]);
    assert!(
        !says_so && is_found,
        "the key is missing, and that is known"
    );
}
