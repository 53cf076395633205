//! Rates and day quotas.

use super::Result;
use crate::model::Time;
use crate::model::time::DAY;
use crate::tenancy::TenantId;

/// What became of a request for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether they were given.
    pub allowed: bool,
    /// Tokens of the window.
    pub limit: u64,
    /// Tokens that are left.
    pub remaining: u64,
    /// When all tokens are there again.
    pub reset: Time,
    /// When the same request may succeed; now when it did.
    pub retry: Time,
}

/// A rate: so many tokens that come back evenly over a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What is counted, such as `api/minute`.
    pub name: &'static str,
    /// Its length in microseconds.
    pub length: i64,
    /// Its tokens.
    pub limit: u64,
}

impl Window {
    /// Microseconds until one token comes back; a window without tokens gets none.
    pub fn interval(&self) -> i64 {
        self.length
            .checked_div(self.limit as i64)
            .unwrap_or(self.length)
            .max(1)
    }

    /// What a request for `n` tokens got, when all tokens are back at `full` after it, see
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

/// The generic cell rate algorithm in its virtual scheduling form (ITU-T I.371, annex A): all that
/// is kept of a window is when its last token is back. Returns whether `n` tokens are given, and
/// when all are back now.
pub fn gcra(full: Time, window: Window, n: u64, now: Time) -> (bool, Time) {
    let interval = window.interval();
    let before = full.max(now);
    let after = before.plus((n as i64).saturating_mul(interval));
    let allowed = after.0 - now.0 <= window.limit as i64 * interval;
    (allowed, if allowed { after } else { before })
}

/// What a request for a day's quota gets when so much of it is used.
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

/// Counts what tenants use against what they may.
#[async_trait::async_trait]
pub trait Limits: Send + Sync {
    /// Takes `n` tokens of a window, all or none.
    async fn take(&self, tenant: &TenantId, window: Window, n: u64, now: Time) -> Result<Taken>;

    /// Takes `n` of a day's quota. A batch begun within quota is taken whole.
    async fn take_day(&self, tenant: &TenantId, n: u64, limit: u64, now: Time) -> Result<Taken>;

    /// Gives back what was taken of a day's quota for a batch that could not be stored.
    async fn give_back_day(&self, tenant: &TenantId, n: u64, now: Time) -> Result<()>;

    /// Tells what the day has used already, after a restart.
    async fn preload_day(&self, tenant: &TenantId, used: u64, now: Time) -> Result<()>;

    /// Name and version of what counts, and whether it answers.
    async fn check(&self) -> Result<String>;
}
