//! All incidents of a cluster: which symptoms belong to which, and what opens, resolves, reopens
//! and merges them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::life::{ENGINE, Incident, MAX_MEMBERS, Member, State};
use super::{Symptom, SymptomKind};
use crate::model::Time;
use crate::model::record::{Act, ActKind};
use crate::model::time::MINUTE;

/// How long after its end the same symptom reopens an incident, in microseconds.
const REOPEN_WITHIN: i64 = 30 * MINUTE;
/// How long resolved incidents are kept, in microseconds.
const RETENTION: i64 = 24 * 60 * MINUTE;

/// How many resolved incidents of a cluster are kept. Beyond that, those that were resolved first
/// are dropped earlier: all are saved with each commit.
const MAX_RESOLVED: usize = 1000;

/// How many incidents of a cluster can be live. Groups of symptoms beyond that open none until
/// others end.
const MAX_LIVE: usize = 1000;

/// The incidents of a cluster that are live or were resolved within the last day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Saved")]
pub struct Registry {
    incidents: BTreeMap<u64, Incident>,
}

/// A registry as this or an earlier version saved it.
#[derive(Deserialize)]
struct Saved {
    incidents: BTreeMap<u64, Incident>,
}

impl From<Saved> for Registry {
    fn from(saved: Saved) -> Self {
        let Saved { mut incidents } = saved;
        for incident in incidents.values_mut() {
            incident.keep_symptoms_active();
        }
        Self { incidents }
    }
}

/// What an update did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Key of the incident that each group of symptoms belongs to, in the order of the groups;
    /// `None` where there was no room for a new one.
    pub keys: Vec<Option<u64>>,
    /// Keys of the incidents that changed.
    pub changed: BTreeSet<u64>,
}

impl Registry {
    /// The incidents in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values()
    }

    /// An incident by its key.
    pub fn get(&self, key: u64) -> Option<&Incident> {
        self.incidents.get(&key)
    }

    /// The active symptoms of live incidents that a component shows; `component` is a
    /// [`Component::key`](crate::graph::Component::key).
    pub fn active_symptoms<'a>(&'a self, component: &'a str) -> impl Iterator<Item = &'a Member> {
        self.incidents
            .values()
            .filter(|i| i.is_live())
            .flat_map(|i| i.members.values())
            .filter(move |m| m.is_active() && m.component == component)
    }

    /// Assigns the groups of symptoms that are active at `now` to incidents, and resolves the
    /// incidents that have none left.
    pub fn update(
        &mut self,
        cluster: &str,
        symptoms: &[Symptom],
        groups: &[Vec<usize>],
        now: Time,
    ) -> Update {
        let mut update = Update::default();
        let mut index = Index::new(self);
        let live = self.incidents.values().filter(|i| i.is_live()).count();
        let mut room = MAX_LIVE.saturating_sub(live);
        for group in groups {
            let group: Vec<&Symptom> = group.iter().map(|i| &symptoms[*i]).collect();
            let known = self.assign(&group, now, &mut index, &mut update.changed);
            let key = known.or_else(|| {
                room = room.checked_sub(1)?;
                Some(self.open(cluster, &group, now))
            });
            if let Some(key) = key {
                self.join(key, &group, &mut update.changed);
                let keys = group.iter().map(|symptom| &*symptom.key);
                index.add(keys, key);
            }
            update.keys.push(key);
        }
        let active: HashSet<&str> = symptoms.iter().map(|s| &*s.key).collect();
        for incident in self.incidents.values_mut() {
            if !incident.has_active_members() {
                continue;
            }
            let has_ended = incident.end_members(now, |key| active.contains(key));
            if !incident.is_live() {
                continue;
            }
            if has_ended {
                update.changed.insert(incident.key);
            }
            if !incident.has_active_members() {
                incident.change(now, State::Resolved, ENGINE, None);
                update.changed.insert(incident.key);
            }
        }
        self.incidents.retain(|_, i| {
            let is_old = i.quiet_since().is_some_and(|q| now.0 - q.0 >= RETENTION);
            !is_old || i.has_active_members()
        });
        self.drop_oldest();
        update
    }

    /// Drops the incidents that were resolved first while there are more than [`MAX_RESOLVED`].
    fn drop_oldest(&mut self) {
        let resolved = self.incidents.values().filter(|i| !i.has_active_members());
        let mut resolved: Vec<(Time, u64)> = resolved
            .filter_map(|i| Some((i.quiet_since()?, i.key)))
            .collect();
        let excess = resolved.len().saturating_sub(MAX_RESOLVED);
        resolved.sort_unstable();
        for (_, key) in &resolved[..excess] {
            self.incidents.remove(key);
        }
    }

    /// Finds the incident of a group: the oldest live one that has one of its symptoms, into which
    /// younger ones are merged; else one that was resolved recently.
    fn assign(
        &mut self,
        group: &[&Symptom],
        now: Time,
        index: &mut Index,
        changed: &mut BTreeSet<u64>,
    ) -> Option<u64> {
        let known = index.incidents(group);
        let has_any = |i: &Incident| group.iter().any(|s| i.members.contains_key(&s.key));
        let mut live: Vec<(Time, u64)> = known
            .iter()
            .filter_map(|key| self.incidents.get(key))
            .filter(|i| i.is_live() && has_any(i))
            .map(|i| (i.started, i.key))
            .collect();
        live.sort_unstable();
        if let [(_, oldest), younger @ ..] = live.as_slice() {
            for (_, younger) in younger {
                if let Some(from) = self.incidents.get(younger) {
                    index.add(from.members.keys().map(String::as_str), *oldest);
                }
                self.merge(*younger, *oldest, now);
                changed.extend([*younger, *oldest]);
            }
            return Some(*oldest);
        }
        let resolved = self.resolved_recently(group, &known, now)?;
        if self.reopen_if_recurring(resolved, group, now) {
            changed.insert(resolved);
        }
        Some(resolved)
    }

    /// Adds the symptoms of a group to its incident while that is live.
    fn join(&mut self, key: u64, group: &[&Symptom], changed: &mut BTreeSet<u64>) {
        if let Some(incident) = self.incidents.get_mut(&key).filter(|i| i.is_live()) {
            for symptom in group {
                if incident.add(symptom) {
                    changed.insert(key);
                }
            }
        }
    }

    /// The oldest resolved incident with one of these symptoms that ended within
    /// [`REOPEN_WITHIN`], or that was resolved by hand while one of them lasted.
    fn resolved_recently(
        &self,
        group: &[&Symptom],
        known: &BTreeSet<u64>,
        now: Time,
    ) -> Option<u64> {
        let qualifies = |i: &Incident| {
            let Some(quiet_since) = i.quiet_since().filter(|_| i.merged_into.is_none()) else {
                return false;
            };
            let is_recent = now.0 - quiet_since.0 <= REOPEN_WITHIN;
            group
                .iter()
                .filter_map(|s| i.members.get(&s.key))
                .any(|m| is_recent || m.is_active())
        };
        known
            .iter()
            .filter_map(|key| self.incidents.get(key))
            .filter(|i| qualifies(i))
            .min_by_key(|i| (i.started, i.key))
            .map(|i| i.key)
    }

    /// Reopens a resolved incident when one of the symptoms recurs, or when there is new evidence of
    /// it. One that merely lasts does not: whoever resolved the incident knew about it. Returns
    /// whether it was reopened.
    fn reopen_if_recurring(&mut self, key: u64, group: &[&Symptom], now: Time) -> bool {
        let Some(incident) = self.incidents.get_mut(&key) else {
            return false;
        };
        if group.iter().any(|s| recurs(incident, s)) {
            let note = Some("a symptom recurred or continued, or a new one joined");
            incident.change(now, State::Reopened, ENGINE, note);
            return true;
        }
        for symptom in group {
            if !incident.members.contains_key(&symptom.key) {
                incident.add(symptom);
            }
        }
        false
    }

    fn open(&mut self, cluster: &str, group: &[&Symptom], now: Time) -> u64 {
        let first = group[0];
        let mut key = key_of(cluster, &first.key, first.onset);
        while self.incidents.contains_key(&key) {
            key = key.wrapping_add(1);
        }
        self.incidents
            .insert(key, Incident::open(key, first.onset, now));
        key
    }

    fn merge(&mut self, younger: u64, older: u64, now: Time) {
        let Some(mut from) = self.incidents.remove(&younger) else {
            return;
        };
        if let Some(into) = self.incidents.get_mut(&older) {
            for (key, member) in &from.members {
                into.members
                    .entry(key.clone())
                    .or_insert_with(|| member.clone());
            }
            into.started = into.started.min(from.started);
        }
        from.merged_into = Some(older);
        from.change(now, State::Resolved, ENGINE, Some("merged"));
        self.incidents.insert(younger, from);
    }

    /// Applies what a person did. Returns whether it changed anything.
    pub fn act(&mut self, act: &Act, at: Time) -> bool {
        let Some(incident) = self.incidents.get_mut(&act.incident) else {
            return false;
        };
        let to = match act.kind {
            ActKind::Acknowledge if matches!(incident.state, State::Open | State::Reopened) => {
                State::Acknowledged
            }
            ActKind::Resolve if incident.state != State::Resolved => State::Resolved,
            _ => return false,
        };
        incident.change(at, to, &act.by, act.note.as_deref());
        true
    }
}

/// The incidents of each symptom, by a hash of its key: there may be thousands of both.
struct Index(HashMap<u64, Vec<u64>>);

impl Index {
    fn new(registry: &Registry) -> Self {
        let mut index = Self(HashMap::new());
        for incident in registry.incidents.values() {
            index.add(incident.members.keys().map(String::as_str), incident.key);
        }
        index
    }

    fn add<'a>(&mut self, symptoms: impl Iterator<Item = &'a str>, incident: u64) {
        for symptom in symptoms {
            let known = self.0.entry(Self::hash(symptom)).or_default();
            if !known.contains(&incident) {
                known.push(incident);
            }
        }
    }

    /// The incidents that may have one of these symptoms.
    fn incidents(&self, group: &[&Symptom]) -> BTreeSet<u64> {
        let known = group.iter().filter_map(|s| self.0.get(&Self::hash(&s.key)));
        known.flatten().copied().collect()
    }

    fn hash(symptom: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        symptom.hash(&mut hasher);
        hasher.finish()
    }
}

/// Whether a symptom is a reason to reopen a resolved incident: it had ended and is back, it was
/// seen again, or it began after the incident was resolved.
fn recurs(resolved: &Incident, symptom: &Symptom) -> bool {
    let is_later = |at: Time| resolved.ended.is_some_and(|ended| at > ended);
    let began_later = is_later(symptom.onset);
    match resolved.members.get(&symptom.key) {
        Some(member) => {
            let has_new_evidence = match symptom.kind {
                // When the last warning or error was logged.
                SymptomKind::Event | SymptomKind::Log => is_later(symptom.last),
                // `startsAt`, which only moves when the alert fires again.
                SymptomKind::Alert => began_later,
                // The onset of a lasting state moves, for example with each restart.
                SymptomKind::State => false,
            };
            !member.is_active() || has_new_evidence
        }
        None => began_later && resolved.members.len() < MAX_MEMBERS,
    }
}

/// A hash that is the same on every machine: it identifies rows in stores.
fn key_of(cluster: &str, symptom: &str, onset: Time) -> u64 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::new()
        .chain_update(cluster)
        .chain_update([0])
        .chain_update(symptom)
        .chain_update(onset.0.to_le_bytes())
        .finalize();
    // 63 bits: SQL integers are signed.
    u64::from_le_bytes(digest[..8].try_into().unwrap_or_default()) >> 1
}

#[cfg(test)]
mod tests;
