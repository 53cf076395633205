//! One incident: its symptoms and its states, from open to resolved. Every change of state is one
//! transition.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Symptom;
use crate::model::{Severity, Time};

/// Maximum number of symptoms listed per incident: the first ones explain it, thousands of similar
/// ones only cost memory.
pub const MAX_MEMBERS: usize = 500;
/// Maximum length of a symptom's text, in characters.
const MAX_MESSAGE: usize = 300;
/// The author of the engine's own transitions.
pub(super) const ENGINE: &str = "engine";

/// The state of an incident.
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
    /// Symptoms are active; not acknowledged yet.
    Open,
    /// A person has acknowledged it.
    Acknowledged,
    /// All symptoms have ended, or a person resolved it.
    Resolved,
    /// A symptom came back, or a new one joined, after it was resolved.
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
    /// Event time of the change.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// The state after the change.
    pub to: State,
    /// Name of the key that made the change; `engine` for automatic ones.
    pub by: String,
    /// Free text, such as the reason given with `kgrca incident resolve`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A symptom as its incident remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// When the symptom began.
    pub onset: Time,
    /// When the symptom was last seen.
    pub last: Time,
    /// The highest severity so far.
    pub severity: Severity,
    /// [`Component::key`](crate::graph::Component::key) of the component that shows it.
    pub component: String,
    /// The text of the symptom, cut to 300 characters.
    pub what: String,
    /// When the symptom ended; `None` while it is active. It may outlast the incident: resolving by
    /// hand does not end a symptom.
    #[serde(rename = "over")]
    pub ended: Option<Time>,
}

impl Member {
    fn new(symptom: &Symptom) -> Self {
        Self {
            onset: symptom.onset,
            last: symptom.last,
            severity: symptom.severity,
            component: symptom.component.key(),
            what: symptom.what.chars().take(MAX_MESSAGE).collect(),
            ended: None,
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.ended.is_none()
    }

    /// Records that the symptom was seen. Returns whether that changed anything.
    fn update(&mut self, symptom: &Symptom) -> bool {
        let before = (self.onset, self.last, self.severity);
        let was_ended = self.ended.take().is_some();
        self.onset = self.onset.min(symptom.onset);
        self.last = self.last.max(symptom.last);
        self.severity = self.severity.max(symptom.severity);
        was_ended || before != (self.onset, self.last, self.severity)
    }
}

/// A set of symptoms that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// A hash of the cluster and the symptom that opened it.
    pub key: u64,
    /// The current state.
    pub state: State,
    /// Onset of the first symptom.
    pub started: Time,
    /// When it was resolved; `None` unless it is resolved now.
    pub ended: Option<Time>,
    /// Key of the older incident that it was merged into.
    pub merged_into: Option<u64>,
    /// Its symptoms by [`Symptom::key`].
    pub members: BTreeMap<String, Member>,
    /// Every change of state, oldest first.
    pub transitions: Vec<Transition>,
}

impl Incident {
    pub(super) fn open(key: u64, started: Time, now: Time) -> Self {
        let mut incident = Self {
            key,
            state: State::Open,
            started,
            ended: None,
            merged_into: None,
            members: BTreeMap::new(),
            transitions: Vec::new(),
        };
        incident.change(now, State::Open, ENGINE, None);
        incident
    }

    /// The highest severity of its symptoms.
    pub fn severity(&self) -> Severity {
        self.members
            .values()
            .map(|m| m.severity)
            .max()
            .unwrap_or_default()
    }

    /// Who has acknowledged it, while it is acknowledged.
    pub fn acknowledged_by(&self) -> Option<&str> {
        let last = self.transitions.last();
        let last = last.filter(|_| self.state == State::Acknowledged);
        last.map(|transition| transition.by.as_str())
    }

    /// Whether it is neither resolved nor merged into another one.
    pub fn is_live(&self) -> bool {
        self.state != State::Resolved && self.merged_into.is_none()
    }

    /// Whether a symptom is still active: of a resolved incident, one that was resolved by hand
    /// while the symptom lasted.
    pub(super) fn has_active_members(&self) -> bool {
        self.merged_into.is_none() && self.members.values().any(Member::is_active)
    }

    /// How many symptoms are active.
    pub fn active_members(&self) -> usize {
        self.members.values().filter(|m| m.is_active()).count()
    }

    /// When a resolved incident was resolved or, if later, when its last symptom ended.
    pub(super) fn quiet_since(&self) -> Option<Time> {
        let last_symptom = self.members.values().filter_map(|m| m.ended).max();
        self.ended.max(self.ended.and(last_symptom))
    }

    pub(super) fn change(&mut self, at: Time, to: State, by: &str, note: Option<&str>) {
        self.state = to;
        self.ended = (to == State::Resolved).then_some(at);
        self.transitions.push(Transition {
            at,
            to,
            by: by.to_owned(),
            note: note.map(str::to_owned),
        });
    }

    /// Corrects what earlier versions saved: resolving by hand ended the symptoms that were still
    /// active, at the same time as the incident. The next evaluation ends those that are not.
    pub(super) fn keep_symptoms_active(&mut self) {
        let is_by_hand = self.transitions.last().is_some_and(|t| t.by != ENGINE);
        if !is_by_hand {
            return;
        }
        for member in self.members.values_mut() {
            if member.ended.is_some() && member.ended == self.ended {
                member.ended = None;
            }
        }
    }

    /// Adds a symptom or updates it. Returns whether that changed anything.
    pub(super) fn add(&mut self, symptom: &Symptom) -> bool {
        if let Some(member) = self.members.get_mut(&symptom.key) {
            self.started = self.started.min(symptom.onset);
            return member.update(symptom);
        }
        if self.members.len() >= MAX_MEMBERS {
            return false;
        }
        self.started = self.started.min(symptom.onset);
        self.members
            .insert(symptom.key.clone(), Member::new(symptom));
        true
    }

    /// Ends the symptoms that are active no longer. Returns whether there were any.
    pub(super) fn end_members(&mut self, now: Time, is_active: impl Fn(&str) -> bool) -> bool {
        let mut changed = false;
        for (key, member) in &mut self.members {
            if member.is_active() && !is_active(key) {
                member.ended = Some(now);
                changed = true;
            }
        }
        changed
    }
}
