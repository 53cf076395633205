//! `kgrca incident ack` and `kgrca incident resolve`

use std::time::{Duration, Instant};

use kgrca_core::api::{Handled, IncidentChange, Stats};
use kgrca_core::incident::State;
use kgrca_core::storage::IncidentRow;
use reqwest::Method;

use super::{Env, path};
use crate::client::{As, Client};
use crate::error::Result;

/// How long to wait for the engine to process a change.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Args {
    /// Incident ID, e.g. inc-12
    #[arg(add = crate::complete::incidents())]
    id: String,
    /// Note to record with the change
    #[arg(long)]
    note: Option<String>,
}

/// What is known of a change after waiting for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The incident has the requested state.
    Done,
    /// The change is recorded and waits behind this many records.
    Queued { lag: u64 },
    /// The engine processed it, and the incident has another state.
    Reverted(State),
    /// The key may change incidents but not read them.
    Unreadable,
}

pub(super) fn run(env: &Env<'_>, args: Args, requested: Handled) -> Result {
    let client = env.client()?;
    let body = IncidentChange {
        state: requested,
        note: args.note,
    };
    let before: IncidentRow = client.send(Method::PATCH, As::Tenant, &path(&args.id), &body)?;
    let outcome = wait(&client, &args.id, requested);
    env.out.message(&message(&args.id, requested, outcome));
    if requested == Handled::Resolved
        && let Some(active @ 1..) = before.active_symptoms
    {
        env.out.message(&still_active(&args.id, active));
    }
    Ok(())
}

/// A warning that the outage continues, and what reopens the incident.
fn still_active(id: &str, active: usize) -> String {
    let (symptoms, are) = match active {
        1 => ("1 symptom".to_owned(), "is"),
        n => (format!("{n} symptoms"), "are"),
    };
    format!(
        "warning: {symptoms} of {id} {are} still active. It reopens when a new warning, error log \
         or alert of them arrives, not while their state merely stays the same: check \
         `kgrca rca {id}` and `kgrca resource list --unhealthy`"
    )
}

/// Waits until the engine has processed the change: it is a record like any other.
fn wait(client: &Client, id: &str, requested: Handled) -> Outcome {
    let wanted = match requested {
        Handled::Resolved => State::Resolved,
        Handled::Acknowledged => State::Acknowledged,
    };
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let Ok(row) = client.get::<IncidentRow>(As::Tenant, &path(id), &[]) else {
            return Outcome::Unreadable;
        };
        if row.state == wanted {
            return Outcome::Done;
        }
        if Instant::now() > deadline {
            let stats = client.get::<Stats>(As::Tenant, "/api/v1/stats", &[]);
            return match stats.map(|s| s.lag) {
                Ok(0) => Outcome::Reverted(row.state),
                Ok(lag) => Outcome::Queued { lag },
                Err(_) => Outcome::Unreadable,
            };
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn message(id: &str, requested: Handled, outcome: Outcome) -> String {
    let (noun, done) = match requested {
        Handled::Resolved => ("resolution", "resolved"),
        Handled::Acknowledged => ("acknowledgement", "acknowledged"),
    };
    match outcome {
        Outcome::Done => format!("{id} is {done}"),
        Outcome::Queued { lag } => {
            format!("{noun} of {id} is queued behind {lag} records (see `kgrca stats`)")
        }
        Outcome::Reverted(state) => format!(
            "{noun} of {id} was recorded, but it is {}: see `kgrca incident show {id}`",
            state.as_str()
        ),
        Outcome::Unreadable => {
            format!("{noun} of {id} was recorded; this key cannot read whether it took effect")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolve_while_symptoms_last_is_a_warning() {
        let text = still_active("inc-1", 3);
        let start = "warning: 3 symptoms of inc-1 are still active. It reopens";
        assert!(text.starts_with(start), "{text}");
        assert!(still_active("inc-1", 1).contains("1 symptom of inc-1 is still"));
    }

    #[test]
    fn the_message_says_what_really_happened() {
        let shown = |outcome| message("inc-1", Handled::Resolved, outcome);
        assert_eq!(shown(Outcome::Done), "inc-1 is resolved");
        assert_eq!(
            shown(Outcome::Queued { lag: 12 }),
            "resolution of inc-1 is queued behind 12 records (see `kgrca stats`)"
        );
        assert_eq!(
            shown(Outcome::Reverted(State::Reopened)),
            "resolution of inc-1 was recorded, but it is reopened: see `kgrca incident show inc-1`"
        );
        assert_eq!(
            message("inc-1", Handled::Acknowledged, Outcome::Unreadable),
            "acknowledgement of inc-1 was recorded; this key cannot read whether it took effect"
        );
    }
}
