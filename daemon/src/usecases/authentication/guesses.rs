//! How often strangers can make the daemon look for keys that it has not seen lately.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clock::{instant, since};
use crate::source::source;
use crate::usecases::error::{Error, Result};

/// How many keys that do not exist an address may send within how long before it is slowed down.
const MOST: u32 = 300;
const WITHIN: Duration = Duration::from_mins(1);
/// Addresses that are remembered.
const MAX_SOURCES: usize = 10_000;
/// Keys that are looked for at a time, and those of addresses that guess.
const AT_ONCE: usize = 16;
const OF_GUESSERS: usize = 2;

/// Keys that did not exist, by the address that sent them.
#[derive(Debug)]
pub struct Guesses {
    wrong: Mutex<HashMap<IpAddr, (Instant, u32)>>,
    places: Semaphore,
    of_guessers: Semaphore,
}

impl Default for Guesses {
    fn default() -> Self {
        Self {
            wrong: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
            of_guessers: Semaphore::new(OF_GUESSERS),
        }
    }
}

/// The right to ask the store for a key, until it is dropped.
#[derive(Debug)]
pub(super) struct Look<'a> {
    _of_guesser: Option<SemaphorePermit<'a>>,
    _place: SemaphorePermit<'a>,
}

impl Guesses {
    /// Waits until the store may be asked for a key. Addresses that sent many wrong ones wait for each
    /// other, and are not refused: others may share them, behind a proxy.
    ///
    /// # Errors
    /// None in practice: the places are never closed.
    pub(super) async fn begin(&self, address: Option<IpAddr>) -> Result<Look<'_>> {
        let is_guesser = address.is_some_and(|address| self.is_guesser(source(address)));
        let of_guesser = if is_guesser {
            Some(self.of_guessers.acquire().await.map_err(Error::internal)?)
        } else {
            None
        };
        Ok(Look {
            _of_guesser: of_guesser,
            _place: self.places.acquire().await.map_err(Error::internal)?,
        })
    }

    fn is_guesser(&self, source: IpAddr) -> bool {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let of_source = wrong.get(&source);
        of_source.is_some_and(|(began, count)| *count >= MOST && since(*began) < WITHIN)
    }

    /// Counts a key that does not exist.
    pub(super) fn was_wrong(&self, address: Option<IpAddr>) {
        let Some(address) = address.map(source) else {
            return;
        };
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= MAX_SOURCES && !wrong.contains_key(&address) {
            wrong.retain(|_, (began, _)| since(*began) < WITHIN);
            let oldest = wrong.iter().min_by_key(|(_, (began, _))| *began);
            let oldest = oldest.map(|(source, _)| *source);
            if let Some(oldest) = oldest.filter(|_| wrong.len() >= MAX_SOURCES) {
                wrong.remove(&oldest);
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
    async fn addresses_that_guess_wait_for_each_other_and_are_not_refused() {
        let guesses = Guesses::default();
        for _ in 0..MOST {
            drop(guesses.begin(Some(ip("2001:db8::1"))).await.unwrap());
            guesses.was_wrong(Some(ip("2001:db8::1")));
        }
        let guesser = Some(ip("2001:db8::2"));
        let mut held = Vec::new();
        for _ in 0..OF_GUESSERS {
            held.push(guesses.begin(guesser).await.unwrap());
        }
        let mut next = Box::pin(guesses.begin(guesser));
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, &mut next).await.is_err());
        assert!(guesses.begin(Some(ip("192.0.2.1"))).await.is_ok());
        assert!(guesses.begin(None).await.is_ok());
        held.pop();
        assert!(next.await.is_ok());
        let long_ago = instant().checked_sub(WITHIN).unwrap();
        let set = |(began, _): &mut (Instant, u32)| *began = long_ago;
        guesses.wrong.lock().unwrap().values_mut().for_each(set);
        assert!(!guesses.is_guesser(source(ip("2001:db8::1"))));
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
