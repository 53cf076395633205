//! The audit log: each entry holds the hash of the one before, a chain for each tenant and one for
//! the operator.

use super::admin::missing;
use super::value::values;
use super::{Database, Purpose, Reach, SqlMeta};
use crate::storage::Result;
use crate::tenancy::{Audit, AuditEntry};

/// The operator's chain.
const OPERATOR: &str = "";

impl<D: Database> SqlMeta<D> {
    pub(super) async fn write_audit(&self, audit: &Audit) -> Result<()> {
        let chain = audit.client_id.as_deref().unwrap_or(OPERATOR);
        let mut tx = self.0.begin(Reach::Operator, Purpose::Kept).await?;
        // Locks the end of the chain: two entries never follow the same one.
        let sql = "INSERT INTO audit_ends (client_id, seq, hash) VALUES ($1, 0, '')
            ON CONFLICT (client_id) DO UPDATE SET seq = audit_ends.seq RETURNING seq, hash";
        let end = tx.rows(sql, values![chain]).await?.into_iter().next();
        let mut end = end.ok_or_else(|| missing("the end of an audit chain"))?;
        let entry = AuditEntry::after(end.int()?, &end.text()?, audit.clone());
        let sql =
            "INSERT INTO audit_log (client_id, seq, at, actor, action, target, previous, hash)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let a = &entry.audit;
        let values = values![
            chain,
            entry.seq,
            a.at,
            &a.actor,
            &a.action,
            &a.target,
            &entry.previous,
            &entry.hash
        ];
        tx.run(sql, values).await?;
        let sql = "UPDATE audit_ends SET seq = $2, hash = $3 WHERE client_id = $1";
        tx.run(sql, values![chain, entry.seq, &entry.hash]).await?;
        tx.commit().await
    }

    pub(super) async fn read_audit(
        &self,
        client_id: Option<&str>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let sql = "SELECT seq, at, actor, action, target, previous, hash FROM audit_log
            WHERE client_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
        let chain = client_id.unwrap_or(OPERATOR);
        let rows = self
            .read(Reach::Operator, sql, values![chain, after, limit])
            .await?;
        rows.into_iter()
            .map(|mut r| {
                let (seq, at, actor, action, target) =
                    (r.int()?, r.time()?, r.text()?, r.text()?, r.text()?);
                let audit = Audit {
                    client_id: client_id.map(str::to_owned),
                    at,
                    actor,
                    action,
                    target,
                };
                Ok(AuditEntry {
                    seq,
                    audit,
                    previous: r.text()?,
                    hash: r.text()?,
                })
            })
            .collect()
    }
}
