//! Who is served when, and who waits.

use super::*;

const LONG: Duration = Duration::from_mins(1);
const MOMENT: Duration = Duration::from_millis(1);

fn places(total: usize, per_key: usize, kept: usize) -> Places<&'static str> {
    Places::new(Limits {
        total,
        per_key,
        kept,
    })
}

/// Starts waiting, and returns once it stands in line.
async fn wait(places: &Places<&'static str>, key: &'static str) -> Waiter {
    let before = places.0.state().waiting.len();
    let own = places.clone();
    let waiter = tokio::spawn(async move { own.take(key, LONG).await });
    while places.0.state().waiting.len() == before {
        tokio::task::yield_now().await;
    }
    waiter
}

type Waiter = tokio::task::JoinHandle<Result<Place<&'static str>, Exhausted>>;

#[tokio::test]
async fn a_newcomer_goes_before_those_who_were_served() {
    let places = places(1, 2, 0);
    let first = places.take("a", MOMENT).await.unwrap();
    let again = wait(&places, "a").await;
    let newcomer = wait(&places, "b").await;
    assert!(first.gives_way());
    drop(first);
    let second = newcomer.await.unwrap().unwrap();
    assert!(second.gives_way(), "the first has none now");
    drop(second);
    let third = again.await.unwrap().unwrap();
    assert!(!third.gives_way());
}

#[tokio::test]
async fn second_places_leave_some_for_those_without() {
    let places = places(4, 2, 2);
    let mut held = Vec::new();
    for key in ["a", "a", "b", "b", "c", "d"] {
        held.extend(places.take(key, MOMENT).await);
    }
    let keys: Vec<_> = held.iter().map(|place| place.key).collect();
    assert_eq!(keys, ["a", "a", "b", "c"]);
    assert!(
        held.iter().all(|place| !place.gives_way()),
        "none waits now"
    );
    let waiting = wait(&places, "d").await;
    held[0].wanted().await;
    held.pop();
    assert_eq!(waiting.await.unwrap().unwrap().key, "d");
}

#[tokio::test]
async fn a_key_waits_for_no_more_than_it_may_have() {
    let places = places(1, 2, 0);
    let held = places.take("a", MOMENT).await.unwrap();
    let waiting = wait(&places, "a").await;
    let third = places.take("a", LONG).await;
    assert_eq!(third.unwrap_err(), Exhausted::Key);
    assert!(!held.gives_way(), "who has one is not without");
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert!(places.0.state().waiting.is_empty());
    drop(held);
    let state = places.0.state();
    assert_eq!((state.in_use, state.held.len()), (0, 0));
}

#[tokio::test]
async fn many_attackers_delay_a_newcomer_by_one_place_each() {
    let places = places(1, 2, 0);
    let keys = ["a", "b", "c", "d", "e"];
    let mut held = places.take("a", MOMENT).await.unwrap();
    let mut waiting = Vec::new();
    for key in &keys[1..] {
        waiting.push(wait(&places, key).await);
    }
    let mut newcomer = wait(&places, "newcomer").await;
    for turn in 0.. {
        // Whoever is served asks again at once.
        let key = held.key;
        waiting.push(wait(&places, key).await);
        drop(held);
        held = tokio::select! {
            place = &mut newcomer => {
                assert_eq!(place.unwrap().unwrap().key, "newcomer");
                assert_eq!(turn, 4);
                return;
            }
            place = waiting.remove(0) => place.unwrap().unwrap(),
        };
    }
}

#[tokio::test]
async fn one_newcomer_makes_one_place_give_way() {
    let places = places(3, 1, 0);
    let mut held = Vec::new();
    for key in ["a", "b", "c"] {
        held.push(places.take(key, MOMENT).await.unwrap());
    }
    let newcomer = wait(&places, "d").await;
    let giving_way = |held: &[Place<&str>]| held.iter().filter(|p| p.gives_way()).count();
    assert_eq!(giving_way(&held), 1);
    assert_eq!(giving_way(&held), 1, "however often they ask");
    let second = wait(&places, "e").await;
    assert_eq!(giving_way(&held), 2);
    held.retain(|place| !place.gives_way());
    assert_eq!(held.len(), 1, "the third continues");
    for waiter in [newcomer, second] {
        held.push(waiter.await.unwrap().unwrap());
    }
    assert_eq!(giving_way(&held), 0);
    let state = places.0.state();
    assert_eq!((state.giving_way, state.in_use), (0, 3));
}
