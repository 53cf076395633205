//! Acts that can be repeated without end, such as failed logins, refused requests and reads: each
//! is written to the audit log at most once a minute (reads: once an hour), with its number.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kgrca_core::storage;
use kgrca_core::tenancy::Audit;

use super::actor::Actor;
use super::app::App;
use super::audit;
use super::error::Code;
use crate::clock::{instant, now};
use crate::source::source;

/// How often the same act is written.
const EVERY: Duration = Duration::from_mins(1);
/// How often the same read by the same actor is written: dashboards repeat theirs all day.
const READS_EVERY: Duration = Duration::from_hours(1);
/// Different acts per minute that are written one by one for the same actor, and for all of a
/// tenant. The others are counted together: for each actor, so that none hides what others do.
const MAX_ACTS_PER_ACTOR: usize = 10;
const MAX_ACTS: usize = 100;
/// The same for failed logins, whose tenant and key are chosen by whoever tries: from one address,
/// and from all. So one address cannot hide those of others by trying often.
const MAX_LOGINS_PER_SOURCE: usize = 5;
const MAX_LOGINS: usize = 200;
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
    pub address: Option<IpAddr>,
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
    /// An act as it is counted: as itself, or among the others of its owner.
    fn counted_as(&self, act: Act) -> Act {
        if self.has(&act) {
            return act;
        }
        if act.action != FAILED_LOGIN {
            return self.of_actor(act);
        }
        let from = act.address.map(source);
        let is_login = |other: &Act| other.action == FAILED_LOGIN;
        let is_same = |other: &Act| is_login(other) && other.address.map(source) == from;
        let act = if self.number(is_same) < MAX_LOGINS_PER_SOURCE {
            act
        } else {
            act.among_others(from)
        };
        if self.has(&act) || self.number(is_login) < MAX_LOGINS {
            act
        } else {
            act.among_others(None)
        }
    }

    /// An act of an actor that is known: as itself, or among the others of that actor.
    fn of_actor(&self, act: Act) -> Act {
        let is_same = |other: &Act| other.action == act.action && other.client_id == act.client_id;
        let is_own = |other: &Act| is_same(other) && other.actor == act.actor;
        if self.number(is_own) < MAX_ACTS_PER_ACTOR && self.number(is_same) < MAX_ACTS {
            return act;
        }
        let others = Act {
            target: OTHERS.to_owned(),
            address: None,
            ..act.clone()
        };
        if self.has(&others) || self.number(is_same) < 2 * MAX_ACTS {
            others
        } else {
            act.among_others(None)
        }
    }

    fn has(&self, act: &Act) -> bool {
        self.waiting.contains_key(act) || self.written.contains_key(act)
    }

    /// How many different acts there are of a sort.
    fn number(&self, is_same: impl Fn(&Act) -> bool) -> usize {
        let waiting = self.waiting.keys().filter(|act| is_same(act)).count();
        let is_new = |act: &&Act| !self.waiting.contains_key(*act);
        let written = self.written.keys().filter(|act| is_same(act));
        waiting + written.filter(is_new).count()
    }
}

/// The action of a login that failed.
pub(super) const FAILED_LOGIN: &str = "login.failed";
/// The action of a read.
const READ: &str = "read";
const REFUSED: &str = "refused";

impl Act {
    /// The act that stands for those that are not written one by one.
    fn among_others(self, source: Option<IpAddr>) -> Self {
        Self {
            client_id: self.client_id.filter(|_| self.action != FAILED_LOGIN),
            actor: OTHERS.to_owned(),
            action: self.action,
            target: OTHERS.to_owned(),
            address: source,
        }
    }

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
        let act = state.counted_as(act);
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

/// Counts how a request ended where the audit log shows that: when authorisation refused it.
pub fn ended(app: &App, actor: &Actor, request: &str, code: Option<Code>) {
    if code == Some(Code::Forbidden) {
        refused(app, actor, request);
    }
}

/// Counts a request that authorisation refused.
pub(super) fn refused(app: &App, actor: &Actor, request: &str) {
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
        address: actor.address.filter(|_| entry.address.is_some()),
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
        address: act.address.map(|address| address.to_string()),
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

    fn login(tenant: &str, address: &str) -> Act {
        Act {
            client_id: Some(tenant.to_owned()),
            actor: "unknown".to_owned(),
            action: FAILED_LOGIN,
            target: "a key".to_owned(),
            address: Some(address.parse().unwrap()),
        }
    }

    fn first() -> Act {
        login("client-a-000000", "192.0.2.1")
    }

    #[test]
    fn the_same_act_is_written_once_a_minute_with_its_number() {
        let counts = AuditCounts::default();
        let start = Instant::now();
        for _ in 0..5 {
            counts.note(first());
        }
        assert_eq!(counts.due(start, false), [(first(), 5)]);
        for _ in 0..7 {
            counts.note(first());
        }
        assert!(counts.due(start + EVERY / 2, false).is_empty());
        let due = counts.due(start + EVERY, false);
        assert_eq!(due, [(first(), 7)]);
    }

    #[test]
    fn a_read_is_written_once_an_hour() {
        let counts = AuditCounts::default();
        let start = Instant::now();
        let read = || Act {
            action: READ,
            ..first()
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
        for n in 0..1000 {
            // Each names another tenant.
            let address = format!("10.0.{}.{}", n / 200, n % 200);
            counts.note(login(&format!("client-{n}-000000"), &address));
            written += counts.due(start, false).len();
        }
        assert_eq!(written, MAX_LOGINS + 1);
        let left = counts.due(start + EVERY, false);
        assert_eq!(left.len(), 1);
        let (act, times) = &left[0];
        let counted = (act.actor.as_str(), *times, act.address);
        assert_eq!(counted, (OTHERS, 1000 - 200 - 1, None));
    }

    #[test]
    fn one_actor_cannot_hide_the_acts_of_others() {
        let counts = AuditCounts::default();
        let refused = |actor: String, n: usize| Act {
            actor,
            action: REFUSED,
            target: format!("GET /{n}"),
            ..first()
        };
        for n in 0..500 {
            counts.note(refused("key noise".to_owned(), n));
        }
        let quiet = refused("key thief".to_owned(), 1);
        counts.note(quiet.clone());
        let due = counts.due(Instant::now(), true);
        assert_eq!(due.len(), MAX_ACTS_PER_ACTOR + 2);
        assert!(due.contains(&(quiet, 1)));
        let rest = due.iter().find(|(act, _)| act.target == OTHERS).unwrap();
        assert_eq!((rest.0.actor.as_str(), rest.1), ("key noise", 490));
        // Actors without end are no way out either.
        for n in 0..1000 {
            counts.note(refused(format!("key {n}"), n));
        }
        assert!(counts.due(Instant::now(), true).len() <= 2 * MAX_ACTS + 1);
    }

    #[test]
    fn one_address_cannot_hide_the_logins_of_others() {
        let counts = AuditCounts::default();
        for n in 0..500 {
            counts.note(login(&format!("client-{n}-000000"), "192.0.2.1"));
            let address = format!("2001:db8:0:1::{n:x}");
            counts.note(login(&format!("client-{n}-000000"), &address));
        }
        let quiet = login("client-a-000000", "198.51.100.7");
        counts.note(quiet.clone());
        let due = counts.due(Instant::now(), true);
        assert_eq!(due.len(), 2 * (MAX_LOGINS_PER_SOURCE + 1) + 1);
        assert!(due.contains(&(quiet, 1)));
        for address in ["192.0.2.1", "2001:db8:0:1::"] {
            let address: IpAddr = address.parse().unwrap();
            let others = |act: &Act| act.actor == OTHERS && act.address == Some(address);
            let rest = due.iter().find(|(act, _)| others(act));
            assert_eq!(rest.unwrap().1, 500 - MAX_LOGINS_PER_SOURCE as u64);
        }
    }
}
