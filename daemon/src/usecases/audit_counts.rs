//! Acts that can be repeated without end, such as failed logins, refused requests and reads: each
//! is written to the audit log at most once a minute (reads: once an hour), with its number.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kgrca_core::storage;
use kgrca_core::tenancy::Audit;

use super::actor::Actor;
use super::app::App;
use super::audit;
use crate::clock::{instant, now};

/// How often the same act is written.
const EVERY: Duration = Duration::from_mins(1);
/// How often the same read by the same actor is written: dashboards repeat theirs all day.
const READS_EVERY: Duration = Duration::from_hours(1);
/// Different acts per minute that are written one by one for the same owner. The others are counted
/// together.
const MAX_ACTS: usize = 30;
/// How an act is counted that is one too many.
const OTHERS: &str = "(others)";

/// An act without its time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Act {
    /// The tenant that it concerns. A login only names one, which may not exist.
    pub client_id: Option<String>,
    pub actor: String,
    pub action: &'static str,
    pub target: String,
    pub address: Option<String>,
}

/// Acts that are counted.
#[derive(Debug, Default)]
pub struct AuditCounts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Acts that are not written yet, and how many there were.
    waiting: BTreeMap<Act, u64>,
    /// When an act was last written.
    written: HashMap<Act, Instant>,
}

impl State {
    /// How many acts of an owner are kept apart. All failed logins have the same owner: whom they
    /// name is chosen by whoever tries.
    fn acts_of(&self, act: &Act) -> usize {
        let is_same = |other: &&Act| {
            other.action == act.action
                && (act.action == FAILED_LOGIN || other.client_id == act.client_id)
        };
        let waiting = self.waiting.keys().filter(is_same).count();
        let is_new = |other: &&Act| !self.waiting.contains_key(*other);
        waiting + self.written.keys().filter(is_same).filter(is_new).count()
    }
}

/// The action of a login that failed.
pub(super) const FAILED_LOGIN: &str = "login.failed";
/// The action of a read.
const READ: &str = "read";
const REFUSED: &str = "refused";

impl Act {
    fn rests(&self) -> Duration {
        if self.action == READ {
            READS_EVERY
        } else {
            EVERY
        }
    }
}

impl AuditCounts {
    pub(super) fn note(&self, act: Act) {
        let mut state = self.state();
        if let Some(count) = state.waiting.get_mut(&act) {
            *count += 1;
            return;
        }
        let is_known = state.written.contains_key(&act);
        let act = if is_known || state.acts_of(&act) < MAX_ACTS {
            act
        } else {
            Act {
                client_id: act.client_id.filter(|_| act.action != FAILED_LOGIN),
                actor: OTHERS.to_owned(),
                action: act.action,
                target: OTHERS.to_owned(),
                address: None,
            }
        };
        *state.waiting.entry(act).or_default() += 1;
    }

    /// Takes what is due. All is when the daemon stops.
    fn due(&self, at: Instant, is_last: bool) -> Vec<(Act, u64)> {
        let mut state = self.state();
        let State { waiting, written } = &mut *state;
        written.retain(|act, last| at.saturating_duration_since(*last) < act.rests());
        let all = std::mem::take(waiting);
        let (due, early): (BTreeMap<_, _>, _) = all
            .into_iter()
            .partition(|(act, _)| is_last || !written.contains_key(act));
        *waiting = early;
        written.extend(due.keys().map(|act| (act.clone(), at)));
        due.into_iter().collect()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a read that the audit log shows.
pub(super) fn read(app: &App, actor: &Actor, client_id: Option<&str>, what: &str) {
    count(
        app,
        actor,
        client_id,
        Counted {
            action: READ,
            target: what,
        },
    );
}

/// Counts a request that authorisation refused.
pub fn refused(app: &App, actor: &Actor, request: &str) {
    let own = actor.reached_tenant().map(|tenant| tenant.id.to_string());
    let counted = Counted {
        action: REFUSED,
        target: request,
    };
    count(app, actor, own.as_deref(), counted);
}

/// What is counted.
struct Counted<'a> {
    action: &'static str,
    target: &'a str,
}

fn count(app: &App, actor: &Actor, client_id: Option<&str>, counted: Counted<'_>) {
    let entry = audit::entry(actor, client_id, counted.action, counted.target);
    app.audit_counts.note(Act {
        client_id: entry.client_id,
        actor: entry.actor,
        action: counted.action,
        target: entry.target,
        address: entry.address,
    });
}

/// Writes the acts that are due; all of them for the last time.
///
/// # Errors
/// When the store does not answer; what is not written then is lost, except in the daemon's log.
pub async fn flush(app: &App, is_last: bool) -> storage::Result<()> {
    let mut result = Ok(());
    for (act, times) in app.audit_counts.due(instant(), is_last) {
        let written = write(app, act, times).await;
        if written.is_err() {
            result = written;
        }
    }
    result
}

async fn write(app: &App, act: Act, times: u64) -> storage::Result<()> {
    let client_id = match act.client_id {
        Some(id) => app
            .stores
            .meta
            .tenant(&id)
            .await?
            .map(|tenant| tenant.client_id),
        None => None,
    };
    let target = match times {
        1 => act.target,
        _ => format!("{}, {times} times", act.target),
    };
    let entry = Audit {
        client_id,
        at: now(),
        actor: act.actor,
        action: act.action.to_owned(),
        target,
        address: act.address,
    };
    tracing::info!(
        client_id = entry.client_id,
        actor = entry.actor,
        action = entry.action,
        target = entry.target,
        address = entry.address,
        "audit"
    );
    app.stores.meta.audit(&entry).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(tenant: &str, n: u8) -> Act {
        Act {
            client_id: Some(tenant.to_owned()),
            actor: "unknown".to_owned(),
            action: FAILED_LOGIN,
            target: "a key".to_owned(),
            address: Some(format!("192.0.2.{n}")),
        }
    }

    #[test]
    fn the_same_act_is_written_once_a_minute_with_its_number() {
        let counts = AuditCounts::default();
        let start = Instant::now();
        for _ in 0..5 {
            counts.note(login("client-a-000000", 1));
        }
        assert_eq!(counts.due(start, false), [(login("client-a-000000", 1), 5)]);
        for _ in 0..7 {
            counts.note(login("client-a-000000", 1));
        }
        assert!(counts.due(start + EVERY / 2, false).is_empty());
        let due = counts.due(start + EVERY, false);
        assert_eq!(due, [(login("client-a-000000", 1), 7)]);
    }

    #[test]
    fn a_read_is_written_once_an_hour() {
        let counts = AuditCounts::default();
        let start = Instant::now();
        let read = || Act {
            action: READ,
            ..login("client-a-000000", 1)
        };
        counts.note(read());
        assert_eq!(counts.due(start, false).len(), 1);
        counts.note(read());
        assert!(counts.due(start + EVERY * 2, false).is_empty());
        assert_eq!(counts.due(start + READS_EVERY, false), [(read(), 1)]);
    }

    #[test]
    fn however_many_addresses_try_the_log_stays_small() {
        let counts = AuditCounts::default();
        let start = Instant::now();
        let mut written = 0;
        for n in 0..200 {
            // Each names another tenant.
            counts.note(login(&format!("client-{n}-000000"), n));
            written += counts.due(start, false).len();
        }
        assert_eq!(written, MAX_ACTS + 1);
        let left = counts.due(start + EVERY, false);
        assert_eq!(left.len(), 1);
        assert_eq!(
            (left[0].0.actor.as_str(), left[0].1),
            (OTHERS, 200 - 30 - 1)
        );
    }
}
