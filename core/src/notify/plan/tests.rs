use proptest::prelude::*;

use super::*;
use crate::model::Severity;
use crate::notify::{Matcher, Route};

fn notice(state: State) -> Notice {
    Notice {
        incident_id: "inc-1".into(),
        state,
        at: Time(10),
        by: "engine".into(),
        note: None,
        severity: Severity::Error,
        started_at: Time(5),
        cluster: "prod".into(),
        namespace: Some("shop".into()),
        component: Some("app/cart".into()),
        fault_type: Some("runtime.oom_killed".into()),
        confidence: Some(0.9),
        cause: Some("Container `cart` was killed".into()),
        evidence: 2,
        change: None,
        fix: None,
        url: None,
    }
}

fn config(routes: &[(&str, Matcher, bool)]) -> Config {
    let mut yaml = "receivers:\n".to_owned();
    for name in ["a", "b", "c"] {
        yaml += &format!("  - name: {name}\n    slack: {{url: https://hooks.example.com/x}}\n");
    }
    let mut config = Config::parse(&(yaml + "routes: []\n")).unwrap();
    config.routes = routes
        .iter()
        .map(|(receiver, matcher, continues)| Route {
            receiver: (*receiver).to_owned(),
            matcher: matcher.clone(),
            continues: *continues,
        })
        .collect();
    config
}

fn silence(matcher: Matcher) -> Silence {
    Silence {
        silence_id: "sil_1".into(),
        matcher,
        reason: "maintenance".into(),
        by: "jane".into(),
        created_at: Time(0),
        ends_at: Time(20),
    }
}

fn of_namespace(name: &str) -> Matcher {
    Matcher {
        namespace: Some(name.into()),
        ..Matcher::default()
    }
}

fn sent(planned: &[Planned]) -> Vec<&str> {
    let sent = planned.iter().filter(|p| p.what == What::Send);
    sent.map(|p| p.receiver.as_str()).collect()
}

#[test]
fn the_first_route_counts_and_more_where_it_continues() {
    let all = Matcher::default;
    let routes = config(&[
        ("a", of_namespace("other"), false),
        ("b", of_namespace("sh*"), true),
        ("b", all(), true),
        ("c", all(), false),
        ("a", all(), false),
    ]);
    let planned = plan(&routes, &[], &notice(State::Open), &Told::new(), Time(10));
    assert_eq!(sent(&planned), ["b", "c"]);
    let none = config(&[("a", of_namespace("other"), false)]);
    let planned = plan(&none, &[], &notice(State::Open), &Told::new(), Time(10));
    assert_eq!(planned[0].what, What::Muted(Reason::NoRoute));
}

#[test]
fn an_end_is_for_those_who_heard_of_the_beginning() {
    let routes = config(&[
        ("a", Matcher::default(), true),
        ("b", Matcher::default(), true),
    ]);
    let told = Told::from(["b".to_owned(), "c".to_owned(), "removed".to_owned()]);
    let silences = [silence(Matcher::default())];
    let planned = plan(
        &routes,
        &silences,
        &notice(State::Resolved),
        &told,
        Time(10),
    );
    assert_eq!(sent(&planned), ["b", "c"]);
    assert_eq!(planned[0].what, What::Muted(Reason::NotTold));
    let planned = plan(
        &routes,
        &silences,
        &notice(State::Reopened),
        &told,
        Time(10),
    );
    assert!(sent(&planned).is_empty(), "{planned:?}");
    let planned = plan(
        &routes,
        &silences,
        &notice(State::Reopened),
        &told,
        Time(20),
    );
    assert_eq!(sent(&planned), ["a", "b", "c"], "the silence has ended");
}

fn matchers() -> impl Strategy<Value = Matcher> {
    let name = prop::option::of(prop::sample::select(vec!["shop", "sh*", "*", "other"]));
    let states = prop::sample::subsequence(
        vec![
            State::Open,
            State::Acknowledged,
            State::Resolved,
            State::Reopened,
        ],
        0..3,
    );
    (name, states, prop::option::of(0.0..=1.0_f64)).prop_map(|(name, states, confidence)| Matcher {
        namespace: name.map(str::to_owned),
        states,
        confidence,
        ..Matcher::default()
    })
}

proptest! {
    /// Whatever routes, silences and changes: each receiver that a change concerns has exactly one
    /// row, each row is sent or has its reason, and an end follows each beginning.
    #[test]
    fn each_change_is_sent_or_muted_with_a_reason(
        routes in prop::collection::vec(
            (prop::sample::select(vec!["a", "b", "c"]), matchers(), any::<bool>()), 0..5),
        silences in prop::collection::vec(matchers(), 0..3),
        states in prop::collection::vec(prop::sample::select(
            vec![State::Open, State::Acknowledged, State::Resolved, State::Reopened]), 1..8),
        now in 0..30_i64,
    ) {
        let config = config(&routes);
        let silences: Vec<Silence> = silences.into_iter().map(silence).collect();
        let mut told = Told::new();
        for state in states {
            let planned = plan(&config, &silences, &notice(state), &told, Time(now));
            prop_assert!(!planned.is_empty());
            let names: Told = planned.iter().map(|p| p.receiver.clone()).collect();
            prop_assert_eq!(names.len(), planned.len(), "a receiver has one row");
            for row in &planned {
                let covered = silences.iter().any(|s| s.covers(&notice(state), Time(now)));
                match &row.what {
                    What::Send => prop_assert!(state == State::Resolved || !covered),
                    What::Muted(Reason::Silenced { .. }) => prop_assert!(covered),
                    What::Muted(Reason::NotTold) => prop_assert!(state == State::Resolved),
                    What::Muted(Reason::NoRoute) => prop_assert!(row.receiver.is_empty()),
                }
            }
            if state == State::Resolved {
                let sent: Told = sent(&planned).into_iter().map(str::to_owned).collect();
                prop_assert_eq!(&sent, &told, "an end follows each beginning");
            }
            told.extend(sent(&planned).into_iter().map(str::to_owned));
        }
    }
}
