//! `kgrca doctor`

use kgrca_core::api::{self, Page};
use kgrca_core::storage::DaemonRow;
use kgrca_core::tenancy::ApiKey;
use serde::Serialize;

use super::Env;
use crate::client::{As, Client};
use crate::context;
use crate::error::{CliError, Result};
use crate::output::Table;

/// Checks the context, the server and the keys; exits with 10 when something is wrong.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

#[derive(Serialize)]
struct Check {
    check: String,
    ok: bool,
    detail: String,
    hint: String,
}

fn outcome<T>(
    check: &'static str,
    result: std::result::Result<T, CliError>,
    detail: impl Fn(&T) -> String,
) -> (Check, Option<T>) {
    match result {
        Ok(value) => (
            Check {
                check: check.into(),
                ok: true,
                detail: detail(&value),
                hint: String::new(),
            },
            Some(value),
        ),
        Err(e) => (
            Check {
                check: check.into(),
                ok: false,
                detail: e.message,
                hint: e.hint.unwrap_or_default(),
            },
            None,
        ),
    }
}

/// What the server found out about its stores, tenants and the other daemons.
fn of_server(client: &Client) -> Result<Vec<Check>> {
    let found: Page<api::Check> = client.get(As::Operator, "/api/v1/admin/checks", &[])?;
    let daemons: Page<DaemonRow> = client.get(As::Operator, "/api/v1/admin/daemons", &[])?;
    let check = |c: api::Check| Check {
        check: c.what,
        ok: c.ok,
        detail: c.found,
        hint: c.hint.unwrap_or_default(),
    };
    let versions: std::collections::BTreeSet<&str> =
        daemons.items.iter().map(|d| d.version.as_str()).collect();
    let fleet = Check {
        check: "daemons".into(),
        ok: versions.len() <= 1,
        detail: daemons
            .items
            .iter()
            .map(|d| format!("{} ({})", d.address, d.roles))
            .collect::<Vec<_>>()
            .join(", "),
        hint: if versions.len() > 1 {
            "they are of several versions: end the upgrade".into()
        } else {
            String::new()
        },
    };
    Ok(found.items.into_iter().map(check).chain([fleet]).collect())
}

/// Which stores answer the server, as it tells without a key.
fn of_stores(client: &Client) -> Result<Vec<Check>> {
    let text = client.text("/readyz?verbose")?;
    let check = |line: &str| {
        let (what, state) = line.rsplit_once(' ')?;
        let ok = state == "ok";
        let hint = if ok {
            ""
        } else {
            "why stands in the log of kgrcad"
        };
        Some(Check {
            check: what.to_owned(),
            ok,
            detail: state.to_owned(),
            hint: hint.to_owned(),
        })
    };
    Ok(text.lines().filter_map(check).collect())
}

pub(super) fn run(env: &Env<'_>, _: Args) -> Result {
    let mut checks = Vec::new();
    let (check, found) = outcome("context", context::resolve(env.context.as_deref()), |c| {
        c.url.clone()
    });
    checks.push(check);
    if let Some(found) = found {
        let client = Client::new(found)?;
        let open = client.get::<serde_json::Value>(As::Tenant, "/openapi.json", &[]);
        let (check, server) = outcome("server", open, |d| {
            format!("kgrcad {}", d["info"]["version"].as_str().unwrap_or("?"))
        });
        checks.push(check);
        if server.is_none() {
            return told(env, &checks);
        }
        // Who operates has no tenant's key, and the other way round.
        if client.has_key(As::Tenant) || !client.has_key(As::Operator) {
            let tenant =
                client.get::<kgrca_core::api::LimitsView>(As::Tenant, "/api/v1/limits", &[]);
            checks.push(
                outcome("tenant key", tenant, |l| {
                    format!("plan {}, {} events today", l.plan.name, l.events_today)
                })
                .0,
            );
        }
        if !client.has_key(As::Operator) {
            return told(env, &checks);
        }
        // It asks the metadata alone: which other store is away is told by the checks below.
        let operator = client.get::<Page<ApiKey>>(As::Operator, "/api/v1/admin/keys", &[]);
        let (check, operator) = outcome("operator key", operator, |p| {
            format!("one of {}", p.items.len())
        });
        checks.push(check);
        // Without its metadata a server knows no keys; which stores answer it tells everybody.
        checks.extend(if operator.is_some() {
            of_server(&client)?
        } else {
            of_stores(&client)?
        });
    }
    told(env, &checks)
}

fn told(env: &Env<'_>, checks: &[Check]) -> Result {
    let cells = |c: &Check| {
        [
            if c.ok { "✔".into() } else { "✖".into() },
            c.check.clone(),
            c.detail.clone(),
            c.hint.clone(),
        ]
    };
    env.out.value(&checks, || {
        Table::new(&["", "CHECK", "DETAIL", "HINT"]).rows(checks, cells)
    })?;
    if checks.iter().all(|c| c.ok) {
        Ok(())
    } else {
        Err(CliError::found())
    }
}
