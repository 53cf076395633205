//! Which graph server holds which tenant.

use crate::storage::Result;
use crate::tenancy::TenantId;

/// Assignment of tenants to graph servers.
#[async_trait::async_trait]
pub trait GraphPlacement: Send + Sync {
    /// The graph server that holds a tenant, `host:port`.
    async fn graph_server(&self, tenant: &TenantId) -> Result<Option<String>>;
    /// Pairs of tenant id and graph server, ordered by tenant.
    async fn graph_servers(&self) -> Result<Vec<(String, String)>>;
    /// Assigns a tenant to a graph server, or to none. An `exclusive` server holds one tenant:
    /// fails with `Conflict` when it holds another.
    async fn put_graph_server(
        &self,
        tenant: &TenantId,
        server: Option<&str>,
        exclusive: bool,
    ) -> Result<()>;
}
