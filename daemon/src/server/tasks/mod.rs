//! What every daemon does for itself for as long as it runs. Work on shared data is a job instead,
//! see [`crate::jobs`]; these belong to one process by nature:
//!
//! - taking part in the fleet: its heartbeat, and its share of the partitions;
//! - writing the API usage, the uses of keys and the repeated acts that it counted in memory;
//! - probing its own connections to the servers behind its stores;
//! - showing gauges: a gauge that a job set would stay as it was on the daemon that last ran it;
//! - removing snapshots of deleted tenants from its own disk;
//! - reading again the data keys that it holds in memory;
//! - taking jobs, where it is a worker.
//!
//! A task that panics is logged and started again.

mod agents;
mod dependencies;
mod gauges;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kgrca_core::storage::{DaemonRow, Error};
use kgrca_core::tenancy::{TenantId, TenantState};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::sleep;
use crate::config::Role;
use crate::jobs;
use crate::tenancy;
use crate::usecases::{App, audit_counts, key_uses};

/// How long a task that panicked rests.
const RESTART: Duration = Duration::from_secs(1);
const USAGE: Duration = Duration::from_millis(500);
const NOTES: Duration = Duration::from_secs(1);
const LEFTOVERS: Duration = Duration::from_hours(1);
const DATA_KEYS: Duration = Duration::from_mins(5);

/// Starts the tasks of a daemon; each ends when it stops.
pub(super) fn start(
    app: &Arc<App>,
    me: DaemonRow,
    stop: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let fleet = Arc::clone(&app.fleet);
    let mut tasks = vec![
        supervised("membership", app, stop, move |_, stop| {
            let (fleet, me) = (Arc::clone(&fleet), me.clone());
            async move { fleet.keep_share(me, stop).await }
        }),
        supervised("usage", app, stop, flush_usage),
        supervised("notes", app, stop, flush_notes),
        supervised("dependencies", app, stop, dependencies::watch),
        supervised("agents", app, stop, agents::watch),
        supervised("gauges", app, stop, gauges::watch),
        supervised("leftovers", app, stop, remove_leftovers),
        supervised("data keys", app, stop, refresh_data_keys),
    ];
    if app.settings.has(Role::Worker) {
        tasks.push(supervised("jobs", app, stop, jobs::run));
    }
    tasks
}

/// Runs a task until it ends; starts it again when it panics.
fn supervised<F, R>(
    name: &'static str,
    app: &Arc<App>,
    stop: &watch::Receiver<bool>,
    task: F,
) -> JoinHandle<()>
where
    F: Fn(Arc<App>, watch::Receiver<bool>) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let (app, stop) = (Arc::clone(app), stop.clone());
    tokio::spawn(async move {
        while let Err(panic) = tokio::spawn(task(Arc::clone(&app), stop.clone())).await {
            tracing::error!(task = name, %panic, "a background task panicked, restarting");
            sleep(RESTART).await;
        }
    })
}

/// Waits for the next round. Returns whether there is one: the daemon may stop first.
async fn next_round(every: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        biased;
        () = sleep(every) => true,
        _ = stop.wait_for(|stops| *stops) => false,
    }
}

/// Writes the API usage that this daemon counted; for the last time when it stops.
pub(super) async fn flush_usage(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut continues = true;
    while continues {
        continues = next_round(USAGE, &mut stop).await;
        if let Err(error) = app.flush_usage().await {
            tracing::error!(%error, "cannot write API usage, retrying");
        }
    }
}

/// Writes when keys were used, and what the audit log counts; for the last time when it stops.
async fn flush_notes(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut continues = true;
    while continues {
        continues = next_round(NOTES, &mut stop).await;
        if let Err(error) = key_uses::flush(&app, !continues).await {
            tracing::warn!(%error, "cannot write when keys were used");
        }
        if let Err(error) = audit_counts::flush(&app, !continues).await {
            tracing::error!(%error, "cannot write repeated acts to the audit log");
        }
    }
}

/// Removes files of tenants that are gone.
async fn remove_leftovers(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = remove_snapshots_once(&app).await {
            tracing::warn!(%error, "cannot remove snapshots of deleted tenants, retrying in 1 h");
        }
        if let Err(error) = tenancy::remove_leftovers(&app.tenancy).await {
            tracing::warn!(%error, "cannot remove files of deleted tenants, retrying in 1 h");
        }
        if !next_round(LEFTOVERS, &mut stop).await {
            return;
        }
    }
}

/// Reads the data keys in memory again.
async fn refresh_data_keys(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    while next_round(DATA_KEYS, &mut stop).await {
        app.stores.encryption.refresh().await;
    }
}

async fn remove_snapshots_once(app: &App) -> Result<(), Error> {
    let tenants = app.stores.meta.list_tenants().await?;
    let present: BTreeSet<TenantId> = tenants
        .iter()
        .filter(|t| t.state != TenantState::Deleted)
        .filter_map(|t| TenantId::parse(&t.client_id))
        .collect();
    let removed = app.fleet.forget_others(&present);
    removed.map_err(|e| Error::io(&"snapshots", &e))
}
