//! Tenants' topics, users and rights in Kafka.

use kgrca_core::storage::Result;
use kgrca_core::tenancy::TenantId;

use super::KafkaLog;
use crate::storage::LogProvisioner;

#[async_trait::async_trait]
impl LogProvisioner for KafkaLog {
    fn has_users(&self) -> bool {
        true
    }

    async fn put_topics(
        &self,
        tenant: &TenantId,
        partitions: u32,
        retention_days: u32,
    ) -> Result<()> {
        self.admin
            .put_topics(tenant, partitions, retention_days)
            .await
    }

    async fn differences(
        &self,
        tenant: &TenantId,
        partitions: u32,
        retention_days: u32,
    ) -> Result<Vec<String>> {
        self.admin
            .differences(tenant, partitions, retention_days)
            .await
    }

    async fn put_user(
        &self,
        tenant: &TenantId,
        password: &str,
        bytes_per_second: f64,
    ) -> Result<()> {
        self.admin
            .put_user(tenant, password, bytes_per_second)
            .await
    }

    async fn put_rate(&self, tenant: &TenantId, bytes_per_second: f64) -> Result<()> {
        self.admin.put_rate(tenant, bytes_per_second).await
    }

    async fn remove_user(&self, tenant: &TenantId) -> Result<()> {
        self.admin.remove_user(tenant).await
    }

    async fn put_acls(&self, tenant: &TenantId) -> Result<()> {
        self.admin.put_acls(tenant).await
    }

    async fn remove_acls(&self, tenant: &TenantId) -> Result<()> {
        self.admin.remove_acls(tenant).await
    }
}
