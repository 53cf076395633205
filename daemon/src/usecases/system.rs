//! The state of the installation: stores, daemons, readiness.

use std::time::{Duration, Instant};

use kgrca_core::api::{Check, Page};
use kgrca_core::model::time::SECOND;
use kgrca_core::storage::DaemonRow;
use tokio::sync::Mutex;

use super::actor::Actor;
use super::app::App;
use super::audit_counts;
use super::error::Result;
use super::tenant_checks;
use crate::checks;
use crate::clock::now;

/// A daemon that was silent for longer is not listed.
const DAEMON_SILENCE: i64 = 10 * SECOND;
/// How long the report on stores is repeated: everybody may ask for it.
const REPORT_TTL: Duration = Duration::from_secs(2);

/// Checks every store, and everything that is in progress.
///
/// # Errors
/// `forbidden` for all but the operator. What a check finds is in its result.
pub async fn checks(app: &App, actor: &Actor) -> Result<Page<Check>> {
    actor.operator()?;
    audit_counts::read(app, actor, None, "checks");
    let mut items = checks::of_stores(&app.stores).await;
    let encryption = encryption_check(app).await;
    let has_master_key = encryption.ok;
    items.push(encryption);
    items.extend(tenant_checks::run(app, has_master_key).await);
    Ok(Page { items, next: None })
}

/// What is encrypted, and whether the master key works.
async fn encryption_check(app: &App) -> Check {
    let encryption = &app.stores.encryption;
    let found = checks::with_timeout(encryption.check()).await;
    let mut check = checks::check("encryption", found);
    if check.ok && encryption.is_on() {
        check.found = format!(
            "{}; not encrypted by kgrcad: {}",
            check.found,
            encryption.not_encrypted().join(", ")
        );
    }
    check
}

/// The daemons that are running.
///
/// # Errors
/// When the store does not answer.
pub async fn daemons(app: &App, actor: &Actor) -> Result<Page<DaemonRow>> {
    actor.operator()?;
    audit_counts::read(app, actor, None, "daemons");
    let at = app.stores.meta.now().await?.unwrap_or_else(now);
    let items = app.stores.meta.daemons(at.plus(-DAEMON_SILENCE)).await?;
    Ok(Page { items, next: None })
}

/// What a caller may see of the metrics, which show all tenants. Without an actor it is whoever is on
/// the same machine.
///
/// # Errors
/// `forbidden` for tenants, and for operator keys without the scope `metrics`.
pub fn metrics(app: &App, actor: Option<&Actor>, text: String) -> Result<String> {
    if let Some(actor) = actor {
        let permitted = actor.metrics();
        if permitted.is_err() {
            audit_counts::refused(app, actor, "GET /metrics");
        }
        permitted?;
    }
    if app.settings.metrics_tenants {
        return Ok(text);
    }
    Ok(without_tenants(&text))
}

/// The metrics without the series that name a tenant.
fn without_tenants(text: &str) -> String {
    // Within the value of another label a quote is escaped.
    let names_tenant = |line: &str| line.contains("client_id=\"") || line.contains("=\"client-");
    let lines = text.lines().filter(|line| !names_tenant(line));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Whether this daemon can serve requests: whether it can look keys up. When another store is away,
/// all daemons lack it alike, and everything else is still served. Anybody may ask.
pub async fn is_ready(app: &App) -> bool {
    match app.stores.meta.check().await {
        Ok(_) => true,
        Err(e) => {
            tracing::warn!(error = %e, "not ready");
            false
        }
    }
}

/// The last report on stores, and when it was made.
#[derive(Debug, Default)]
pub struct StoreReport(Mutex<Option<(Instant, String)>>);

/// A line for each store: its name and `ok` or `failed`. Anybody may ask, so what a store answered
/// is only in the log.
pub async fn store_report(app: &App) -> String {
    let mut last = app.store_report.0.lock().await;
    if let Some((made_at, text)) = &*last
        && made_at.elapsed() < REPORT_TTL
    {
        return text.clone();
    }
    let mut text = String::new();
    for check in checks::of_stores(&app.stores).await {
        let word = if check.ok { "ok" } else { "failed" };
        text += &format!("{} {word}\n", check.what);
        if !check.ok {
            tracing::warn!(
                store = check.what,
                error = check.found,
                "store check failed"
            );
        }
    }
    *last = Some((Instant::now(), text.clone()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_tenants_are_left_out() {
        let text = "# TYPE kg_client_events_sent_total counter\n\
                    kg_client_events_sent_total{client_id=\"client-a-000000\"} 3\n\
                    kg_lag{topic=\"client-a-000000.events\",partition=\"0\"} 1\n\
                    kg_lag{topic=\"events\",text=\"client_id=\\\"x\\\"\"} 1\n\
                    kgrca_up 1\n";
        assert_eq!(
            without_tenants(text),
            "# TYPE kg_client_events_sent_total counter\n\
             kg_lag{topic=\"events\",text=\"client_id=\\\"x\\\"\"} 1\nkgrca_up 1\n"
        );
    }
}
