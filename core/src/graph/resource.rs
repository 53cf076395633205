//! A resource and its edges.

use super::Relation;
use crate::model::object::{Labels, Object};
use crate::model::{Alias, Kind, Str, Time, memory};

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

/// A valid edge, stored at both of its ends. Those that ended are in the graph store.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The resource at the other end.
    pub other: Idx,
    /// Type of the edge.
    pub relation: Relation,
    /// Since when it is valid.
    pub from: Time,
    /// Whether it comes from a topology record or an error message; otherwise it is derived from
    /// the object's spec.
    pub stated: bool,
}

/// One Kubernetes object or external host over its life.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug)]
pub struct Resource {
    /// Kind, namespace and name; the name is empty while only the uid is known.
    pub alias: Alias,
    /// Uid of the Kubernetes API, if known.
    pub uid: Option<Str>,
    /// The newest version; `None` while others only refer to it.
    pub object: Option<Box<Object>>,
    /// Time of the newest version.
    pub updated: Time,
    /// When a record last referred to it while it had no version.
    pub mentioned: Time,
    /// When it was created, if known.
    pub created: Option<Time>,
    /// When it was deleted; `None` while it exists.
    pub closed: Option<Time>,
    /// An earlier resource of the same alias.
    pub previous: Option<Idx>,
    pub(super) out: Vec<Link>,
    pub(super) inc: Vec<Link>,
    /// Whether the slot is unused.
    pub(super) vacant: bool,
    /// Size of the newest version, in bytes of memory.
    #[borsh(skip)]
    pub(super) bytes: u32,
}

/// What an index entry of a label takes beside its text, in bytes.
const INDEXED: u64 = 64;

/// Size of a version of an object, in bytes of memory: with its labels, by which it is found.
pub(super) fn size(object: &Object) -> u32 {
    let indexed = object.meta.labels.iter();
    let indexed = indexed.map(|(key, value)| (key.len() + value.len()) as u64 + INDEXED);
    let bytes = memory(object).saturating_add(indexed.sum());
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Resource {
    pub(super) fn new(alias: Alias, uid: Option<Str>) -> Self {
        Self {
            alias,
            uid,
            object: None,
            updated: Time::default(),
            mentioned: Time::default(),
            created: None,
            closed: None,
            previous: None,
            out: Vec::new(),
            inc: Vec::new(),
            vacant: false,
            bytes: 0,
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

    /// When it was last updated, or referred to while its state is unknown.
    pub fn known_at(&self) -> Time {
        if self.updated == Time::default() {
            self.mentioned
        } else {
            self.updated
        }
    }

    /// Whether its state is known and it was not deleted.
    pub fn is_live(&self) -> bool {
        self.object.is_some() && self.closed.is_none()
    }

    /// Whether it is being deleted or was deleted.
    pub fn is_leaving(&self) -> bool {
        self.closed.is_some()
            || self
                .object
                .as_ref()
                .is_some_and(|o| o.meta.deleting.is_some())
    }

    /// Its labels; empty while its state is unknown.
    pub fn labels(&self) -> &Labels {
        static NONE: std::sync::LazyLock<Labels> = std::sync::LazyLock::new(Labels::default);
        match &self.object {
            Some(object) => &object.meta.labels,
            None => &NONE,
        }
    }

    /// Its uid, or its alias while the uid is unknown.
    pub fn id(&self) -> String {
        match &self.uid {
            Some(uid) => uid.to_string(),
            None => self.alias.to_string(),
        }
    }

    /// All edges out of it, including those that ended.
    pub fn links_out(&self) -> &[Link] {
        &self.out
    }

    /// All edges into it, including those that ended.
    pub fn links_in(&self) -> &[Link] {
        &self.inc
    }
}
