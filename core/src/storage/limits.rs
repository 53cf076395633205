//! Rate limits and daily quotas.

use super::Result;
use crate::model::Time;
use crate::model::time::DAY;
use crate::tenancy::TenantId;

/// The result of a request for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether the tokens were granted.
    pub allowed: bool,
    /// Number of tokens of the window.
    pub limit: u64,
    /// Number of tokens left.
    pub remaining: u64,
    /// When all tokens are available again.
    pub reset: Time,
    /// When the same request can succeed; now if it did.
    pub retry: Time,
}

/// A rate limit: tokens that are refilled evenly over a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What it limits, such as `api/minute`.
    pub name: &'static str,
    /// Its length in microseconds.
    pub length: i64,
    /// Number of its tokens.
    pub limit: u64,
}

impl Window {
    /// Microseconds until one token is refilled; the length of a window without tokens.
    pub fn interval(&self) -> i64 {
        self.length
            .checked_div(self.limit as i64)
            .unwrap_or(self.length)
            .max(1)
    }

    /// Microseconds until `n` tokens are refilled.
    pub fn tokens(&self, n: u64) -> i64 {
        (n as i64).saturating_mul(self.interval())
    }

    /// The result of a request for `n` tokens after which all tokens are available at `full`, see
    /// [`gcra`].
    pub fn taken(&self, allowed: bool, full: Time, n: u64, now: Time) -> Taken {
        let (interval, room) = (self.interval(), self.limit as i64 * self.interval());
        let retry = if allowed {
            now
        } else {
            Time((full.0 + n as i64 * interval - room).max(now.0))
        };
        let remaining = ((now.0 + room - full.0) / interval).max(0) as u64;
        Taken {
            allowed,
            limit: self.limit,
            remaining,
            reset: full,
            retry: retry.min(full.max(now)),
        }
    }
}

/// The generic cell rate algorithm in its virtual scheduling form (ITU-T I.371, annex A). The only
/// state of a window is the time `full` at which all its tokens are available. Returns whether `n`
/// tokens are granted, and the new `full`.
pub fn gcra(full: Time, window: Window, n: u64, now: Time) -> (bool, Time) {
    let interval = window.interval();
    let before = full.max(now);
    let after = before.plus(window.tokens(n));
    let allowed = after.0 - now.0 <= window.limit as i64 * interval;
    (allowed, if allowed { after } else { before })
}

/// The result of a request for a day's quota of which `used` is used.
pub fn of_day(allowed: bool, limit: u64, used: u64, now: Time) -> Taken {
    let reset = Time((now.0.div_euclid(DAY) + 1) * DAY);
    let retry = if allowed { now } else { reset };
    Taken {
        allowed,
        limit,
        remaining: limit.saturating_sub(used),
        reset,
        retry,
    }
}

/// Rate limits and quotas of tenants.
#[async_trait::async_trait]
pub trait Limits: Send + Sync {
    /// Takes `n` tokens of a window, all or none.
    async fn take(&self, tenant: &TenantId, window: Window, n: u64, now: Time) -> Result<Taken>;

    /// Returns `n` tokens of a window, taken for what could not be done.
    async fn give_back(&self, tenant: &TenantId, window: Window, n: u64, now: Time) -> Result<()>;

    /// Takes `n` of a day's quota. A batch that starts within the quota is granted in full.
    async fn take_day(&self, tenant: &TenantId, n: u64, limit: u64, now: Time) -> Result<Taken>;

    /// Returns quota taken for a batch that could not be stored.
    async fn give_back_day(&self, tenant: &TenantId, n: u64, now: Time) -> Result<()>;

    /// Sets the quota used on this day, after a restart.
    async fn preload_day(&self, tenant: &TenantId, used: u64, now: Time) -> Result<()>;

    /// Checks that the backend is available. Returns its name and version.
    async fn check(&self) -> Result<String>;
}
