//! What changed on an object: which fields, from what to what, by whom and when.

mod diff;
mod history;
mod owner;
mod path;
mod reversal;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::model::{Kind, Time};
pub use diff::diff;
pub use history::{History, compare, created, deleted, reported};
pub use path::{Segment, segments};
pub use reversal::reversal;

/// Most fields of one change; the others are counted.
pub const MAX_FIELDS: usize = 32;
/// Most characters of a value that are shown.
pub const MAX_VALUE: usize = 120;

/// One field before and after.
#[derive(
    BorshSerialize,
    BorshDeserialize,
    Clone,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
pub struct FieldChange {
    /// Where it is, such as `spec.template.spec.containers[api].image`.
    pub path: String,
    /// Its value before; absent if it was not set. `changed` if values are not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// Its value now; absent if it is no longer set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// What stands for a value that is not kept.
pub const UNKNOWN: &str = "changed";

impl FieldChange {
    /// One line: `spec.replicas: 3 → 0`.
    pub fn text(&self) -> String {
        let shown = |value: &Option<String>| match value {
            Some(value) => value.clone(),
            None => "unset".to_owned(),
        };
        if self.has_values() {
            format!("{}: {} → {}", self.path, shown(&self.old), shown(&self.new))
        } else {
            format!("{}: {UNKNOWN}", self.path)
        }
    }

    /// Whether both values are known.
    pub fn has_values(&self) -> bool {
        let is_known = |value: &Option<String>| value.as_deref() != Some(UNKNOWN);
        is_known(&self.old) && is_known(&self.new)
    }
}

/// What happened to an object.
#[derive(
    BorshSerialize,
    BorshDeserialize,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// It was created.
    Created,
    /// Some of its fields were changed.
    Changed,
    /// It was deleted.
    Deleted,
    /// A tool or a person reported a change of it.
    Reported,
}

impl Verb {
    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
            Self::Reported => "reported",
        }
    }
}

/// A change of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ObjectChange {
    /// When it was made, as the API server recorded it, else when it was seen.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// Whether it is not known when it was made: two states show it, and no one recorded a time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undated: bool,
    /// Kind of the object.
    pub kind: String,
    /// Its namespace; empty outside namespaces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// What happened.
    pub verb: Verb,
    /// Which fields, in the order of their paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// How many further fields changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u32,
    /// Who made it: the field manager or user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The tool and revision that the object came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// What was changed, in the words of the tool or person that reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A change of an object of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClusterChange {
    /// Name of the cluster.
    pub cluster: String,
    /// What changed.
    #[serde(flatten)]
    pub change: ObjectChange,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl ObjectChange {
    /// The kind of the object.
    pub fn kind(&self) -> Kind {
        Kind::parse(&self.kind)
    }

    /// A line for each field; one for an object that was created or deleted.
    pub fn lines(&self) -> Vec<String> {
        if self.verb != Verb::Changed {
            let note = self.note.clone();
            return vec![note.unwrap_or_else(|| self.verb.as_str().to_owned())];
        }
        let mut lines: Vec<String> = self.fields.iter().map(FieldChange::text).collect();
        if self.more > 0 {
            lines.push(format!("{} more fields", self.more));
        }
        lines
    }

    /// Who made it and with what, as far as known.
    pub fn author(&self) -> Option<String> {
        match (&self.by, &self.via) {
            (Some(by), Some(via)) => Some(format!("{by}, {via}")),
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (None, None) => None,
        }
    }
}
