//! The only reader of the system clock for timestamps that end up in data.

use kgrca_core::model::Time;
#[cfg(feature = "server")]
pub use timing::{instant, since, sleep};

#[cfg(feature = "server")]
use crate::environment;

/// The current time, in whole microseconds.
pub fn now() -> Time {
    #[cfg(feature = "server")]
    if let Some(simulated) = environment::now() {
        return simulated;
    }
    Time(jiff::Timestamp::now().as_microsecond())
}

#[cfg(feature = "server")]
mod timing {
    use std::time::{Duration, Instant};

    use crate::environment;

    /// The current instant, for measuring how long something took.
    pub fn instant() -> Instant {
        environment::instant().unwrap_or_else(Instant::now)
    }

    /// How long ago an instant was.
    pub fn since(earlier: Instant) -> Duration {
        instant().saturating_duration_since(earlier)
    }

    /// Waits.
    pub async fn sleep(duration: Duration) {
        match environment::sleep(duration) {
            Some(simulated) => simulated.await,
            None => tokio::time::sleep(duration).await,
        }
    }
}
