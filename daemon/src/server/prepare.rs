//! What a daemon does before it serves.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use kgrca_core::billing::Metric;
use kgrca_core::storage::{DaemonRow, Error};
use kgrca_core::tenancy::TenantId;

use crate::clock::now;
use crate::config::{Role, Settings};
use crate::error::Failure;
use crate::private;
use crate::telemetry;
use crate::usecases::App;

/// How this daemon appears to its peers.
pub(super) fn me(settings: &Settings, owner: &str, api: SocketAddr) -> DaemonRow {
    let roles: Vec<String> = settings
        .roles
        .iter()
        .filter_map(|r| Some(r.to_possible_value()?.get_name().to_owned()))
        .collect();
    DaemonRow {
        owner: owner.to_owned(),
        address: settings
            .advertise
            .clone()
            .unwrap_or_else(|| api.to_string()),
        roles: roles.join(","),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: now(),
        seen_at: now(),
    }
}

/// Refuses to serve where API keys would cross a network in the clear.
pub(super) fn check_encrypted(settings: &Settings) -> Result<(), Failure> {
    if settings.tls_cert.is_some() || settings.allow_plain_http {
        return Ok(());
    }
    let addresses = [settings.listen, settings.metrics_listen];
    match addresses.iter().find(|address| !address.ip().is_loopback()) {
        None => Ok(()),
        Some(address) => Err(Failure::new(
            format!("{address} is not a loopback address, and plain HTTP would expose API keys"),
            "set --tls-cert and --tls-key, put a TLS proxy in front, or pass --allow-plain-http",
        )),
    }
}

/// Takes the rights of others from a data directory that was created with them, or was copied, and
/// from the private key of the server.
pub(super) fn private_files(settings: &Settings) -> Result<(), Failure> {
    private_data(&settings.data)?;
    let Some(key) = &settings.tls_key else {
        return Ok(());
    };
    let unreadable = |e: std::io::Error| {
        Failure::new(
            format!("{}: {e}", key.display()),
            "check --tls-key: kgrcad must be able to read the file",
        )
    };
    let file = key.display();
    match private::restrict_file(key).map_err(unreadable)? {
        private::Access::Private => {}
        private::Access::Fixed => {
            tracing::warn!(%file, "the TLS key could be read by other users: fixed its mode");
        }
        private::Access::Exposed => {
            tracing::warn!(
                %file,
                "other users can read the TLS key, and its mode can only be changed by the owner: \
                 run `chmod o= FILE`"
            );
        }
    }
    Ok(())
}

fn private_data(data: &Path) -> Result<(), Failure> {
    let made = std::fs::create_dir_all(data).and_then(|()| private::restrict(data));
    let exposed = made.map_err(|e| {
        Failure::new(
            format!("{}: {e}", data.display()),
            "run as the owner of the data directory, or choose another one with --data",
        )
    })?;
    let data = data.display();
    if exposed.fixed > 0 {
        let files = exposed.fixed;
        tracing::warn!(files, %data, "files could be read by other users: fixed their modes");
    }
    if exposed.kept > 0 {
        let files = exposed.kept;
        tracing::warn!(files, %data, "files of another user can be read by a group or by others");
    }
    Ok(())
}

/// Refuses to start beside another daemon on shared metadata while this one keeps the log or the
/// graph in its own directory: neither would see the other's records.
pub(super) async fn check_alone(app: &App, me: &DaemonRow) -> Result<(), Failure> {
    let local = app.settings.local_stores()?;
    if !app.stores.are_shared || local.is_empty() {
        return Ok(());
    }
    let at = app.stores.meta.now().await?.unwrap_or_else(now);
    let peers = app
        .stores
        .meta
        .daemons(at.plus(-10 * kgrca_core::model::time::SECOND))
        .await?;
    match peers.iter().find(|d| d.owner != me.owner) {
        Some(other) => Err(Failure::new(
            format!(
                "the daemon at {} uses the same metadata store, but {} would be local to this one",
                other.address,
                local.join(" and ")
            ),
            "give both the same --log-url kafka: and --graph-url neo4j:, or stop the other one",
        )),
        None => Ok(()),
    }
}

/// Restores today's quotas and the ends of the log from what was committed, before the first record
/// arrives.
pub(super) async fn preload(app: &Arc<App>) -> Result<(), Failure> {
    for row in app.stores.meta.list_tenants().await? {
        let Some(tenant) = TenantId::parse(&row.client_id).filter(|_| row.state.is_worked()) else {
            continue;
        };
        let today = app
            .stores
            .meta
            .usage(
                &tenant,
                &now().day(),
                &now().plus(kgrca_core::model::time::DAY).day(),
            )
            .await?;
        let used = today
            .iter()
            // Rejected records count towards the day like accepted ones.
            .filter(|r| matches!(r.metric, Metric::EventsIngested | Metric::RecordsRefused))
            .map(|r| r.amount.max(0) as u64)
            .sum();
        app.stores.limits.preload_day(&tenant, used, now()).await?;
        if !app.settings.has(Role::Worker) {
            continue;
        }
        if let Err(error) = restore_ends(app, &tenant).await {
            // Its records cannot be appended to or read; other tenants are served.
            tracing::error!(
                client_id = %tenant, %error,
                "the tenant's log cannot be opened; its records are refused until it can"
            );
        }
    }
    Ok(())
}

/// A record written below a committed offset would never be read.
async fn restore_ends(app: &App, tenant: &TenantId) -> Result<(), Error> {
    let (meta, log) = (&app.stores.meta, &app.stores.log);
    let mut result = Ok(());
    for offset in meta.offsets(tenant).await? {
        // All of them: an end that cannot be restored now is restored when the stream is opened.
        match log.resume_at(tenant, offset.stream, offset.next).await {
            Ok(end) if end < offset.next => telemetry::LogCut {
                tenant,
                stream: offset.stream,
                committed: offset.next,
                end,
            }
            .emit(),
            Ok(_) => {}
            Err(e) => result = Err(e),
        }
    }
    result
}
