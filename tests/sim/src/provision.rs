//! Topics, users and rights of tenants on the log's server.

use async_trait::async_trait;
use kgrca_core::storage::Result;
use kgrca_core::tenancy::TenantId;
use kgrca_daemon::storage::{GraphProvisioner, LogProvisioner};

use crate::log::{Brokers, Topics};
use crate::port::{Port, Server};

pub struct SimProvisioner {
    pub port: Port,
    pub brokers: Brokers,
}

impl SimProvisioner {
    async fn change(
        &self,
        what: &str,
        tenant: &TenantId,
        change: impl FnOnce(&mut Topics),
    ) -> Result<()> {
        let effect = || {
            // Users and rights exist without topics, too.
            if let Some(topics) = self.brokers.all().get_mut(tenant) {
                change(topics);
            }
            Ok(())
        };
        self.port.call(Server::Log, what, true, effect).await
    }
}

#[async_trait]
impl LogProvisioner for SimProvisioner {
    fn has_users(&self) -> bool {
        true
    }

    async fn put_topics(&self, tenant: &TenantId, _: u32, _: u32) -> Result<()> {
        let effect = || {
            self.brokers.all().entry(tenant.clone()).or_default();
            Ok(())
        };
        self.port
            .call(Server::Log, "put topics", true, effect)
            .await
    }

    async fn put_user(&self, tenant: &TenantId, _: &str, _: f64) -> Result<()> {
        self.change("put user", tenant, |t| t.user = true).await
    }

    async fn remove_user(&self, tenant: &TenantId) -> Result<()> {
        self.change("remove user", tenant, |t| t.user = false).await
    }

    async fn put_acls(&self, tenant: &TenantId) -> Result<()> {
        self.change("put acls", tenant, |t| t.acls = true).await
    }

    async fn remove_acls(&self, tenant: &TenantId) -> Result<()> {
        self.change("remove acls", tenant, |t| t.acls = false).await
    }
}

/// Graphs do not move.
pub struct Immovable;

impl GraphProvisioner for Immovable {}
