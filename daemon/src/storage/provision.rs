//! What servers must set up for a tenant. Embedded stores need nothing: the defaults are theirs.

use std::sync::Arc;

use kgrca_core::storage::embedded::log::FileLog;
use kgrca_core::storage::embedded::mars::MarsGraph;
use kgrca_core::storage::{Error, ErrorKind, Result};
use kgrca_core::tenancy::TenantId;

/// Sets tenants up on the servers behind the stores.
#[derive(Clone)]
pub struct Provisioner {
    /// Topics, users and their rights.
    pub log: Arc<dyn LogProvisioner>,
    /// The servers between which graphs can move.
    pub graph: Arc<dyn GraphProvisioner>,
}

/// Topics of a tenant, and the user under which it writes to them directly. Every method may be
/// repeated.
#[async_trait::async_trait]
pub trait LogProvisioner: Send + Sync {
    /// Whether tenants have users of their own on the log's servers.
    fn has_users(&self) -> bool {
        false
    }

    /// Creates a tenant's topics, or adjusts partitions and settings of those that exist.
    async fn put_topics(
        &self,
        _tenant: &TenantId,
        _partitions: u32,
        _retention_days: u32,
    ) -> Result<()> {
        Ok(())
    }

    /// How a tenant's topics differ from what they should be, one line each.
    async fn differences(
        &self,
        _tenant: &TenantId,
        _partitions: u32,
        _retention_days: u32,
    ) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Creates a tenant's user, or changes its password, and limits its send rate.
    async fn put_user(
        &self,
        _tenant: &TenantId,
        _password: &str,
        _bytes_per_second: f64,
    ) -> Result<()> {
        Ok(())
    }

    /// Changes the send rate of a tenant's user.
    async fn put_rate(&self, _tenant: &TenantId, _bytes_per_second: f64) -> Result<()> {
        Ok(())
    }

    /// Removes a tenant's user.
    async fn remove_user(&self, _tenant: &TenantId) -> Result<()> {
        Ok(())
    }

    /// Lets a tenant's user write to its input topics, and nothing else.
    async fn put_acls(&self, _tenant: &TenantId) -> Result<()> {
        Ok(())
    }

    /// Revokes what [`Self::put_acls`] allows.
    async fn remove_acls(&self, _tenant: &TenantId) -> Result<()> {
        Ok(())
    }
}

/// Moves a tenant's graph from one server to another. Every method may be repeated.
#[async_trait::async_trait]
pub trait GraphProvisioner: Send + Sync {
    /// Fails unless another tenant can move to a server, or when graphs cannot be moved at all.
    async fn is_free(&self, _server: &str) -> Result<()> {
        immovable()
    }

    /// Keeps all workers from writing a tenant's graph on a server.
    async fn hold(&self, _tenant: &TenantId, _server: &str) -> Result<()> {
        immovable()
    }

    /// Undoes [`Self::hold`].
    async fn unhold(&self, _tenant: &TenantId, _server: &str) -> Result<()> {
        immovable()
    }

    /// Copies a held graph to a free server, overwriting what an earlier attempt copied, and
    /// compares both.
    async fn copy(&self, _tenant: &TenantId, _from: &str, _to: &str) -> Result<()> {
        immovable()
    }

    /// Assigns a tenant to a server. Fails when that server holds another tenant by now.
    async fn switch(&self, _tenant: &TenantId, _server: &str) -> Result<()> {
        immovable()
    }

    /// Erases what is left of a tenant on a server. Fails when the tenant is assigned to it.
    async fn clear(&self, _tenant: &TenantId, _server: &str) -> Result<()> {
        immovable()
    }
}

fn immovable() -> Result<()> {
    let message = "graphs move between Neo4j servers only; this daemon stores them on disk";
    Err(Error::new(ErrorKind::Conflict, message))
}

impl LogProvisioner for FileLog {}

impl GraphProvisioner for MarsGraph {}
