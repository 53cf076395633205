//! When and from where keys were last used: noted in memory, and written at most once a minute per
//! key, outside of the requests.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kgrca_core::storage;
use kgrca_core::tenancy::KeyUse;

use super::app::App;
use crate::clock::{instant, now};

/// How often the use of one key is written.
const EVERY: Duration = Duration::from_mins(1);

/// Uses of keys. There are at most as many as keys are used within a minute.
#[derive(Debug, Default)]
pub struct KeyUses(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Uses that are not written yet, by key.
    waiting: BTreeMap<String, KeyUse>,
    /// When a use was last written.
    written: HashMap<String, Instant>,
}

impl KeyUses {
    /// Notes that a key is used.
    pub(super) fn note(&self, key_id: &str, from: Option<IpAddr>) {
        let mut state = self.state();
        if let Some(known) = state.waiting.get_mut(key_id) {
            (known.at, known.from) = (now(), from);
            return;
        }
        let used = KeyUse {
            key_id: key_id.to_owned(),
            at: now(),
            from,
        };
        state.waiting.insert(key_id.to_owned(), used);
    }

    /// Takes the uses that are due. All are when the daemon stops.
    fn due(&self, at: Instant, is_last: bool) -> Vec<KeyUse> {
        let mut state = self.state();
        let State { waiting, written } = &mut *state;
        written.retain(|_, last| at.saturating_duration_since(*last) < EVERY);
        let (due, early): (BTreeMap<_, _>, _) = std::mem::take(waiting)
            .into_iter()
            .partition(|(key_id, _)| is_last || !written.contains_key(key_id));
        *waiting = early;
        let due: Vec<KeyUse> = due.into_values().collect();
        written.extend(due.iter().map(|used| (used.key_id.clone(), at)));
        due
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the uses of keys that are due; all of them for the last time. What cannot be written is
/// lost: the next use of the key follows.
///
/// # Errors
/// When the store does not answer.
pub async fn flush(app: &App, is_last: bool) -> storage::Result<()> {
    let due = app.key_uses.due(instant(), is_last);
    if due.is_empty() {
        return Ok(());
    }
    app.stores.meta.keys_used(&due).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_once_a_minute_with_its_last_use() {
        let uses = KeyUses::default();
        let start = Instant::now();
        let from = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
        uses.note("key_1", from(1));
        uses.note("key_1", from(2));
        let due = uses.due(start, false);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].from, from(2));
        uses.note("key_1", from(3));
        uses.note("key_2", None);
        let due = uses.due(start + EVERY / 2, false);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].key_id, "key_2");
        let due = uses.due(start + EVERY, false);
        assert_eq!(due[0].from, from(3));
        assert!(uses.due(start + EVERY * 9, false).is_empty());
        assert!(
            uses.state().written.is_empty(),
            "nothing is kept for idle keys"
        );
        uses.note("key_1", None);
        uses.due(start + EVERY * 9, false);
        uses.note("key_1", None);
        assert_eq!(uses.due(start + EVERY * 9, true).len(), 1);
    }
}
