//! Checks of every part: at the start, and whenever an operator asks.

use kgrca_core::api::Check;
use kgrca_core::storage::{ErrorKind, Result, SagaKind, SagaState, Tenant};

use crate::app::{App, now};
use crate::storage::Stores;

/// How far the clocks of daemon and store may differ, in seconds.
const SKEW: f64 = 5.0;
/// After how many seconds a saga that nobody works on is said to have stopped.
const STOPPED: f64 = 120.0;

fn check(what: &str, result: Result<String>) -> Check {
    match result {
        Ok(found) => Check { what: what.to_owned(), ok: true, found, hint: None },
        Err(e) => {
            let usual = (e.kind == ErrorKind::Unavailable).then(|| "is the server up, and does its URL name it?".to_owned());
            Check { what: what.to_owned(), ok: false, found: e.message, hint: e.hint.or(usual) }
        }
    }
}

/// Whether every store answers and lets us do what we need.
pub async fn of_stores(stores: &Stores) -> Vec<Check> {
    let mut all = vec![
        check("metadata", stores.meta.check().await),
        check("log", stores.log.check().await),
        check("graph", stores.graph.check().await),
        check("limits", stores.limits.check().await),
    ];
    if let Ok(Some(theirs)) = stores.meta.now().await {
        let skew = now().seconds_since(theirs);
        let found = format!("{skew:+.3} s against the metadata's");
        let hint = (skew.abs() > SKEW).then(|| "let both machines keep time by NTP".to_owned());
        all.push(Check { what: "clock".into(), ok: hint.is_none(), found, hint });
    }
    all
}

/// Sagas that stopped, and tenants whose topics or graph do not answer.
pub async fn of_tenants(app: &App) -> Vec<Check> {
    let mut all = Vec::new();
    match app.stores.meta.sagas(None).await {
        Ok(sagas) => {
            let stopped = |s: &&kgrca_core::storage::Saga| {
                s.kind == SagaKind::Create && s.state == SagaState::Running && now().seconds_since(s.updated_at) > STOPPED
            };
            let stopped: Vec<_> = sagas.iter().filter(stopped).map(|s| s.saga_id.as_str()).collect();
            let found = if stopped.is_empty() { "none stopped".to_owned() } else { format!("stopped: {}", stopped.join(", ")) };
            let hint = stopped.first().map(|id| format!("kgrca saga resume {id}, or kgrca saga compensate {id}"));
            all.push(Check { what: "sagas".into(), ok: stopped.is_empty(), found, hint });
        }
        Err(e) => all.push(check("sagas", Err(e))),
    }
    match app.stores.meta.list_clients().await {
        Ok(clients) => {
            for client in clients.iter().filter(|c| c.state.is_worked()) {
                let Some(tenant) = Tenant::parse(&client.client_id) else { continue };
                let answered = async {
                    app.stores.log.ends(&tenant).await?;
                    app.stores.graph.knows(&tenant, 0).await
                };
                if let Err(e) = answered.await {
                    all.push(check(&format!("tenant {tenant}"), Err(e)));
                }
            }
        }
        Err(e) => all.push(check("tenants", Err(e))),
    }
    all
}
