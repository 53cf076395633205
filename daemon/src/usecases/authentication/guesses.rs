//! How often strangers can make the daemon look for keys that it has not seen lately.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::clock::{instant, since};
use crate::source::source;
use crate::usecases::error::{Error, Result};

/// How many keys that do not exist an address may send within how long.
const MOST: u32 = 300;
const WITHIN: Duration = Duration::from_mins(1);
/// Addresses that are remembered.
const MAX_SOURCES: usize = 10_000;
/// Keys that are looked for at a time, and the longest wait for that.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);

/// Keys that did not exist, by the address that sent them.
#[derive(Debug)]
pub struct Guesses {
    wrong: Mutex<HashMap<IpAddr, (Instant, u32)>>,
    places: Semaphore,
}

impl Default for Guesses {
    fn default() -> Self {
        Self {
            wrong: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
        }
    }
}

impl Guesses {
    /// Waits until the store may be asked for a key.
    ///
    /// # Errors
    /// `rate_limited` after too many wrong ones from the address; `unavailable` while too many keys
    /// of all addresses are looked for.
    pub(super) async fn begin(&self, address: Option<IpAddr>) -> Result<SemaphorePermit<'_>> {
        if let Some(address) = address {
            self.check(source(address))?;
        }
        let place = timeout(PATIENCE, self.places.acquire()).await;
        let Ok(Ok(place)) = place else {
            return Err(Error::overloaded("too many unknown keys are being checked"));
        };
        Ok(place)
    }

    fn check(&self, source: IpAddr) -> Result<()> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((began, count)) = wrong.get(&source) else {
            return Ok(());
        };
        let left = WITHIN.saturating_sub(since(*began));
        if *count < MOST || left.is_zero() {
            return Ok(());
        }
        let message = format!("too many unknown keys from {source}");
        Err(Error {
            retry_after: Some(left.as_secs() + 1),
            ..Error::busy(message).hint("keys that were used before keep working")
        })
    }

    /// Counts a key that does not exist.
    pub(super) fn was_wrong(&self, address: Option<IpAddr>) {
        let Some(address) = address.map(source) else {
            return;
        };
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= MAX_SOURCES && !wrong.contains_key(&address) {
            wrong.retain(|_, (began, _)| since(*began) < WITHIN);
            if wrong.len() >= MAX_SOURCES {
                wrong.clear();
            }
        }
        let (began, count) = wrong.entry(address).or_insert((instant(), 0));
        if since(*began) >= WITHIN {
            (*began, *count) = (instant(), 0);
        }
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn an_address_that_guesses_waits_and_others_do_not() {
        let guesses = Guesses::default();
        for _ in 0..MOST {
            drop(guesses.begin(Some(ip("2001:db8::1"))).await.unwrap());
            guesses.was_wrong(Some(ip("2001:db8::1")));
        }
        let error = guesses.begin(Some(ip("2001:db8::2"))).await.unwrap_err();
        assert_eq!(error.code, crate::usecases::Code::RateLimited);
        assert!(error.retry_after.is_some_and(|s| (50..=61).contains(&s)));
        assert!(guesses.begin(Some(ip("192.0.2.1"))).await.is_ok());
        assert!(guesses.begin(None).await.is_ok());
        let long_ago = instant().checked_sub(WITHIN).unwrap();
        let set = |(began, _): &mut (Instant, u32)| *began = long_ago;
        guesses.wrong.lock().unwrap().values_mut().for_each(set);
        assert!(guesses.begin(Some(ip("2001:db8::1"))).await.is_ok());
    }

    #[test]
    fn addresses_are_bounded() {
        let guesses = Guesses::default();
        for n in 0..2 * MAX_SOURCES as u32 {
            guesses.was_wrong(Some(IpAddr::V4((0x0a00_0000 + n).into())));
        }
        assert!(guesses.wrong.lock().unwrap().len() <= MAX_SOURCES);
    }
}
