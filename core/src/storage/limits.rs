//! Rates and day quotas.

use super::{Result, Tenant};
use crate::model::Time;

/// What became of a request for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether they were given.
    pub allowed: bool,
    /// Tokens of the window.
    pub limit: u64,
    /// Tokens that are left.
    pub remaining: u64,
    /// When the window starts anew.
    pub reset: Time,
}

/// Counts what tenants use against what they may.
#[async_trait::async_trait]
pub trait Limits: Send + Sync {
    /// Takes one token of a window such as `api/minute`; windows are aligned to the clock.
    async fn take(&self, tenant: &Tenant, window: &str, length: i64, limit: u64, now: Time) -> Result<Taken>;

    /// Takes `n` of a day's quota. A batch begun within quota is taken whole.
    async fn take_day(&self, tenant: &Tenant, n: u64, limit: u64, now: Time) -> Result<Taken>;

    /// Tells what the day has used already, after a restart.
    async fn preload_day(&self, tenant: &Tenant, used: u64, now: Time) -> Result<()>;
}
