//! One resource and its edges.

use super::Relation;
use crate::model::object::{Labels, Object};
use crate::model::{Alias, Kind, Str, Time};

/// Index of a resource in its graph.
#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
)]
pub struct Idx(pub(super) u32);

impl Idx {
    /// A number that is stable within one graph.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// An edge as one of its ends holds it.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The other end.
    pub other: Idx,
    /// Its type.
    pub relation: Relation,
    /// Since when it is known.
    pub from: Time,
    /// Until when it was valid.
    pub to: Option<Time>,
    /// Stated by a topology record; derived edges follow the object's spec instead.
    pub stated: bool,
}

/// One Kubernetes object, or an external thing, over its life.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug)]
pub struct Resource {
    /// Kind, namespace and name; the name is empty while only the uid is known.
    pub alias: Alias,
    /// The API's uid, when a record told it.
    pub uid: Option<Str>,
    /// The newest version; `None` for what others only refer to.
    pub object: Option<Box<Object>>,
    /// Time of the newest version.
    pub updated: Time,
    /// When others last spoke of it while it had no version.
    pub spoken_of: Time,
    /// Start of its life, when known.
    pub created: Option<Time>,
    /// End of its life.
    pub closed: Option<Time>,
    /// An earlier resource of the same alias.
    pub previous: Option<Idx>,
    pub(super) out: Vec<Link>,
    pub(super) inc: Vec<Link>,
    /// A free place, which the next resource takes.
    pub(super) vacant: bool,
}

impl Resource {
    pub(super) fn new(alias: Alias, uid: Option<Str>) -> Self {
        Self {
            alias,
            uid,
            object: None,
            updated: Time::default(),
            spoken_of: Time::default(),
            created: None,
            closed: None,
            previous: None,
            out: Vec::new(),
            inc: Vec::new(),
            vacant: false,
        }
    }

    /// Kind of the resource.
    pub fn kind(&self) -> &Kind {
        &self.alias.kind
    }

    /// Name of the resource; its uid while the name is unknown.
    pub fn name(&self) -> &str {
        if self.alias.name.is_empty() {
            self.uid.as_deref().unwrap_or("")
        } else {
            &self.alias.name
        }
    }

    /// Namespace; empty for cluster-scoped kinds.
    pub fn namespace(&self) -> &str {
        &self.alias.namespace
    }

    /// When it was heard of last: its state, else what was said about it before its state arrived.
    pub fn known_at(&self) -> Time {
        if self.updated == Time::default() {
            self.spoken_of
        } else {
            self.updated
        }
    }

    /// Whether a state record said that it exists and none said that it is gone.
    pub fn is_live(&self) -> bool {
        self.object.is_some() && self.closed.is_none()
    }

    /// Whether it is being deleted or is gone.
    pub fn is_leaving(&self) -> bool {
        self.closed.is_some()
            || self
                .object
                .as_ref()
                .is_some_and(|o| o.meta.deleting.is_some())
    }

    /// Its labels; none when no state is known.
    pub fn labels(&self) -> &Labels {
        static NONE: std::sync::LazyLock<Labels> = std::sync::LazyLock::new(Labels::default);
        self.object.as_ref().map_or(&NONE, |o| &o.meta.labels)
    }

    /// The identity that answers carry: the uid, else the alias.
    pub fn id(&self) -> String {
        self.uid
            .as_deref()
            .map_or_else(|| self.alias.to_string(), str::to_owned)
    }

    /// All edges out of it with their validity.
    pub fn links_out(&self) -> &[Link] {
        &self.out
    }

    /// All edges into it with their validity.
    pub fn links_in(&self) -> &[Link] {
        &self.inc
    }
}
