//! The audit log: each entry holds the hash of the one before. There is one chain per tenant and
//! one for the operator.

use super::value::values;
use super::{Database, Purpose, Reach, Row, SqlMeta, Transaction, missing};
use crate::storage::{AuditLog, MAX_AUDIT_BYTES, Result};
use crate::tenancy::{Audit, AuditEntry, AuditHead, AuditSigner};

/// Name of the operator's chain.
const OPERATOR: &str = "";

/// An entry belongs to the page when those before it are below the limit of bytes.
const PAGE: &str = "SELECT seq, at, actor, action, target, previous, hash, signature,
        address
    FROM audit_log
    WHERE client_id = $1 AND seq IN (
        SELECT seq FROM (
            SELECT seq, bytes, SUM(bytes) OVER (ORDER BY seq) AS total FROM (
                SELECT seq, LENGTH(actor) + LENGTH(action) + LENGTH(target) + 200 AS bytes
                FROM audit_log WHERE client_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
            ) AS entries
        ) AS running WHERE total - bytes < $4
    ) ORDER BY seq";

#[async_trait::async_trait]
impl<D: Database> AuditLog for SqlMeta<D> {
    async fn audit(&self, audit: &Audit) -> Result<()> {
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Durable)
            .await?;
        append(&mut *tx, audit, self.signer()).await?;
        tx.commit().await
    }

    async fn audit_heads(&self) -> Result<Vec<AuditHead>> {
        let sql = "SELECT client_id, seq, hash FROM audit_ends ORDER BY client_id";
        let rows = self.read(Reach::Operator, sql, Vec::new()).await?;
        let head = |mut r: Row| {
            let client_id = Some(r.text()?).filter(|chain| chain != OPERATOR);
            Ok(AuditHead {
                client_id,
                seq: r.int()?,
                hash: r.text()?,
            })
        };
        rows.into_iter().map(head).collect()
    }

    async fn audit_log(
        &self,
        tenant_id: Option<&str>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let chain = tenant_id.unwrap_or(OPERATOR);
        let values = values![chain, after, limit, MAX_AUDIT_BYTES];
        let rows = self.read(Reach::Operator, PAGE, values).await?;
        rows.into_iter()
            .map(|mut r| {
                let (seq, at, actor, action, target) =
                    (r.int()?, r.time()?, r.text()?, r.text()?, r.text()?);
                let (previous, hash, signature) = (r.text()?, r.text()?, r.maybe_text()?);
                let audit = Audit {
                    client_id: tenant_id.map(str::to_owned),
                    at,
                    actor,
                    action,
                    target,
                    address: r.maybe_text()?,
                };
                Ok(AuditEntry {
                    seq,
                    audit,
                    previous,
                    hash,
                    signature,
                })
            })
            .collect()
    }
}

/// Appends an entry to its chain within a transaction of the operator.
pub(super) async fn append(
    tx: &mut dyn Transaction,
    audit: &Audit,
    signer: Option<&dyn AuditSigner>,
) -> Result<()> {
    let chain = audit.client_id.as_deref().unwrap_or(OPERATOR);
    // An upsert locks the end of the chain, so that no two entries follow the same one.
    let sql = "INSERT INTO audit_ends (client_id, seq, hash) VALUES ($1, 0, '')
        ON CONFLICT (client_id) DO UPDATE SET seq = audit_ends.seq RETURNING seq, hash";
    let end = tx.rows(sql, values![chain]).await?.into_iter().next();
    let mut end = end.ok_or_else(|| missing("end of the audit chain"))?;
    let entry = AuditEntry::after(end.int()?, &end.text()?, audit.clone());
    let signature = signer.map(|signer| signer.sign(&entry.signed_text()));
    let sql = "INSERT INTO audit_log (client_id, seq, at, actor, action, target, previous, hash,
            signature, address)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let a = &entry.audit;
    let values = values![
        chain,
        entry.seq,
        a.at,
        &a.actor,
        &a.action,
        &a.target,
        &entry.previous,
        &entry.hash,
        &signature,
        &a.address
    ];
    tx.run(sql, values).await?;
    let sql = "UPDATE audit_ends SET seq = $2, hash = $3 WHERE client_id = $1";
    tx.run(sql, values![chain, entry.seq, &entry.hash]).await?;
    Ok(())
}
