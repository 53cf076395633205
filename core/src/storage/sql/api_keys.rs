//! API keys.

use super::audit::append;
use super::value::values;
use super::{Database, Purpose, Reach, Row, SqlMeta, Transaction, Value};
use crate::model::Time;
use crate::storage::{
    AddKey, ApiKeys, EndKey, Error, ErrorKind, KeyChange, MAX_ENDED_KEYS, MAX_KEYS, Replaced,
    Result,
};
use crate::tenancy::{ApiKey, Audit, KeyUse, Network, Scope};

const KEY: &str =
    "SELECT key_id, client_id, name, last4, scopes, created_at, expires_at, revoked_at,
        networks, cluster, certificate, last_used_at, last_used_from, replaced_by
    FROM api_keys WHERE hash = $1";
const KEYS: &str =
    "SELECT key_id, client_id, name, last4, scopes, created_at, expires_at, revoked_at,
        networks, cluster, certificate, last_used_at, last_used_from, replaced_by
    FROM api_keys WHERE client_id IS NOT DISTINCT FROM $1 ORDER BY created_at, key_id";
const ADD: &str = "INSERT INTO api_keys (key_id, client_id, hash, name, last4, scopes, created_at,
        expires_at, networks, cluster, certificate)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING";
const USED: &str = "UPDATE api_keys SET last_used_at = $2, last_used_from = $3
    WHERE key_id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
const REVOKE: &str = "UPDATE api_keys SET revoked_at = $3
    WHERE key_id = $2 AND client_id IS NOT DISTINCT FROM $1 AND revoked_at IS NULL";
const REPLACE: &str = "UPDATE api_keys SET replaced_by = $4,
        expires_at = CASE WHEN expires_at < $3 THEN expires_at ELSE $3 END
    WHERE key_id = $2 AND client_id IS NOT DISTINCT FROM $1 AND revoked_at IS NULL
        AND replaced_by IS NULL";
const COUNT_WORKING: &str = "SELECT COUNT(*) FROM api_keys
    WHERE client_id IS NOT DISTINCT FROM $1 AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > $2)";
const COUNT_IF_WORKING: &str = "SELECT COUNT(*) FROM api_keys
    WHERE key_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";
const COUNT_LASTING_ADMINS: &str = "SELECT COUNT(*) FROM api_keys
    WHERE client_id IS NOT DISTINCT FROM $1 AND revoked_at IS NULL AND expires_at IS NULL
        AND ',' || scopes || ',' LIKE '%,admin,%'";
const FORGET_ENDED: &str = "DELETE FROM api_keys WHERE key_id IN (
    SELECT key_id FROM api_keys
    WHERE client_id IS NOT DISTINCT FROM $1 AND (revoked_at IS NOT NULL OR expires_at <= $2)
    ORDER BY created_at DESC, key_id LIMIT 1000000 OFFSET $3)";

#[async_trait::async_trait]
impl<D: Database> ApiKeys for SqlMeta<D> {
    async fn put_key(&self, key: &ApiKey, hash: &str) -> Result<()> {
        self.write(Reach::Operator, Purpose::Durable, ADD, columns(key, hash))
            .await?;
        Ok(())
    }

    async fn key_by_hash(&self, hash: &str) -> Result<Option<ApiKey>> {
        self.read_one(Reach::Operator, KEY, values![hash])
            .await?
            .map(key)
            .transpose()
    }

    async fn keys(&self, tenant_id: Option<&str>) -> Result<Vec<ApiKey>> {
        self.read(Reach::Operator, KEYS, values![tenant_id])
            .await?
            .into_iter()
            .map(key)
            .collect()
    }

    async fn revoke_key(&self, tenant_id: Option<&str>, key_id: &str, now: Time) -> Result<bool> {
        let values = values![tenant_id, key_id, now];
        let revoked = self
            .write(Reach::Operator, Purpose::Durable, REVOKE, values)
            .await?;
        Ok(revoked > 0)
    }

    async fn keys_used(&self, uses: &[KeyUse]) -> Result<()> {
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Replayable)
            .await?;
        // In one order: daemons that write the same keys must not wait for each other.
        let mut sorted: Vec<&KeyUse> = uses.iter().collect();
        sorted.sort_by(|a, b| a.key_id.cmp(&b.key_id));
        for used in sorted {
            let from = used.from.map(|address| address.to_string());
            tx.run(USED, values![&used.key_id, used.at, &from]).await?;
        }
        tx.commit().await
    }

    async fn change_keys(&self, change: KeyChange<'_>, audit: &Audit) -> Result<bool> {
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Durable)
            .await?;
        // Locks the end of the owner's chain: changes of the same keys follow one another.
        append(&mut *tx, audit, self.signer()).await?;
        if let Some(by) = change.by
            && count(&mut *tx, COUNT_IF_WORKING, values![by, audit.at]).await? == 0
        {
            return Ok(false);
        }
        let owner = audit.client_id.as_deref();
        let before = count(&mut *tx, COUNT_LASTING_ADMINS, values![owner]).await?;
        if let Some(new) = change.add {
            add(&mut *tx, new, audit).await?;
        }
        if let Some(old) = change.end
            && !end(&mut *tx, old, audit).await?
        {
            return Ok(false);
        }
        let after = count(&mut *tx, COUNT_LASTING_ADMINS, values![owner]).await?;
        if before > 0 && after == 0 {
            let message = "the last key with the scope `admin` that does not expire must remain";
            return Err(Error::new(ErrorKind::Conflict, message)
                .hint("create another one first: kgrca key create --role admin"));
        }
        tx.commit().await?;
        Ok(true)
    }
}

async fn add(tx: &mut dyn Transaction, new: AddKey<'_>, audit: &Audit) -> Result<()> {
    let owner = audit.client_id.as_deref();
    if count(tx, COUNT_WORKING, values![owner, audit.at]).await? >= MAX_KEYS as i64 {
        let message = format!("the maximum of {MAX_KEYS} active keys is reached");
        return Err(Error::new(ErrorKind::Conflict, message).hint("revoke keys that are unused"));
    }
    tx.run(ADD, columns(new.key, new.hash)).await?;
    let kept = MAX_ENDED_KEYS as i64;
    tx.run(FORGET_ENDED, values![owner, audit.at, kept]).await?;
    Ok(())
}

/// Returns whether there was something to end, which was not replaced before.
async fn end(tx: &mut dyn Transaction, old: EndKey<'_>, audit: &Audit) -> Result<bool> {
    let owner = audit.client_id.as_deref();
    let ended = match old.replaced {
        Some(Replaced { by, expires_at }) => {
            let values = values![owner, old.key_id, expires_at, by];
            tx.run(REPLACE, values).await?
        }
        None => tx.run(REVOKE, values![owner, old.key_id, audit.at]).await?,
    };
    Ok(ended > 0)
}

async fn count(tx: &mut dyn Transaction, sql: &'static str, values: Vec<Value>) -> Result<i64> {
    let row = tx.rows(sql, values).await?.into_iter().next();
    row.map(|mut r| r.int())
        .transpose()
        .map(Option::unwrap_or_default)
}

/// The columns of a new key's row.
fn columns(key: &ApiKey, hash: &str) -> Vec<Value> {
    let scopes: Vec<&str> = key.scopes.iter().map(|s| s.as_str()).collect();
    let networks: Vec<String> = key
        .allowed_networks
        .iter()
        .map(Network::to_string)
        .collect();
    values![
        &key.key_id,
        &key.client_id,
        hash,
        &key.name,
        &key.last4,
        scopes.join(","),
        key.created_at,
        key.expires_at,
        networks.join(","),
        &key.cluster,
        &key.certificate_sha256
    ]
}

fn key(mut r: Row) -> Result<ApiKey> {
    Ok(ApiKey {
        key_id: r.text()?,
        client_id: r.maybe_text()?,
        name: r.text()?,
        last4: r.text()?,
        scopes: r.text()?.split(',').filter_map(Scope::parse).collect(),
        created_at: r.time()?,
        expires_at: r.maybe_time()?,
        revoked_at: r.maybe_time()?,
        allowed_networks: networks(&r.text()?)?,
        cluster: r.maybe_text()?,
        certificate_sha256: r.maybe_text()?,
        last_used_at: r.maybe_time()?,
        last_used_from: r.maybe_text()?,
        replaced_by: r.maybe_text()?,
    })
}

/// A list of networks. One that cannot be read is an error: without it the key would be of use from
/// everywhere.
fn networks(list: &str) -> Result<Vec<Network>> {
    let parse = |text: &str| {
        let message = format!("invalid network `{text}` of an API key");
        Network::parse(text).ok_or_else(|| Error::new(ErrorKind::Corrupt, message))
    };
    let named = list.split(',').filter(|text| !text.is_empty());
    named.map(parse).collect()
}
