//! Root cause analysis of records that are sent along.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kgrca_core::analyze::{self, Analysis, Bounds, Stopped};
use kgrca_core::detect::{Pace, Phase, Watch};
use kgrca_core::tenancy::Scope;

use super::actor::Actor;
use super::app::App;
use super::error::{Error, Result};
use super::rca::charge;
use crate::clock::{instant, now, since};

/// Most bytes and records that are analyzed at once.
const MAX_BYTES: usize = 8 << 20;
const MAX_RECORDS: usize = 50_000;
/// Most objects, also for a plan that allows more live ones.
const MAX_OBJECTS: u64 = 20_000;
/// Until when detectors inspect resources and compare them, and causes are ranked: what is left
/// then is missing from the answer.
const INSPECT_FOR: Duration = Duration::from_secs(20);
const COMPARE_FOR: Duration = Duration::from_secs(25);
const RANK_FOR: Duration = Duration::from_secs(30);
/// After how long it is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(35);
/// Of all these, an analysis has only a part while other tenants wait for its place.
const WANTED: u32 = 4;

/// Calls an analysis off when its request ends, for example because the client is gone.
struct CallOff(Arc<AtomicBool>);

impl Drop for CallOff {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The causes in records of any kind. Nothing is stored.
///
/// # Errors
/// `invalid_request` without records; `payload_too_large` with too many of them; `rate_limited`
/// while the tenant has an analysis running; `unavailable` when it takes too long, also for others
/// that wait; `quota_exceeded` beyond the plan's RCA queries per hour.
pub async fn analyze(app: &App, actor: &Actor, records: Bytes) -> Result<Analysis> {
    let tenant = actor.tenant(Scope::Read)?;
    if records.trim_ascii().is_empty() {
        return Err(Error::invalid("the body is empty")
            .hint("send records: a JSON document, an array, or one record per line"));
    }
    if records.len() > MAX_BYTES {
        let bytes = records.len();
        return Err(too_large(format!(
            "the body has {bytes} bytes; the maximum is {MAX_BYTES}"
        )));
    }
    let place = app.budgets.analyze(tenant.id).await?;
    charge(app, tenant, 1).await?;
    let options = analyze::Options {
        top: kgrca_core::rca::MAX_CAUSES,
        now: now(),
        ..analyze::Options::default()
    };
    let objects = tenant
        .plan
        .live_objects
        .unwrap_or(MAX_OBJECTS)
        .min(MAX_OBJECTS);
    let is_over = Arc::new(AtomicBool::new(false));
    let _call_off = CallOff(Arc::clone(&is_over));
    let analysis = tokio::task::spawn_blocking(move || {
        // The place is taken until the work ends, whatever becomes of the request.
        let limits = Limits {
            is_over,
            is_wanted: &|| place.gives_way(),
            objects: objects as usize,
        };
        within(&limits, &records, &options)
    });
    analysis
        .await
        .map_err(Error::internal)?
        .map_err(|stopped| match stopped {
            Stopped::Records => too_large(format!("more than {MAX_RECORDS} records")),
            Stopped::Objects => too_large(format!("more than {objects} objects")),
            Stopped::CalledOff => Error::overloaded("the analysis took too long")
                .hint("send fewer records; it has less time while other tenants wait"),
        })
}

/// What ends an analysis early.
struct Limits<'a> {
    /// Its request has ended.
    is_over: Arc<AtomicBool>,
    /// Other tenants wait for its place.
    is_wanted: &'a dyn Fn() -> bool,
    objects: usize,
}

impl Limits<'_> {
    fn pace(&self, phase: Phase, time: Duration) -> Pace {
        let limit = match phase {
            Phase::Inspection => INSPECT_FOR,
            Phase::Comparison => COMPARE_FOR,
            Phase::Ranking => RANK_FOR,
        };
        if self.is_over.load(Ordering::Relaxed) {
            return Pace::Abort;
        }
        let ends = |part: u32| match time {
            time if time > GIVE_UP_AFTER / part => Pace::Abort,
            time if time > limit / part => Pace::EndPhase,
            _ => Pace::Continue,
        };
        match ends(WANTED) {
            Pace::Continue => Pace::Continue,
            pace if (self.is_wanted)() => pace,
            _ => ends(1),
        }
    }
}

fn within(
    limits: &Limits<'_>,
    records: &[u8],
    options: &analyze::Options,
) -> std::result::Result<Analysis, Stopped> {
    let started = instant();
    let pace = |phase| limits.pace(phase, since(started));
    let bounds = Bounds {
        records: MAX_RECORDS,
        objects: limits.objects,
        watch: Watch::new(&pace),
    };
    analyze::analyze_within(&bounds, "request", records, options)
}

fn too_large(message: String) -> Error {
    Error::too_large(message).hint("send fewer records, or analyze them with `kgrca analyze FILE`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_analysis_has_less_time_while_others_wait() {
        let seconds = Duration::from_secs;
        for (is_wanted, phase, time, pace) in [
            (false, Phase::Inspection, 19, Pace::Continue),
            (false, Phase::Inspection, 21, Pace::EndPhase),
            (false, Phase::Ranking, 29, Pace::Continue),
            (false, Phase::Ranking, 36, Pace::Abort),
            (true, Phase::Inspection, 4, Pace::Continue),
            (true, Phase::Inspection, 6, Pace::EndPhase),
            (true, Phase::Ranking, 9, Pace::Abort),
        ] {
            let limits = Limits {
                is_over: Arc::default(),
                is_wanted: &|| is_wanted,
                objects: 1,
            };
            assert_eq!(
                limits.pace(phase, seconds(time)),
                pace,
                "{phase:?} {time} s"
            );
            limits.is_over.store(true, Ordering::Relaxed);
            assert_eq!(limits.pace(phase, seconds(0)), Pace::Abort);
        }
    }
}
