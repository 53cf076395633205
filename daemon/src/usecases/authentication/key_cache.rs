//! Recently used keys. Those that exist are apart from those that do not: whatever strangers send,
//! it costs no tenant its place here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kgrca_core::model::Time;
use kgrca_core::tenancy::{Network, Scope, TenantState};

use crate::clock::{instant, since};
use crate::usecases::actor::{Identity, Reach};

/// How long a key is used without asking the store again: the bound on how late a revocation takes
/// effect.
const CACHE_TTL: Duration = Duration::from_secs(2);
/// How many keys are cached at most, and how many hashes that no key has.
const MAX_CACHED: usize = 10_000;
const MAX_UNKNOWN: usize = 10_000;
/// How long a key that was used counts as familiar.
const FAMILIAR: Duration = Duration::from_hours(1);

/// What a key stands for.
#[derive(Debug)]
pub(super) struct Credentials {
    pub identity: Identity,
    /// `None` for a tenant whose plan is not in plans.yaml.
    pub reach: Option<Reach>,
    pub scopes: Vec<Scope>,
    /// The tenant's state; `None` for the operator's keys.
    pub tenant_state: Option<TenantState>,
    /// Where it can be used from; empty for everywhere.
    pub networks: Vec<Network>,
    /// The only cluster that it can send for.
    pub cluster: Option<String>,
    /// SHA-256 of the client certificate that it can be used with.
    pub certificate: Option<String>,
    /// When it expires: a cached key must not work for longer.
    pub expires_at: Option<Time>,
}

/// What is known of the hash of a key.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// No key has it.
    Nothing,
    /// It was revoked, or has expired.
    Ended(Arc<EndedKey>),
    /// It works.
    Working(Arc<Credentials>),
}

/// A key that does not work any more.
#[derive(Debug)]
pub(super) struct EndedKey {
    pub key_id: String,
    pub client_id: Option<String>,
    /// The key that a rotation put in its place.
    pub replaced_by: Option<String>,
}

/// Recently used keys, by the hash of the key.
#[derive(Debug, Default)]
pub struct KeyCache(Mutex<Cache>);

#[derive(Debug, Default)]
struct Cache {
    existing: HashMap<String, Entry>,
    /// Hashes that no key has, and when that was read.
    unknown: HashMap<String, (Instant, Edition)>,
    edition: Edition,
}

/// Counts the changes of keys and tenants by this daemon: what was read before one is not used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edition(u64);

#[derive(Debug)]
struct Entry {
    read_at: Instant,
    edition: Edition,
    known: Known,
}

impl KeyCache {
    /// `None` when the store must be asked.
    pub(super) fn get(&self, hash: &str) -> Option<Known> {
        let cache = self.cache();
        let is_fresh = |at: Instant, edition| edition == cache.edition && since(at) < CACHE_TTL;
        if let Some(entry) = cache.existing.get(hash) {
            return is_fresh(entry.read_at, entry.edition).then(|| entry.known.clone());
        }
        let (read_at, edition) = cache.unknown.get(hash)?;
        is_fresh(*read_at, *edition).then_some(Known::Nothing)
    }

    /// Whether a key with this hash was used lately, so that asking for it is no guess.
    pub(super) fn is_familiar(&self, hash: &str) -> bool {
        let cache = self.cache();
        let entry = cache.existing.get(hash);
        entry.is_some_and(|entry| since(entry.read_at) < FAMILIAR)
    }

    /// For [`KeyCache::put`], before the store is asked.
    pub(super) fn edition(&self) -> Edition {
        self.cache().edition
    }

    pub(super) fn put(&self, hash: String, known: Known, edition: Edition) {
        let mut cache = self.cache();
        if matches!(known, Known::Nothing) {
            cache.existing.remove(&hash);
            if cache.unknown.len() >= MAX_UNKNOWN {
                cache.unknown.clear();
            }
            cache.unknown.insert(hash, (instant(), edition));
            return;
        }
        cache.unknown.remove(&hash);
        if cache.existing.len() >= MAX_CACHED && !cache.existing.contains_key(&hash) {
            cache
                .existing
                .retain(|_, entry| since(entry.read_at) < CACHE_TTL);
            if cache.existing.len() >= MAX_CACHED {
                cache.existing.clear();
            }
        }
        let entry = Entry {
            read_at: instant(),
            edition,
            known,
        };
        cache.existing.insert(hash, entry);
    }

    /// Uses no entry any more, after keys or tenants were changed by this daemon.
    pub fn clear(&self) {
        self.cache().edition.0 += 1;
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended() -> Known {
        Known::Ended(Arc::new(EndedKey {
            key_id: "key-1".into(),
            client_id: None,
            replaced_by: None,
        }))
    }

    #[test]
    fn keys_that_do_not_exist_cost_others_nothing() {
        let cache = KeyCache::default();
        cache.put("used".into(), ended(), cache.edition());
        for n in 0..3 * MAX_UNKNOWN {
            cache.put(format!("guess {n}"), Known::Nothing, cache.edition());
        }
        assert!(matches!(cache.get("used"), Some(Known::Ended(_))));
        let last = format!("guess {}", 3 * MAX_UNKNOWN - 1);
        assert!(matches!(cache.get(&last), Some(Known::Nothing)));
        assert!(!cache.is_familiar(&last));
        assert!(cache.cache().unknown.len() <= MAX_UNKNOWN);
    }

    #[test]
    fn many_keys_that_exist_are_bounded() {
        let cache = KeyCache::default();
        for n in 0..=MAX_CACHED {
            cache.put(format!("{n}"), ended(), cache.edition());
        }
        assert!(cache.cache().existing.len() <= MAX_CACHED);
    }

    #[test]
    fn nothing_that_was_read_before_a_change_is_used() {
        let cache = KeyCache::default();
        let before = cache.edition();
        cache.put("old".into(), ended(), before);
        cache.put("guess".into(), Known::Nothing, before);
        cache.clear();
        assert!(cache.get("old").is_none() && cache.get("guess").is_none());
        assert!(cache.is_familiar("old"), "it was used, whatever it is now");
        cache.put("late".into(), ended(), before);
        assert!(
            cache.get("late").is_none(),
            "the answer is older than the change"
        );
        cache.put("old".into(), Known::Nothing, cache.edition());
        assert!(!cache.is_familiar("old"));
    }
}
