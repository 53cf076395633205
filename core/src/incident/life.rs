//! The life of incidents: opened, acknowledged, resolved, reopened, merged. Every change is one
//! transition.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::Symptom;
use crate::model::record::{Act, ActKind};
use crate::model::time::MINUTE;
use crate::model::{Severity, Time};

/// How long after its end the same symptom reopens an incident, in microseconds.
pub const REOPENS: i64 = 30 * MINUTE;
/// Most symptoms that an incident lists: the first ones tell, thousands of alike ones only weigh.
pub const MEMBERS: usize = 500;
/// How long ended incidents are remembered.
const REMEMBERED: i64 = 24 * 60 * MINUTE;

/// Where an incident stands.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It hurts, nobody has said that they look.
    Open,
    /// Somebody looks.
    Acknowledged,
    /// Over.
    Resolved,
    /// It came back.
    Reopened,
}

impl State {
    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
            Self::Reopened => "reopened",
        }
    }

    /// Reads the word used on the wire.
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Open,
            Self::Acknowledged,
            Self::Resolved,
            Self::Reopened,
        ]
        .into_iter()
        .find(|s| s.as_str() == word)
    }
}

/// One change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Transition {
    /// When, in event time.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// The state after it.
    pub to: State,
    /// Who made it; `engine` for the engine.
    pub by: String,
    /// Remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One symptom's part in an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// When it began.
    pub onset: Time,
    /// When it was last seen.
    pub last: Time,
    /// How bad it was.
    pub severity: Severity,
    /// The component that hurt, as text with its namespace.
    pub component: String,
    /// What was seen.
    pub what: String,
    /// When it was over; `None` while it hurts.
    pub over: Option<Time>,
}

/// A set of symptoms that belong together, with its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Identity: a hash of the cluster and the opening symptom.
    pub key: u64,
    /// Where it stands.
    pub state: State,
    /// Onset of its first symptom.
    pub started: Time,
    /// When it was over, while it is.
    pub ended: Option<Time>,
    /// The incident it was merged into.
    pub merged_into: Option<u64>,
    /// Its symptoms.
    pub members: BTreeMap<String, Member>,
    /// Every change of state.
    pub transitions: Vec<Transition>,
}

impl Incident {
    /// The worst severity of its symptoms.
    pub fn severity(&self) -> Severity {
        self.members
            .values()
            .map(|m| m.severity)
            .max()
            .unwrap_or_default()
    }

    /// Whether it is neither resolved nor merged away.
    pub fn is_live(&self) -> bool {
        self.state != State::Resolved && self.merged_into.is_none()
    }

    fn change(&mut self, at: Time, to: State, by: &str, note: Option<&str>) {
        self.state = to;
        self.ended = (to == State::Resolved).then_some(at);
        self.transitions.push(Transition {
            at,
            to,
            by: by.to_owned(),
            note: note.map(str::to_owned),
        });
    }

    /// Takes a symptom in. Returns whether it told anything new.
    fn take(&mut self, symptom: &Symptom) -> bool {
        let full = self.members.len() >= MEMBERS;
        let Some(member) = self.members.get_mut(&symptom.key) else {
            if !full {
                self.members
                    .insert(symptom.key.clone(), Member::new(symptom));
                self.started = self.started.min(symptom.onset);
            }
            return !full;
        };
        let before = (member.onset, member.last, member.severity, member.over);
        member.onset = member.onset.min(symptom.onset);
        member.last = member.last.max(symptom.last);
        member.severity = member.severity.max(symptom.severity);
        member.over = None;
        let changed = before != (member.onset, member.last, member.severity, member.over);
        self.started = self.started.min(symptom.onset);
        changed
    }
}

impl Member {
    fn new(symptom: &Symptom) -> Self {
        Self {
            onset: symptom.onset,
            last: symptom.last,
            severity: symptom.severity,
            component: format!("{}/{}", symptom.component.namespace, symptom.component),
            what: symptom.what.chars().take(300).collect(),
            over: None,
        }
    }
}

/// All incidents of a cluster that are live or not long over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    incidents: BTreeMap<u64, Incident>,
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

    /// Takes the groups of symptoms that hurt at `now`. Returns the incident of each group, and all
    /// that changed.
    pub fn update(
        &mut self,
        cluster: &str,
        symptoms: &[Symptom],
        groups: &[Vec<usize>],
        now: Time,
    ) -> (Vec<u64>, BTreeSet<u64>) {
        let mut changed = BTreeSet::new();
        let keys: Vec<u64> = groups
            .iter()
            .map(|group| {
                self.place(
                    cluster,
                    &group.iter().map(|i| &symptoms[*i]).collect::<Vec<_>>(),
                    now,
                    &mut changed,
                )
            })
            .collect();
        let hurting: HashSet<&str> = symptoms.iter().map(|s| &*s.key).collect();
        for incident in self.incidents.values_mut().filter(|i| i.is_live()) {
            for (_, member) in incident
                .members
                .iter_mut()
                .filter(|(k, m)| m.over.is_none() && !hurting.contains(k.as_str()))
            {
                member.over = Some(now);
                changed.insert(incident.key);
            }
            if incident.members.values().all(|m| m.over.is_some()) {
                incident.change(now, State::Resolved, "engine", None);
                changed.insert(incident.key);
            }
        }
        self.incidents
            .retain(|_, i| i.ended.is_none_or(|e| now.0 - e.0 < REMEMBERED));
        (keys, changed)
    }

    /// Finds the incident of a group: the oldest that knows one of its symptoms; younger ones are
    /// merged into it.
    fn place(
        &mut self,
        cluster: &str,
        group: &[&Symptom],
        now: Time,
        changed: &mut BTreeSet<u64>,
    ) -> u64 {
        let knows = |i: &Incident| group.iter().any(|s| i.members.contains_key(&s.key));
        let mut known: Vec<(Time, u64)> = self
            .incidents
            .values()
            .filter(|i| i.is_live() && knows(i))
            .map(|i| (i.started, i.key))
            .collect();
        known.sort_unstable();
        let key = if let Some((_, oldest)) = known.first().copied() {
            for (_, younger) in known.iter().skip(1) {
                self.merge(*younger, oldest, now);
                changed.extend([*younger, oldest]);
            }
            oldest
        } else if let Some((again, came_back)) = self.reopens(group, now) {
            changed.extend(came_back.then_some(again));
            again
        } else {
            self.open(cluster, group, now)
        };
        if let Some(incident) = self.incidents.get_mut(&key).filter(|i| i.is_live()) {
            for symptom in group {
                if incident.take(symptom) {
                    changed.insert(key);
                }
            }
        }
        key
    }

    /// The incident that these symptoms belonged to a short while ago, and whether it was reopened.
    fn reopens(&mut self, group: &[&Symptom], now: Time) -> Option<(u64, bool)> {
        let recent = |i: &Incident| {
            i.merged_into.is_none() && i.ended.is_some_and(|e| now.0 - e.0 <= REOPENS)
        };
        let again = self
            .incidents
            .values()
            .filter(|i| recent(i) && group.iter().any(|s| i.members.contains_key(&s.key)))
            .min_by_key(|i| (i.started, i.key))?
            .key;
        let incident = self.incidents.get_mut(&again)?;
        let ended = incident.ended.unwrap_or(now);
        let by_person = incident
            .transitions
            .last()
            .is_some_and(|t| t.by != "engine");
        let is_newer = |s: &&Symptom| {
            s.onset > ended || (s.kind != super::SymptomKind::State && s.last > ended)
        };
        // Somebody said it is over: what was seen before does not contradict.
        if by_person && !group.iter().any(is_newer) {
            return Some((again, false));
        }
        incident.change(
            now,
            State::Reopened,
            "engine",
            Some("its symptoms still hurt or came back"),
        );
        Some((again, true))
    }

    fn open(&mut self, cluster: &str, group: &[&Symptom], now: Time) -> u64 {
        let first = group[0];
        let mut key = key_of(cluster, &first.key, first.onset);
        while self.incidents.contains_key(&key) {
            key = key.wrapping_add(1);
        }
        let mut incident = Incident {
            key,
            state: State::Open,
            started: first.onset,
            ended: None,
            merged_into: None,
            members: BTreeMap::new(),
            transitions: Vec::new(),
        };
        incident.change(now, State::Open, "engine", None);
        self.incidents.insert(key, incident);
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
        from.change(now, State::Resolved, "engine", Some("merged"));
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
        if to == State::Resolved {
            for member in incident.members.values_mut() {
                member.over.get_or_insert(at);
            }
        }
        incident.change(at, to, &act.by, act.note.as_deref());
        true
    }
}

/// A hash that is the same on every machine: it names rows in stores.
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
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::incident::SymptomKind;
    use crate::model::{Kind, Subject};

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

    #[test]
    fn an_incident_ends_with_its_symptoms_and_comes_back_with_them() {
        let mut registry = Registry::default();
        let a = symptom("a", MINUTE);
        let (keys, changed) = registry.update(
            "prod",
            std::slice::from_ref(&a),
            &[vec![0]],
            Time(2 * MINUTE),
        );
        assert_eq!(changed.len(), 1);
        registry.update("prod", &[], &[], Time(20 * MINUTE));
        assert_eq!(registry.get(keys[0]).unwrap().state, State::Resolved);
        let (again, _) = registry.update(
            "prod",
            std::slice::from_ref(&a),
            &[vec![0]],
            Time(40 * MINUTE),
        );
        assert_eq!(again, keys);
        assert_eq!(registry.get(keys[0]).unwrap().state, State::Reopened);
        registry.update("prod", &[], &[], Time(41 * MINUTE));
        let late = Symptom {
            onset: Time(90 * MINUTE),
            ..a
        };
        let (new, _) = registry.update("prod", &[late], &[vec![0]], Time(90 * MINUTE));
        assert_ne!(new, keys);
    }

    #[test]
    fn a_bridge_merges_the_younger_into_the_older() {
        let mut registry = Registry::default();
        let (a, b) = (symptom("a", MINUTE), symptom("b", 2 * MINUTE));
        let (keys, _) = registry.update(
            "prod",
            &[a.clone(), b.clone()],
            &[vec![0], vec![1]],
            Time(3 * MINUTE),
        );
        let (one, _) = registry.update("prod", &[a, b], &[vec![0, 1]], Time(4 * MINUTE));
        assert_eq!(one, vec![keys[0]]);
        assert_eq!(registry.get(keys[1]).unwrap().merged_into, Some(keys[0]));
    }

    #[test]
    fn people_acknowledge_and_resolve() {
        let mut registry = Registry::default();
        let a = symptom("a", MINUTE);
        let (keys, _) = registry.update("prod", &[a], &[vec![0]], Time(2 * MINUTE));
        let act = |kind| Act {
            incident: keys[0],
            kind,
            by: "ann".into(),
            note: None,
        };
        assert!(registry.act(&act(ActKind::Acknowledge), Time(3 * MINUTE)));
        assert!(
            !registry.act(&act(ActKind::Acknowledge), Time(3 * MINUTE)),
            "twice changes nothing"
        );
        assert!(registry.act(&act(ActKind::Resolve), Time(4 * MINUTE)));
        assert_eq!(registry.get(keys[0]).unwrap().transitions.len(), 3);
    }
}
