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

/// A window in which so many tokens may be taken; windows are aligned to the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What is counted, such as `api/minute`.
    pub name: &'static str,
    /// Its length in microseconds.
    pub length: i64,
    /// Its tokens.
    pub limit: u64,
}

/// Counts what tenants use against what they may.
#[async_trait::async_trait]
pub trait Limits: Send + Sync {
    /// Takes `n` tokens of a window, all or none.
    async fn take(&self, tenant: &Tenant, window: Window, n: u64, now: Time) -> Result<Taken>;

    /// Takes `n` of a day's quota. A batch begun within quota is taken whole.
    async fn take_day(&self, tenant: &Tenant, n: u64, limit: u64, now: Time) -> Result<Taken>;

    /// Gives back what was taken of a day's quota for a batch that could not be stored.
    async fn give_back_day(&self, tenant: &Tenant, n: u64, now: Time) -> Result<()>;

    /// Tells what the day has used already, after a restart.
    async fn preload_day(&self, tenant: &Tenant, used: u64, now: Time) -> Result<()>;
}
