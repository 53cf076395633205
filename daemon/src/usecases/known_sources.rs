//! Where requests with valid keys came from lately. A part of all connections is kept for these, so
//! that callers without a key cannot take all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::{instant, since};
use crate::source::{Known, source};

/// How long a source is known.
const FOR: Duration = Duration::from_hours(1);
/// Most sources that are known at a time.
const MAX: usize = 10_000;

/// Sources of requests that were authenticated.
#[derive(Debug, Default)]
pub struct KnownSources(Mutex<HashMap<IpAddr, Instant>>);

impl KnownSources {
    /// Remembers where a request came from.
    pub fn note(&self, address: IpAddr) {
        let mut all = self.all();
        let address = source(address);
        if all.len() >= MAX && !all.contains_key(&address) {
            all.retain(|_, at| since(*at) < FOR);
            if all.len() >= MAX {
                return;
            }
        }
        all.insert(address, instant());
    }

    fn all(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known for KnownSources {
    fn has(&self, source: IpAddr) -> bool {
        self.all().get(&source).is_some_and(|at| since(*at) < FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn sources_are_bounded_and_forgotten() {
        let known = KnownSources::default();
        known.note(ip("192.0.2.1"));
        for i in 0..2 * MAX as u32 {
            known.note(IpAddr::V4((0x0a00_0000 + i).into()));
        }
        assert_eq!(known.all().len(), MAX);
        assert!(known.has(ip("192.0.2.1")));
        let old = instant().checked_sub(FOR);
        known
            .all()
            .values_mut()
            .for_each(|at| *at = old.unwrap_or(*at));
        assert!(old.is_none() || !known.has(ip("192.0.2.1")));
    }
}
