//! How fast a body must arrive: its bytes count as the tenant's until its end, so that a sender
//! that pauses would keep them from other requests.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::usecases::Error;

/// Bytes per second that a body needs at least, and for how long it may be slower.
const RATE: f64 = 65_536.0;
const PAUSE: Duration = Duration::from_secs(5);
/// Bodies up to this size, in bytes, may take longer: they keep little from others.
const SMALL: usize = 64 << 10;
const SMALL_PAUSE: Duration = Duration::from_secs(20);

/// Until when more of a body must have arrived.
#[derive(Clone, Copy)]
pub(super) struct Due {
    at: Instant,
    arrived: usize,
}

impl Due {
    /// For a body that begins now.
    pub(super) fn start(now: Instant) -> Self {
        Self {
            at: now + SMALL_PAUSE,
            arrived: 0,
        }
    }

    /// Moves the time by that of the bytes that arrived; what came fast saves no time for later.
    pub(super) fn arrived(&mut self, bytes: usize, now: Instant) {
        self.arrived = self.arrived.saturating_add(bytes);
        if self.arrived > SMALL {
            let time = Duration::from_secs_f64(bytes as f64 / RATE);
            // After a pause of this process, what arrived meanwhile is not late.
            self.at = (now + PAUSE).min(self.at.max(now) + time);
        }
    }

    /// Waits for more of the body.
    ///
    /// # Errors
    /// `request_timeout` when it does not arrive in time.
    pub(super) async fn in_time<T>(self, more: impl Future<Output = T>) -> Result<T, Error> {
        timeout_at(self.at.into(), more).await.map_err(|_| {
            let arrived = self.arrived;
            Error::too_slow(format!(
                "the body arrived too slowly: only {arrived} bytes so far"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// For how many seconds a body arrives in time that sends so many bytes in each.
    fn lasts(bytes: usize) -> u32 {
        let began = Instant::now();
        let mut due = Due::start(began);
        due.arrived(SMALL + 1, began);
        let is_late = |n: &u32| {
            let now = began + SECOND * *n;
            let is_late = now > due.at;
            due.arrived(bytes, now);
            is_late
        };
        (1..60).find(is_late).unwrap_or(60)
    }

    #[test]
    fn a_body_may_be_slow_for_a_moment_and_not_for_long() {
        assert_eq!(lasts(RATE as usize), 60);
        assert_eq!(lasts(RATE as usize / 2), 10);
        assert_eq!(lasts(1), 6);
    }

    #[test]
    fn what_came_fast_saves_no_time() {
        let began = Instant::now();
        let mut due = Due::start(began);
        due.arrived(24 << 20, began);
        assert_eq!(due.at, began + PAUSE);
        due.arrived(1, began + SECOND);
        assert!(due.at < began + PAUSE + SECOND / 1000);
    }

    #[test]
    fn a_small_body_has_more_time() {
        let began = Instant::now();
        let mut due = Due::start(began);
        due.arrived(SMALL, began);
        assert_eq!(due.at, began + SMALL_PAUSE);
    }

    #[tokio::test]
    async fn what_does_not_arrive_in_time_is_refused() {
        let due = Due::start(Instant::now());
        assert_eq!(due.in_time(std::future::ready(7)).await.unwrap(), 7);
        let long_ago = Instant::now().checked_sub(SMALL_PAUSE).unwrap();
        let late = Due::start(long_ago);
        let error = late.in_time(std::future::pending::<()>()).await;
        assert_eq!(error.unwrap_err().code, crate::usecases::Code::TooSlow);
    }
}
