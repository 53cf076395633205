//! The agent's health, as sources and shippers report it; sent with each heartbeat.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kgrca_core::api::WatchedKind;
use kgrca_core::model::Time;

/// Collects the health of sources and shippers.
#[derive(Debug, Default)]
pub struct Health {
    kinds: Mutex<BTreeMap<&'static str, WatchedKind>>,
    /// Reason why records of a topic wait, by topic.
    shipping: Mutex<BTreeMap<&'static str, String>>,
    refused: Mutex<BTreeMap<String, u64>>,
    losses: Mutex<Losses>,
}

#[derive(Debug, Default)]
struct Losses {
    records: u64,
    grew_at: Option<Time>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Health {
    /// A source is read without trouble.
    pub fn watch_ok(&self, kind: &'static str, objects: usize) {
        lock(&self.kinds).insert(
            kind,
            WatchedKind {
                kind: kind.to_owned(),
                objects: objects as u64,
                trouble: None,
            },
        );
    }

    /// A source cannot be read; the number of its objects stays as it was.
    pub fn watch_failed(&self, kind: &'static str, reason: &str) {
        let mut kinds = lock(&self.kinds);
        let watched = kinds.entry(kind).or_insert_with(|| WatchedKind {
            kind: kind.to_owned(),
            objects: 0,
            trouble: None,
        });
        watched.trouble = Some(reason.to_owned());
    }

    /// All sources.
    pub fn kinds(&self) -> Vec<WatchedKind> {
        lock(&self.kinds).values().cloned().collect()
    }

    /// Records of a topic are accepted. Returns whether they were not before.
    pub fn shipping_ok(&self, topic: &'static str) -> bool {
        lock(&self.shipping).remove(topic).is_some()
    }

    /// Records of a topic are not accepted. Returns the previous reason, if any.
    pub fn shipping_failed(&self, topic: &'static str, reason: String) -> Option<String> {
        lock(&self.shipping).insert(topic, reason)
    }

    /// A reason why records wait, if any do.
    pub fn shipping_trouble(&self) -> Option<String> {
        lock(&self.shipping).values().next().cloned()
    }

    /// The server accepted a block but refused one of its records.
    pub fn record_refused(&self, reason: &str) {
        *lock(&self.refused).entry(reason.to_owned()).or_default() += 1;
    }

    /// Records that the server refused, by reason.
    pub fn refused(&self) -> BTreeMap<String, u64> {
        lock(&self.refused).clone()
    }

    /// Notes the total number of lost records. Returns when it last grew.
    pub fn note_losses(&self, records: u64, now: Time) -> Option<Time> {
        let mut losses = lock(&self.losses);
        if records > losses.records {
            *losses = Losses {
                records,
                grew_at: Some(now),
            };
        }
        losses.grew_at
    }
}
