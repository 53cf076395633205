//! What was last sent of each object, to skip versions that add nothing.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::time::Duration;

use kgrca_core::model::Topic;
use kgrca_core::model::watched::Watched;
use tokio::time::Instant;

use crate::agent::trim::Meta;

/// Kubelets renew their leases every 10 s and count as missing after 40.
const SEND_LEASE_EVERY: Duration = Duration::from_secs(20);
/// Namespaces of the leases of nodes and control plane components.
const LEASE_NAMESPACES: [&str; 2] = ["kube-node-lease", "kube-system"];

/// Identifies an object: a hash of its uid.
pub(super) type ObjectKey = u64;

pub(super) fn object_key(uid: &str) -> ObjectKey {
    foldhash::fast::FixedState::default().hash_one(uid)
}

struct LastSent {
    hash: u64,
    at: Instant,
}

/// The objects of one kind that the server knows.
#[derive(Default)]
pub(super) struct SentObjects(HashMap<ObjectKey, LastSent, foldhash::fast::RandomState>);

impl SentObjects {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn insert(&mut self, key: ObjectKey, hash: u64) {
        let at = Instant::now();
        self.0.insert(key, LastSent { hash, at });
    }

    pub fn remove(&mut self, key: ObjectKey) {
        self.0.remove(&key);
    }

    /// Drops all objects that a complete listing did not contain.
    pub fn retain(&mut self, listed: &HashSet<ObjectKey>) {
        self.0.retain(|key, _| listed.contains(key));
    }

    /// Why this version of an object need not be sent; none if it must be.
    pub fn reason_to_skip(
        &self,
        kind: &Watched,
        meta: &Meta,
        hash: u64,
        is_listed: bool,
    ) -> Option<&'static str> {
        let last = self.0.get(&object_key(&meta.uid));
        if kind.kind == "Lease" {
            if !LEASE_NAMESPACES.contains(&meta.namespace.as_str()) {
                return Some("other_lease");
            }
            let is_recent = last.is_some_and(|last| last.at.elapsed() < SEND_LEASE_EVERY);
            return (is_recent && !is_listed).then_some("sampled");
        }
        // A listing must contain every object, or the server takes the missing ones for deleted.
        // Events are not deleted that way.
        let must_send = is_listed && kind.topic == Topic::Resource;
        let is_unchanged = last.is_some_and(|last| last.hash == hash);
        (is_unchanged && !must_send).then_some("unchanged")
    }
}
