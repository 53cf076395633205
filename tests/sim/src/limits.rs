//! Rate limits on a server: the arithmetic of the limits in memory.

use async_trait::async_trait;
use kgrca_core::model::Time;
use kgrca_core::storage::embedded::memory::MemoryLimits;
use kgrca_core::storage::{Limits, Result, Taken, Window};
use kgrca_core::tenancy::TenantId;

use std::sync::Arc;

use crate::port::{Port, Server};

pub struct SimLimits {
    pub port: Port,
    pub server: Arc<MemoryLimits>,
}

impl SimLimits {
    async fn call<T>(&self, what: &str, effect: impl Future<Output = Result<T>>) -> Result<T> {
        let fate = self.port.sent(Server::Limits, what, true).await?;
        let result = effect.await;
        self.port.answered(fate, what).await?;
        result
    }
}

#[async_trait]
impl Limits for SimLimits {
    async fn take(&self, tenant: &TenantId, window: Window, n: u64, now: Time) -> Result<Taken> {
        let taken = self.server.take(tenant, window, n, now);
        self.call("take", taken).await
    }

    async fn give_back(&self, tenant: &TenantId, window: Window, n: u64, now: Time) -> Result<()> {
        let given = self.server.give_back(tenant, window, n, now);
        self.call("give back tokens", given).await
    }

    async fn take_day(&self, tenant: &TenantId, n: u64, limit: u64, now: Time) -> Result<Taken> {
        let taken = self.server.take_day(tenant, n, limit, now);
        self.call("take day", taken).await
    }

    async fn give_back_day(&self, tenant: &TenantId, n: u64, now: Time) -> Result<()> {
        let given = self.server.give_back_day(tenant, n, now);
        self.call("give back", given).await
    }

    async fn preload_day(&self, tenant: &TenantId, used: u64, now: Time) -> Result<()> {
        let loaded = self.server.preload_day(tenant, used, now);
        self.call("preload", loaded).await
    }

    async fn check(&self) -> Result<String> {
        Ok("simulated limits".into())
    }
}
