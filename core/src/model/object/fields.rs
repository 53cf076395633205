//! The fields of an object that people set, in one compact text: two versions of an object are
//! compared by them.

use std::fmt::Write;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::model::{Str, Time};

/// Most bytes of an object's fields; the others count as one, by their hash.
pub const MAX_BYTES: usize = 16 << 10;

/// Paths and values in the order of the paths. A path is written as people write it:
/// `spec.template.spec.containers[api].image`, `data["app.yaml"]`. A value is JSON of a text, a
/// number, a flag, or a list of these.
///
/// A line has the number of bytes that its path shares with the one before, the rest of the path,
/// and the value: most of a path repeats.
#[derive(BorshSerialize, BorshDeserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Str);

impl Fields {
    /// From paths and values in any order; values must be JSON on one line.
    pub fn new(mut leaves: Vec<(String, String)>) -> Self {
        use std::hash::BuildHasher;

        leaves.sort();
        leaves.dedup_by(|b, a| a.0 == b.0);
        let mut text = String::new();
        let mut before = "";
        for (i, (path, value)) in leaves.iter().enumerate() {
            if text.len() + path.len() + value.len() > MAX_BYTES {
                let rest = foldhash::fast::FixedState::default().hash_one(&leaves[i..]);
                let _ = writeln!(text, "0\t{REST}\t\"{HASH}{rest:016x}\"");
                break;
            }
            let shared = shared(before, path);
            let _ = writeln!(text, "{shared}\t{}\t{value}", &path[shared..]);
            before = path;
        }
        Self(text.into())
    }

    /// Whether nothing is known of them.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their size, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// All paths with their values.
    pub fn leaves(&self) -> Vec<(String, &str)> {
        let mut path = String::new();
        let mut leaves = Vec::new();
        for line in self.0.lines() {
            let mut parts = line.splitn(3, '\t');
            let shared = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
            path.truncate(path.floor_char_boundary(shared));
            path.push_str(parts.next().unwrap_or_default());
            leaves.push((path.clone(), parts.next().unwrap_or_default()));
        }
        leaves
    }

    /// The value of one field, as JSON.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.leaves()
            .into_iter()
            .find(|(p, _)| p == path)
            .map(|(_, value)| value)
    }
}

/// The path of what has no room.
pub const REST: &str = "~";
/// The path that tells when the content of a Secret was set whose values were not sent.
pub const CONTENT: &str = "data";
/// Between the start of a long value and its hash.
pub const CUT: &str = "…#";
/// What the value of a field begins with of which only a hash is kept.
pub const HASH: &str = "hash:";

/// How many bytes two paths have in common from their start.
fn shared(a: &str, b: &str) -> usize {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    b.floor_char_boundary(same)
}

/// A program or person that set fields of an object, as the API server records it.
#[derive(Clone, Debug, Default)]
pub struct Manager {
    /// Its name, such as `kubectl-edit`.
    pub name: Str,
    /// When it last changed one of them.
    pub at: Option<Time>,
    /// The fields: `{"f:spec": {"f:replicas": {}}}`.
    pub owns: serde_json::Value,
}

/// Where a version of an object comes from. It is not kept with the object.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Who set its fields.
    pub managers: Vec<Manager>,
    /// The tool that it was deployed by, with the revision if known: `Helm release web`.
    pub via: Option<Str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_has_no_room_still_shows_that_it_changed() {
        let of = |last: &str| {
            let leaf = |i: usize| (format!("data.k{i:04}"), format!("\"{}\"", "x".repeat(100)));
            let mut leaves: Vec<_> = (0..1000).map(leaf).collect();
            leaves.push(("data.z".to_owned(), format!("{last:?}")));
            Fields::new(leaves)
        };
        assert!(of("a").bytes() <= MAX_BYTES + 64, "{}", of("a").bytes());
        assert_ne!(of("a"), of("b"));
    }

    proptest! {
        #[test]
        fn fields_are_read_as_they_were_written(
            leaves in proptest::collection::btree_map("[a-dé.\\[\\]]{1,12}", "[a-zé0-9]{0,9}", 0..40)
        ) {
            let leaves: Vec<(String, String)> = leaves.into_iter().collect();
            let fields = Fields::new(leaves.clone());
            let read: Vec<(String, String)> =
                fields.leaves().into_iter().map(|(p, v)| (p, v.to_owned())).collect();
            prop_assert_eq!(read, leaves);
        }
    }
}
