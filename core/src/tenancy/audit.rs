//! Administrative acts, chained by hashes so that none can be changed or taken out unseen.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::Time;

/// One administrative act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Audit {
    /// The tenant in whose chain it stands; absent in the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// The key that did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub target: String,
}

/// An act with its place in its chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// Place in the chain, from 1.
    pub seq: i64,
    /// What was done.
    #[serde(flatten)]
    pub audit: Audit,
    /// The hash of the entry before; empty at the beginning.
    pub previous: String,
    /// SHA-256 over this entry and the hash before, in hexadecimal digits.
    pub hash: String,
}

impl AuditEntry {
    /// The entry that follows the end of a chain.
    pub fn after(seq: i64, hash: &str, audit: Audit) -> Self {
        let mut entry = Self {
            seq: seq + 1,
            audit,
            previous: hash.to_owned(),
            hash: String::new(),
        };
        entry.hash = entry.computed();
        entry
    }

    /// The hash that an entry of this content has. Each part is preceded by its length, so that no
    /// two contents read alike.
    fn computed(&self) -> String {
        let a = &self.audit;
        let (seq, at) = (self.seq.to_string(), a.at.0.to_string());
        let mut hasher = Sha256::new();
        for part in [
            &self.previous,
            &seq,
            a.client_id.as_ref().unwrap_or(&String::new()),
            &at,
            &a.actor,
            &a.action,
            &a.target,
        ] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        hex(&hasher.finalize())
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const HEX: &[u8] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

/// Checks entries in a row against each other and against the entry before them. Returns the place
/// of the first that does not fit.
pub fn first_break(before: Option<&AuditEntry>, entries: &[AuditEntry]) -> Option<i64> {
    let (mut seq, mut hash) = before.map_or((0, String::new()), |e| (e.seq, e.hash.clone()));
    for entry in entries {
        if entry.seq != seq + 1 || entry.previous != hash || entry.hash != entry.computed() {
            return Some(entry.seq);
        }
        (seq, hash) = (entry.seq, entry.hash.clone());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Vec<AuditEntry> {
        let mut all: Vec<AuditEntry> = Vec::new();
        for i in 0..5 {
            let audit = Audit {
                client_id: Some("client-a-abc123".into()),
                at: Time(i),
                actor: "key_1".into(),
                action: "client.update".into(),
                target: format!("{i}"),
            };
            let (seq, hash) = all
                .last()
                .map_or((0, String::new()), |e| (e.seq, e.hash.clone()));
            all.push(AuditEntry::after(seq, &hash, audit));
        }
        all
    }

    #[test]
    fn a_whole_chain_holds_also_in_parts() {
        let all = chain();
        assert_eq!(first_break(None, &all), None);
        assert_eq!(first_break(Some(&all[1]), &all[2..]), None);
        assert_eq!(
            first_break(None, &all[1..]),
            Some(2),
            "its beginning is missing"
        );
    }

    #[test]
    fn what_is_changed_or_missing_is_found() {
        for i in 0..5 {
            let mut changed = chain();
            changed[i].audit.actor = "somebody".into();
            assert_eq!(first_break(None, &changed), Some(i as i64 + 1));
            let mut moved = chain();
            moved[i].audit.action = "client.updat".into();
            moved[i].audit.target = format!("e{i}");
            assert_eq!(
                first_break(None, &moved),
                Some(i as i64 + 1),
                "text that moved from one part into the next"
            );
            let mut without = chain();
            without.remove(i);
            assert_eq!(first_break(None, &without).is_some(), i < 4);
        }
    }
}
