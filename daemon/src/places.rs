//! Places for work that takes long. Who has none goes before who has one, and who was served
//! longest ago goes first: so a newcomer waits for each of the others once, however much those ask
//! for.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::budget::Exhausted;

/// Of how many keys it is known when they were served.
const REMEMBERED: usize = 4096;

/// How many places there are.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Places in all.
    pub total: usize,
    /// Places that a key has or waits for.
    pub per_key: usize,
    /// How many of all are only for keys that have none.
    pub kept: usize,
}

/// Whose places they are.
pub trait Key: Hash + Eq + Clone {}

impl<K: Hash + Eq + Clone> Key for K {}

/// The places and who waits for them.
#[derive(Clone, Debug)]
pub struct Places<K: Key>(Arc<Inner<K>>);

#[derive(Debug)]
struct Inner<K: Key> {
    limits: Limits,
    state: Mutex<State<K>>,
    /// How many more places are wanted by keys that have none than give way already.
    wanted: watch::Sender<usize>,
}

#[derive(Debug)]
struct State<K: Key> {
    held: HashMap<K, usize>,
    in_use: usize,
    waiting: Vec<Waiting<K>>,
    /// Places that give way.
    giving_way: usize,
    /// When each key was last served, as a number that grows.
    served: HashMap<K, u64>,
    services: u64,
}

#[derive(Debug)]
struct Waiting<K: Key> {
    key: K,
    place: oneshot::Sender<Place<K>>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place<K: Key> {
    inner: Arc<Inner<K>>,
    key: K,
    gives_way: AtomicBool,
}

impl<K: Key> Places<K> {
    /// Places within the limits.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner {
            limits,
            state: Mutex::new(State {
                held: HashMap::new(),
                in_use: 0,
                waiting: Vec::new(),
                giving_way: 0,
                served: HashMap::new(),
                services: 0,
            }),
            wanted: watch::Sender::new(0),
        }))
    }

    /// Waits for a place, at most so long.
    ///
    /// # Errors
    /// `Key` at once when the key has or waits for as many as it may; `All` after the wait.
    pub async fn take(&self, key: K, longest: Duration) -> Result<Place<K>, Exhausted> {
        let place = timeout(longest, self.wait(key)).await;
        place.unwrap_or(Err(Exhausted::All))
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// `Key` at once when the key has or waits for as many as it may.
    pub async fn wait(&self, key: K) -> Result<Place<K>, Exhausted> {
        let (sender, receiver) = oneshot::channel();
        let _in_line = InLine(&self.0);
        Inner::change(&self.0, |state, limits| {
            let of_key = state.waiting.iter().filter(|w| w.key == key).count();
            if state.held_by(&key) + of_key >= limits.per_key {
                return Err(Exhausted::Key);
            }
            state.waiting.push(Waiting { key, place: sender });
            Ok(())
        })?;
        // The other end is dropped only after it sent a place.
        receiver.await.map_err(|_| Exhausted::All)
    }
}

impl<K: Key> Place<K> {
    /// Whether this place has to give way: a key without a place waits for one, and no other gives
    /// way to it. Once it has to, it has to until it is dropped.
    pub fn gives_way(&self) -> bool {
        if self.gives_way.load(Ordering::Relaxed) {
            return true;
        }
        if *self.inner.wanted.borrow() == 0 {
            return false;
        }
        Inner::change(&self.inner, |state, _| {
            if state.without() > state.giving_way && !self.gives_way.swap(true, Ordering::Relaxed) {
                state.giving_way += 1;
            }
        });
        self.gives_way.load(Ordering::Relaxed)
    }

    /// Completes when this place has to give way.
    pub async fn wanted(&self) {
        let mut wanted = self.inner.wanted.subscribe();
        while !self.gives_way() {
            // The other end lives as long as the place.
            let _ = wanted.changed().await;
        }
    }
}

impl<K: Key> Drop for Place<K> {
    fn drop(&mut self) {
        let gave_way = usize::from(*self.gives_way.get_mut());
        Inner::change(&self.inner, |state, _| {
            state.in_use -= 1;
            state.giving_way -= gave_way;
            match state.held.get_mut(&self.key) {
                Some(held) if *held > 1 => *held -= 1,
                _ => _ = state.held.remove(&self.key),
            }
        });
    }
}

/// Whoever stops waiting, for whatever reason, leaves the line.
struct InLine<'a, K: Key>(&'a Arc<Inner<K>>);

impl<K: Key> Drop for InLine<'_, K> {
    fn drop(&mut self) {
        Inner::change(self.0, |_, _| ());
    }
}

impl<K: Key> Inner<K> {
    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and gives out what places there are then.
    fn change<T>(inner: &Arc<Self>, change: impl FnOnce(&mut State<K>, Limits) -> T) -> T {
        let mut state = inner.state();
        state.waiting.retain(|waiting| !waiting.place.is_closed());
        let result = change(&mut state, inner.limits);
        state.waiting.retain(|waiting| !waiting.place.is_closed());
        let next: Vec<_> = std::iter::from_fn(|| state.next(inner.limits)).collect();
        let wanted = state.without().saturating_sub(state.giving_way);
        inner
            .wanted
            .send_if_modified(|old| std::mem::replace(old, wanted) != wanted);
        drop(state);
        for Waiting { key, place } in next {
            // Whoever has stopped waiting gives it back at once.
            let _ = place.send(Place {
                gives_way: AtomicBool::new(false),
                inner: Arc::clone(inner),
                key,
            });
        }
        result
    }
}

impl<K: Key> State<K> {
    fn held_by(&self, key: &K) -> usize {
        self.held.get(key).copied().unwrap_or(0)
    }

    /// How many wait that have no place.
    fn without(&self) -> usize {
        let waits = |waiting: &&Waiting<K>| self.held_by(&waiting.key) == 0;
        self.waiting.iter().filter(waits).count()
    }

    /// Whose turn it is, when there is a place.
    fn next(&mut self, limits: Limits) -> Option<Waiting<K>> {
        let free = limits.total - self.in_use;
        let turn = |waiting: &Waiting<K>| {
            let served = self.served.get(&waiting.key).copied();
            (self.held_by(&waiting.key), served.unwrap_or(0))
        };
        let may = |(held, _): &(usize, u64)| free > if *held > 0 { limits.kept } else { 0 };
        let turns = self.waiting.iter().map(turn).enumerate();
        let (at, _) = turns
            .filter(|(_, t)| may(t))
            .min_by_key(|(at, t)| (*t, *at))?;
        let waiting = self.waiting.remove(at);
        self.in_use += 1;
        *self.held.entry(waiting.key.clone()).or_default() += 1;
        self.services += 1;
        self.served.insert(waiting.key.clone(), self.services);
        if self.served.len() > REMEMBERED {
            let recent = self.services - REMEMBERED as u64 / 2;
            self.served.retain(|_, served| *served > recent);
        }
        Some(waiting)
    }
}

#[cfg(test)]
mod tests;
