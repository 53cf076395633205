//! Anchors: the signed ends of the audit log, kept outside the installation.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use kgrca_core::tenancy::{AuditAnchor, AuditEntry, first_unsigned};
use ring::signature::{ED25519, UnparsedPublicKey};

use super::super::Env;
use crate::client::As;
use crate::error::{CliError, Result, not_json};
use crate::output::Table;
use crate::private;

/// Fetches an anchor and appends it to a file as a line of JSON, or prints it.
pub(super) fn export(env: &Env<'_>, out: Option<&Path>) -> Result {
    let path = "/api/v1/admin/audit/anchor";
    let anchor: AuditAnchor = env.client()?.get(As::Operator, path, &[])?;
    let Some(file) = out else {
        return env.out.value(&anchor, || {
            Table::new(&["CHAIN", "SEQ", "HASH"]).rows(&anchor.heads, |head| {
                let chain = head.client_id.clone().unwrap_or_else(|| "operator".into());
                [chain, head.seq.to_string(), head.hash.clone()]
            })
        });
    };
    let line = serde_json::to_string(&anchor).map_err(|e| CliError::usage(e.to_string()))? + "\n";
    let written = private::append(file).and_then(|mut handle| {
        handle.write_all(line.as_bytes())?;
        handle.sync_all()
    });
    written.map_err(|e| unusable(file, &e.to_string()))?;
    env.out.message(&format!(
        "anchored {} chains in {}",
        anchor.heads.len(),
        file.display()
    ));
    Ok(())
}

fn unusable(file: &Path, reason: &str) -> CliError {
    CliError::usage(format!("{}: {reason}", file.display()))
        .hint("pass a file written by `kgrca audit anchor` or by kgrcad --audit-anchor")
}

/// Anchors of a file whose signatures were verified.
pub(super) struct Anchors {
    file: PathBuf,
    anchors: Vec<AuditAnchor>,
}

impl Anchors {
    /// Reads a file. An anchor that was changed makes it unusable.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|e| unusable(file, &e.to_string()))?;
        let mut anchors = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let wrong = |what: &str| unusable(file, &format!("line {}: {what}", i + 1));
            let anchor: AuditAnchor =
                serde_json::from_str(line).map_err(|e| wrong(&not_json(&e)))?;
            if !verifies(&anchor.public_key, &anchor.signed_text(), &anchor.signature) {
                return Err(wrong("the signature does not match"));
            }
            anchors.push(anchor);
        }
        if anchors.is_empty() {
            return Err(unusable(file, "the file contains no anchor"));
        }
        Ok(Self {
            file: file.to_owned(),
            anchors,
        })
    }

    /// How a chain, whose hashes were verified, differs from what was anchored and signed.
    pub(super) fn difference(&self, chain: Option<&str>, entries: &[AuditEntry]) -> Option<String> {
        let mut anchored = 0;
        for anchor in &self.anchors {
            let head = anchor
                .heads
                .iter()
                .find(|h| h.client_id.as_deref() == chain);
            let Some(head) = head else { continue };
            anchored = head.seq.max(anchored);
            let of = format!("anchored at {} in {}", anchor.at, self.file.display());
            match entries.iter().find(|e| e.seq == head.seq) {
                None => return Some(format!("entry {}, {of}, is missing", head.seq)),
                Some(entry) if entry.hash != head.hash => {
                    return Some(format!(
                        "entry {}, {of}, was changed, or one before it",
                        head.seq
                    ));
                }
                Some(_) => {}
            }
        }
        let keys: BTreeSet<&str> = self.anchors.iter().map(|a| a.public_key.as_str()).collect();
        let is_valid =
            |text: &str, signature: &str| keys.iter().any(|key| verifies(key, text, signature));
        let seq = first_unsigned(entries, anchored, is_valid)?;
        Some(format!(
            "entry {seq} is not signed with the key of the anchors"
        ))
    }
}

/// Whether a signature is that of a text with this key.
pub(super) fn verifies(public_key: &str, text: &str, signature: &str) -> bool {
    let (Some(key), Some(signature)) = (bytes(public_key), bytes(signature)) else {
        return false;
    };
    let key = UnparsedPublicKey::new(&ED25519, key);
    key.verify(text.as_bytes(), &signature).is_ok()
}

/// The bytes of hexadecimal digits.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = hex.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| {
        let byte = |[high, low]: &[u32; 2]| (high * 16 + low) as u8;
        pairs.iter().map(byte).collect()
    })
}
