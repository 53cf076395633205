//! The changes of a cluster that are still of interest.

use serde::{Deserialize, Serialize};

use super::{ObjectChange, Verb, diff, owner};
use crate::model::object::fields::CONTENT;
use crate::model::object::{Meta, Object};
use crate::model::time::{MINUTE, SECOND};
use crate::model::{Kind, ReportedChange, Str, Subject, Time};

/// How long a change is kept, in microseconds: what it breaks may come to light hours later.
const RETENTION: i64 = 24 * 60 * MINUTE;
/// Most changes that are kept.
const MAX_CHANGES: usize = 200;
/// Most changes of one object that are kept.
const MAX_OF_OBJECT: usize = 10;
/// Most bytes that they take together: they are saved with each commit.
const MAX_BYTES: usize = 64 << 10;

/// The changes of a cluster within a day, in the order in which they were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(Vec<ObjectChange>);

impl History {
    /// All of them.
    pub fn all(&self) -> &[ObjectChange] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a change; drops the oldest when there is no room.
    pub fn add(&mut self, change: ObjectChange) {
        if self.0.contains(&change) {
            return;
        }
        // A status that a controller keeps in an object would displace the changes of all others.
        let is_same = |other: &ObjectChange| {
            (&other.kind, &other.namespace, &other.name)
                == (&change.kind, &change.namespace, &change.name)
        };
        if self.0.iter().filter(|other| is_same(other)).count() >= MAX_OF_OBJECT
            && let Some(oldest) = self.0.iter().position(is_same)
        {
            self.0.remove(oldest);
        }
        self.0.push(change);
        let mut bytes: usize = self.0.iter().map(size).sum();
        let mut dropped = 0;
        while self.0.len() - dropped > MAX_CHANGES
            || bytes > MAX_BYTES && self.0.len() - dropped > 1
        {
            bytes -= size(&self.0[dropped]);
            dropped += 1;
        }
        self.0.drain(..dropped);
    }

    /// Drops those that are older than a day.
    pub fn prune(&mut self, now: Time) {
        self.0.retain(|change| now.0 - change.at.0 <= RETENTION);
    }
}

/// What a change takes as JSON, roughly.
fn size(change: &ObjectChange) -> usize {
    let fields = change.fields.iter().map(|field| {
        let values = [&field.old, &field.new];
        let values = values
            .iter()
            .map(|v| v.as_ref().map(String::len).unwrap_or(0));
        field.path.len() + values.sum::<usize>() + 40
    });
    let words = [&change.by, &change.via, &change.note];
    let words = words
        .iter()
        .map(|w| w.as_ref().map(String::len).unwrap_or(0));
    fields.sum::<usize>() + words.sum::<usize>() + change.name.len() + 160
}

/// What the new version of an object changed of the one before, which was known since `known`.
pub fn compare(before: &Object, known: Time, now: &Object, at: Time) -> Option<ObjectChange> {
    if before.fields.is_empty() || now.fields.is_empty() {
        return None;
    }
    let (mut fields, more) = diff(&before.fields, &now.fields);
    if fields.len() > 1 {
        // Whoever sets its labels may be the one who set its content.
        fields.retain(|field| field.path != CONTENT);
    }
    let paths: Vec<&str> = fields.iter().map(|field| field.path.as_str()).collect();
    if paths.is_empty() {
        return None;
    }
    let by = owner::of(&now.origin.managers, &paths, Some(known));
    let made = by.and_then(|manager| manager.at);
    // Not before the version that it changed, nor after it was seen.
    let made = made.filter(|made| (known.0 - SECOND..=at.0).contains(&made.0));
    Some(ObjectChange {
        at: made.unwrap_or(at),
        fields,
        more,
        by: by
            .filter(|_| made.is_some())
            .map(|manager| manager.name.to_string()),
        via: now.origin.via.as_ref().map(ToString::to_string),
        ..blank(&now.meta, Verb::Changed, at)
    })
}

/// The creation of an object that was not there before, if that can change how others work, or of
/// any one that people made.
pub fn created(object: &Object, at: Time, any: bool) -> Option<ObjectChange> {
    let made = object.meta.created.filter(|made| *made <= at);
    // A manifest has no time at all.
    let made = made.or_else(|| Some(at).filter(|_| any))?;
    let is_recent = at.0 - made.0 <= RETENTION;
    let is_wanted = if any {
        !object.fields.is_empty()
    } else {
        is_recent && governs_others(&object.meta.kind)
    };
    is_wanted.then(|| ObjectChange {
        by: object
            .origin
            .managers
            .first()
            .map(|manager| manager.name.to_string()),
        via: object.origin.via.as_ref().map(ToString::to_string),
        ..blank(&object.meta, Verb::Created, made)
    })
}

/// The deletion of an object, if others can refer to it.
pub fn deleted(object: &Object, at: Time) -> Option<ObjectChange> {
    let is_short_lived = matches!(object.meta.kind, Kind::Job | Kind::Pod | Kind::Node);
    let is_kept = !object.fields.is_empty() && object.meta.owners.is_empty();
    (is_kept && !is_short_lived).then(|| ObjectChange {
        via: object.origin.via.as_ref().map(ToString::to_string),
        ..blank(&object.meta, Verb::Deleted, at)
    })
}

/// A change of an object that a tool or a person reported.
pub fn reported(at: Time, reported: &ReportedChange, subject: &Subject) -> ObjectChange {
    let text = |text: &Option<Str>| text.as_deref().map(str::to_owned);
    let via = [&reported.source, &reported.revision];
    let via: Vec<&str> = via.into_iter().filter_map(Option::as_deref).collect();
    ObjectChange {
        at,
        undated: false,
        kind: subject.kind.to_string(),
        namespace: subject.namespace.to_string(),
        name: subject.name.to_string(),
        uid: text(&subject.uid),
        verb: Verb::Reported,
        fields: Vec::new(),
        more: 0,
        by: text(&reported.by),
        via: Some(via.join(" ")).filter(|via| !via.is_empty()),
        note: Some(format!("{}: {}", reported.reason, reported.message)),
    }
}

/// Whether objects of a kind restrict or direct others that do not name them.
fn governs_others(kind: &Kind) -> bool {
    match kind {
        Kind::NetworkPolicy
        | Kind::ResourceQuota
        | Kind::LimitRange
        | Kind::PodDisruptionBudget
        | Kind::HorizontalPodAutoscaler => true,
        Kind::Other(kind) => {
            let endings = ["WebhookConfiguration", "AdmissionPolicyBinding", "Policy"];
            endings.iter().any(|ending| kind.ends_with(ending))
        }
        _ => false,
    }
}

fn blank(meta: &Meta, verb: Verb, at: Time) -> ObjectChange {
    ObjectChange {
        at,
        undated: false,
        kind: meta.kind.to_string(),
        namespace: meta.namespace.to_string(),
        name: meta.name.to_string(),
        uid: meta.uid.as_ref().map(ToString::to_string),
        verb,
        fields: Vec::new(),
        more: 0,
        by: None,
        via: None,
        note: None,
    }
}
