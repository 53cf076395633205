//! The audit log: administrative actions, chained by hashes so that changes and gaps are detected.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::Time;

/// An administrative action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Audit {
    /// The tenant whose chain it belongs to; `None` for the operator's chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Time of the action.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// Id of the key that did it.
    pub actor: String,
    /// The action, such as `client.update`.
    pub action: String,
    /// What it was done to.
    pub target: String,
    /// The address from which it was done, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// An action in its chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// Sequence number in the chain, from 1.
    pub seq: i64,
    /// The action.
    #[serde(flatten)]
    pub audit: Audit,
    /// Hash of the previous entry; empty for the first one.
    pub previous: String,
    /// SHA-256 over this entry and the previous hash, in hexadecimal.
    pub hash: String,
    /// Ed25519 signature of the hash, in hexadecimal. Entries of older versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// A page of a chain.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditPage {
    /// The entries, oldest first.
    pub items: Vec<AuditEntry>,
    /// Position of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The Ed25519 key that verifies the signatures of entries, in hexadecimal. The daemon has it in a
    /// file, not in the database. Older daemons do not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}

/// Signs the audit log with a key that is not in the database: whoever can write there cannot write
/// entries that verify.
pub trait AuditSigner: std::fmt::Debug + Send + Sync {
    /// The signature of a text, in hexadecimal.
    fn sign(&self, text: &str) -> String;
    /// The key that verifies the signatures, in hexadecimal.
    fn public_key(&self) -> String;
}

/// The last entry of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditHead {
    /// The tenant whose chain it is; `None` for the operator's chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Sequence number of the entry.
    pub seq: i64,
    /// Hash of the entry.
    pub hash: String,
}

/// The last entries of all chains at a time, signed. Kept outside the installation, it shows later
/// whether the chains were rewritten or cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditAnchor {
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// The Ed25519 key that verifies this anchor and the signed entries, in hexadecimal.
    pub public_key: String,
    /// The last entry of each chain.
    pub heads: Vec<AuditHead>,
    /// Ed25519 signature of the anchor, in hexadecimal.
    pub signature: String,
}

impl AuditAnchor {
    /// An anchor of these heads.
    pub fn signed(at: Time, heads: Vec<AuditHead>, signer: &dyn AuditSigner) -> Self {
        let mut anchor = Self {
            at,
            public_key: signer.public_key(),
            heads,
            signature: String::new(),
        };
        anchor.signature = signer.sign(&anchor.signed_text());
        anchor
    }

    /// What its signature is of.
    pub fn signed_text(&self) -> String {
        let mut text = format!("kgrca audit anchor\n{}\n", self.at.0);
        for head in &self.heads {
            let chain = head.client_id.as_deref().unwrap_or_default();
            text += &format!("{chain} {} {}\n", head.seq, head.hash);
        }
        text
    }
}

impl AuditEntry {
    /// The entry that follows the entry with this number and hash.
    pub fn after(seq: i64, hash: &str, audit: Audit) -> Self {
        let mut entry = Self {
            seq: seq + 1,
            audit,
            previous: hash.to_owned(),
            hash: String::new(),
            signature: None,
        };
        entry.hash = entry.computed();
        entry
    }

    /// What its signature is of.
    pub fn signed_text(&self) -> String {
        format!("kgrca audit entry\n{}\n", self.hash)
    }

    /// The hash of its content. Each part is preceded by its length, so that no two contents give
    /// the same bytes.
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
        ]
        .into_iter()
        // Entries of older versions have none, and keep their hash.
        .chain(&a.address)
        {
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

/// Verifies the signatures of a chain. Returns the sequence number of the first entry whose
/// signature does not verify, or is missing: only versions that did not sign may have written
/// entries up to `anchored` before the first that has one. An anchor covers those by their hash.
pub fn first_unsigned(
    entries: &[AuditEntry],
    anchored: i64,
    is_valid: impl Fn(&str, &str) -> bool,
) -> Option<i64> {
    let is_old = |entry: &&AuditEntry| entry.signature.is_none() && entry.seq <= anchored;
    let signed = entries.iter().skip_while(is_old);
    let is_wrong = |entry: &&AuditEntry| {
        let signature = entry.signature.as_deref();
        !signature.is_some_and(|signature| is_valid(&entry.signed_text(), signature))
    };
    signed.filter(is_wrong).map(|entry| entry.seq).next()
}

/// Verifies consecutive entries and the entry before them. Returns the sequence number of the first
/// one that does not match.
pub fn first_break(before: Option<&AuditEntry>, entries: &[AuditEntry]) -> Option<i64> {
    let (mut seq, mut hash) = before
        .map(|e| (e.seq, e.hash.clone()))
        .unwrap_or((0, String::new()));
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
                address: (i % 2 == 0).then(|| "192.0.2.1".into()),
            };
            let (seq, hash) = all
                .last()
                .map(|e| (e.seq, e.hash.clone()))
                .unwrap_or((0, String::new()));
            all.push(AuditEntry::after(seq, &hash, audit));
        }
        all
    }

    #[test]
    fn an_unchanged_chain_is_verified_page_by_page() {
        let all = chain();
        assert_eq!(first_break(None, &all), None);
        assert_eq!(first_break(Some(&all[1]), &all[2..]), None);
        assert_eq!(
            first_break(None, &all[1..]),
            Some(2),
            "the first entry is missing"
        );
    }

    #[test]
    fn without_a_signature_are_only_entries_that_an_anchor_covers() {
        let is_valid = |_: &str, signature: &str| signature == "good";
        let mut all = chain();
        assert_eq!(first_unsigned(&all, 5, is_valid), None);
        assert_eq!(first_unsigned(&all, 3, is_valid), Some(4), "all blanked");
        assert_eq!(first_unsigned(&all, 0, is_valid), Some(1));
        for entry in &mut all[2..] {
            entry.signature = Some("good".into());
        }
        assert_eq!(first_unsigned(&all, 3, is_valid), None);
        all[3].signature = None;
        assert_eq!(first_unsigned(&all, 5, is_valid), Some(4));
        all[3].signature = Some("bad".into());
        assert_eq!(first_unsigned(&all, 5, is_valid), Some(4));
    }

    #[test]
    fn changed_and_missing_entries_are_found() {
        for i in 0..5 {
            let mut changed = chain();
            changed[i].audit.actor = "key_2".into();
            assert_eq!(first_break(None, &changed), Some(i as i64 + 1));
            let mut elsewhere = chain();
            elsewhere[i].audit.address = Some("192.0.2.2".into());
            assert_eq!(first_break(None, &elsewhere), Some(i as i64 + 1));
            let mut moved = chain();
            moved[i].audit.action = "client.updat".into();
            moved[i].audit.target = format!("e{i}");
            assert_eq!(
                first_break(None, &moved),
                Some(i as i64 + 1),
                "text moved from one field to the next"
            );
            let mut without = chain();
            without.remove(i);
            assert_eq!(first_break(None, &without).is_some(), i < 4);
        }
    }
}
