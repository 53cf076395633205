//! How the agent fares: told with each heartbeat.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kgrca_core::api::WatchedKind;
use kgrca_core::model::Time;

/// What sources and shippers say of themselves.
#[derive(Debug, Default)]
pub struct Health {
    kinds: Mutex<BTreeMap<&'static str, WatchedKind>>,
    shipping: Mutex<BTreeMap<&'static str, String>>,
    refused: Mutex<BTreeMap<String, u64>>,
    /// How much was lost when somebody looked last, and when that had grown.
    lost: Mutex<(u64, Option<Time>)>,
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Health {
    /// A kind is looked at, and so many objects of it are there.
    pub fn watches(&self, kind: &'static str, objects: usize) {
        open(&self.kinds).insert(
            kind,
            WatchedKind {
                kind: kind.to_owned(),
                objects: objects as u64,
                trouble: None,
            },
        );
    }

    /// A kind cannot be looked at.
    pub fn cannot_watch(&self, kind: &'static str, trouble: &str) {
        let mut kinds = open(&self.kinds);
        let known = kinds.entry(kind).or_insert_with(|| WatchedKind {
            kind: kind.to_owned(),
            objects: 0,
            trouble: None,
        });
        known.trouble = Some(trouble.to_owned());
    }

    /// How each kind is.
    pub fn kinds(&self) -> Vec<WatchedKind> {
        open(&self.kinds).values().cloned().collect()
    }

    /// What is sent of a topic is taken; or somebody says, or does not say, why not. Returns
    /// whether that was in trouble before.
    pub fn ships(&self, topic: &'static str, trouble: Option<String>) -> bool {
        let mut all = open(&self.shipping);
        let before = match trouble {
            Some(trouble) => all.insert(topic, trouble),
            None => all.remove(topic),
        };
        before.is_some()
    }

    /// Why a topic is not shipped.
    pub fn shipping_of(&self, topic: &str) -> Option<String> {
        open(&self.shipping).get(topic).cloned()
    }

    /// Why something is not shipped.
    pub fn shipping(&self) -> Option<String> {
        open(&self.shipping).values().next().cloned()
    }

    /// The server took a block and refused some of its records.
    pub fn refused(&self, reason: &str) {
        *open(&self.refused).entry(reason.to_owned()).or_default() += 1;
    }

    /// Notes how much was lost by now. Returns when that grew last.
    pub fn lost(&self, amount: u64, now: Time) -> Option<Time> {
        let mut lost = open(&self.lost);
        if amount > lost.0 {
            *lost = (amount, Some(now));
        }
        lost.1
    }

    /// Records that the server refused, by its reason.
    pub fn refusals(&self) -> BTreeMap<String, u64> {
        open(&self.refused).clone()
    }
}
