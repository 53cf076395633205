//! Checks of every part: at the start, and whenever an operator asks.

use std::time::{Duration, Instant};

use kgrca_core::api::Check;
use kgrca_core::storage::{Error, ErrorKind, Result};
use kgrca_core::tenancy::{Saga, SagaKind, Step, StepState, Tenant, TenantId};

use crate::clock::now;
use crate::storage::Stores;
use crate::tenancy;
use crate::usecases::App;

/// How far the clocks of daemon and store may differ, in seconds.
const SKEW: f64 = 5.0;
/// After how many seconds a saga that nobody works on is said to have stopped.
const STOPPED: f64 = 120.0;

/// How long a store may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long all tenants may take.
const ALL_TENANTS: Duration = Duration::from_secs(30);

fn check(what: &str, result: Result<String>) -> Check {
    match result {
        Ok(found) => Check {
            what: what.to_owned(),
            ok: true,
            found,
            hint: None,
        },
        Err(e) => {
            let usual = (e.kind == ErrorKind::Unavailable)
                .then(|| "is the server up, and does its URL name it?".to_owned());
            Check {
                what: what.to_owned(),
                ok: false,
                found: e.message,
                hint: e.hint.or(usual),
            }
        }
    }
}

async fn answered<T>(check: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| {
        Error::new(
            ErrorKind::Unavailable,
            format!("no answer within {} s", PATIENCE.as_secs()),
        )
    };
    tokio::time::timeout(PATIENCE, check).await.map_err(late)?
}

/// Whether every store answers and lets us do what we need.
pub async fn of_stores(stores: &Stores) -> Vec<Check> {
    let (metadata, log, graph, limits, clock) = tokio::join!(
        answered(stores.meta.check()),
        answered(stores.log.check()),
        answered(stores.graph.check()),
        answered(stores.limits.check()),
        // Ours at once: others may take long to answer.
        answered(async {
            Ok(stores
                .meta
                .now()
                .await?
                .map(|theirs| now().seconds_since(theirs)))
        }),
    );
    let mut all = vec![
        check("metadata", metadata),
        check("log", log),
        check("graph", graph),
        check("limits", limits),
    ];
    if let Ok(Some(skew)) = clock {
        let found = format!("{skew:+.3} s against the metadata's");
        let hint = (skew.abs() > SKEW).then(|| "let both machines keep time by NTP".to_owned());
        all.push(Check {
            what: "clock".into(),
            ok: hint.is_none(),
            found,
            hint,
        });
    }
    all
}

/// What is wrong with a tenant's topics or graph.
async fn of_tenant(app: &App, client: &Tenant) -> Option<Check> {
    let tenant = TenantId::parse(&client.client_id)?;
    let what = format!("tenant {tenant}");
    let found = answered(async {
        app.stores.log.ends(&tenant).await?;
        app.stores.graph.knows(&tenant, 0).await?;
        tenancy::differences(&app.tenancy, &tenant, client).await
    });
    match found.await {
        Ok(found) if found.is_empty() => None,
        Ok(found) => {
            let hint = Some(format!(
                "kgrca tenant update {tenant} --plan {} sets them",
                client.plan
            ));
            Some(Check {
                what,
                ok: false,
                found: found.join("; "),
                hint,
            })
        }
        Err(e) => Some(check(&what, Err(e))),
    }
}

/// Sagas that stopped, and tenants whose topics or graph do not answer, or are not set as they
/// should be.
pub async fn of_tenants(app: &App) -> Vec<Check> {
    let mut all = Vec::new();
    match app.stores.meta.sagas(None).await {
        Ok(sagas) => {
            let stopped = |s: &&Saga| {
                // Who imports may take long; who leaves has a time of grace.
                let waits = s.kind == SagaKind::Delete
                    || s.kind == SagaKind::Create
                        && s.state_of(Step::Load) == Some(StepState::Pending);
                !s.is_over() && !waits && now().seconds_since(s.updated_at) > STOPPED
            };
            let stopped: Vec<_> = sagas
                .iter()
                .filter(stopped)
                .map(|s| s.saga_id.as_str())
                .collect();
            let found = if stopped.is_empty() {
                "none stopped".to_owned()
            } else {
                format!("stopped: {}", stopped.join(", "))
            };
            let hint = stopped
                .first()
                .map(|id| format!("kgrca saga show {id}; kgrca saga resume or compensate {id}"));
            all.push(Check {
                what: "sagas".into(),
                ok: stopped.is_empty(),
                found,
                hint,
            });
        }
        Err(e) => all.push(check("sagas", Err(e))),
    }
    match app.stores.meta.list_tenants().await {
        Ok(clients) => {
            let (began, worked) = (
                Instant::now(),
                clients.iter().filter(|c| c.state.is_worked()),
            );
            for (i, client) in worked.clone().enumerate() {
                if began.elapsed() > ALL_TENANTS {
                    let found = format!(
                        "{} were not looked at within {} s",
                        worked.count() - i,
                        ALL_TENANTS.as_secs()
                    );
                    all.push(Check {
                        what: "tenants".into(),
                        ok: false,
                        found,
                        hint: None,
                    });
                    break;
                }
                all.extend(of_tenant(app, client).await);
            }
        }
        Err(e) => all.push(check("tenants", Err(e))),
    }
    all
}
