//! Receivers that fail again and again are left alone for a while, so that their notifications do
//! not hold the places of others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kgrca_core::model::Time;
use kgrca_core::model::time::{MINUTE, SECOND};
use kgrca_core::tenancy::TenantId;

/// After so many failures in a row a receiver is left alone.
const FAILURES: u32 = 3;
/// For how long at first, in microseconds.
const FIRST: i64 = 30 * SECOND;
/// For how long at most.
const LONGEST: i64 = 5 * MINUTE;
/// Of how many receivers it is known at most.
const MAX_KNOWN: usize = 10_000;

/// The receivers that failed, as this daemon saw it.
#[derive(Debug, Default)]
pub struct Breakers(Mutex<HashMap<(TenantId, String), Failures>>);

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    in_a_row: u32,
    until: Time,
}

impl Breakers {
    /// Until when a receiver is left alone.
    pub(super) fn closed_until(&self, tenant: &TenantId, receiver: &str, at: Time) -> Option<Time> {
        let known = self.known();
        let failures = known.get(&(tenant.clone(), receiver.to_owned()))?;
        Some(failures.until).filter(|until| *until > at)
    }

    /// Notes that a receiver answered.
    pub(super) fn succeeded(&self, tenant: &TenantId, receiver: &str) {
        self.known().remove(&(tenant.clone(), receiver.to_owned()));
    }

    /// Notes that a receiver failed.
    pub(super) fn failed(&self, tenant: &TenantId, receiver: &str, at: Time) {
        let mut known = self.known();
        if known.len() >= MAX_KNOWN {
            known.retain(|_, failures| failures.until > at);
        }
        if known.len() >= MAX_KNOWN {
            return;
        }
        let failures = known
            .entry((tenant.clone(), receiver.to_owned()))
            .or_default();
        failures.in_a_row += 1;
        if failures.in_a_row >= FAILURES {
            let doublings = (failures.in_a_row - FAILURES).min(10);
            failures.until = at.plus((FIRST << doublings).min(LONGEST));
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(TenantId, String), Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_fails_is_left_alone_for_longer_and_longer() {
        let breakers = Breakers::default();
        let tenant = TenantId::parse("client-acme-abc123").unwrap();
        let until = |at| breakers.closed_until(&tenant, "a", Time(at));
        breakers.failed(&tenant, "a", Time(1));
        breakers.failed(&tenant, "a", Time(1));
        assert_eq!(until(1), None);
        breakers.failed(&tenant, "a", Time(1));
        assert_eq!(until(1), Some(Time(1 + FIRST)));
        assert_eq!(until(1 + FIRST), None, "it is tried again then");
        for _ in 0..40 {
            breakers.failed(&tenant, "a", Time(1));
        }
        assert_eq!(until(1), Some(Time(1 + LONGEST)));
        assert_eq!(breakers.closed_until(&tenant, "b", Time(1)), None);
        breakers.succeeded(&tenant, "a");
        assert_eq!(until(1), None);
    }
}
