//! `kgrca doctor`

use std::collections::BTreeSet;

use kgrca_core::api::{self, LimitsView, Page};
use kgrca_core::storage::DaemonRow;
use kgrca_core::tenancy::ApiKey;
use serde::Serialize;

use super::Env;
use crate::client::{As, Client};
use crate::error::{CliError, Kind, Result};
use crate::output::{Format, Table};

/// Diagnose the connection, server and stores
///
/// Checks the context, the server and the keys and, with the operator's key, every store and
/// daemon. Exits with code 10 if a check fails.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// A line of the result.
#[derive(Serialize)]
struct Check {
    check: String,
    ok: bool,
    detail: String,
    hint: String,
}

impl Check {
    fn passed(check: &str, detail: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            ok: true,
            detail: detail.into(),
            hint: String::new(),
        }
    }

    fn failed(check: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            ok: false,
            detail: detail.into(),
            hint: hint.into(),
        }
    }

    /// A check that fails with the error of a call.
    fn of<T>(check: &str, result: &Result<T>, detail: impl FnOnce(&T) -> String) -> Self {
        match result {
            Ok(value) => Self::passed(check, detail(value)),
            Err(e) => Self::failed(check, reason(e), hint(e)),
        }
    }
}

/// An error with its causes, on one line.
fn reason(e: &CliError) -> String {
    let parts = [e.message.clone()].into_iter().chain(e.causes.clone());
    parts.collect::<Vec<_>>().join(": ")
}

/// What to do about an error. Commands name this one for a server that they cannot reach.
fn hint(e: &CliError) -> String {
    if e.kind == Kind::Unreachable && e.server.is_none() {
        return "check the URL (`kgrca config show`), and that the server is running: `kgrca up` \
                starts a local one"
            .to_owned();
    }
    e.hint.clone().unwrap_or_default()
}

pub(super) fn run(env: &Env<'_>, _: Args) -> Result {
    let checks = checks(env)?;
    env.out.value(&checks, || {
        if env.out.format == Format::Name {
            return Table::new(&["CHECK"]).rows(&checks, |c| [c.check.clone()]);
        }
        Table::new(&["OK", "CHECK", "DETAIL", "HINT"]).rows(&checks, |c| {
            [
                if c.ok { "✔".into() } else { "✖".into() },
                c.check.clone(),
                c.detail.clone(),
                c.hint.clone(),
            ]
        })
    })?;
    if checks.iter().all(|c| c.ok) {
        Ok(())
    } else {
        Err(CliError::found())
    }
}

/// All checks up to the first one that the following ones depend on.
fn checks(env: &Env<'_>) -> Result<Vec<Check>> {
    let context = env.context();
    let mut checks = vec![Check::of("context", &context, |c| c.url.clone())];
    let Ok(context) = context else {
        return Ok(checks);
    };
    let client = Client::new(context)?;
    let document = client.get::<serde_json::Value>(As::Tenant, "/openapi.json", &[]);
    checks.push(Check::of("server", &document, |d| {
        let version = d["info"]["version"].as_str();
        format!("kgrcad {}", version.unwrap_or("of unknown version"))
    }));
    if document.is_err() {
        return Ok(checks);
    }
    // An operator usually has no tenant's key, and a tenant no operator's key.
    if client.has_key(As::Tenant) || !client.has_key(As::Operator) {
        checks.push(tenant_key(&client));
    }
    if client.has_key(As::Operator) {
        checks.extend(operator_checks(&client)?);
    }
    Ok(checks)
}

fn tenant_key(client: &Client) -> Check {
    let limits = client.get::<LimitsView>(As::Tenant, "/api/v1/limits", &[]);
    Check::of("tenant key", &limits, |l| {
        format!("plan {}, {} events today", l.plan.name, l.events_today)
    })
}

fn operator_checks(client: &Client) -> Result<Vec<Check>> {
    // Keys are kept in the metadata store only: a failure says nothing about the other stores.
    let keys = client.get::<Page<ApiKey>>(As::Operator, "/api/v1/admin/keys", &[]);
    let mut checks = vec![Check::of("operator key", &keys, |p| {
        format!("valid ({} in total)", p.items.len())
    })];
    // Without its metadata store the server accepts no key, but its readiness needs none.
    checks.extend(match keys {
        Ok(_) => server_checks(client)?,
        Err(_) => store_checks(client)?,
    });
    Ok(checks)
}

/// What the server found out about its stores, tenants and the other daemons.
fn server_checks(client: &Client) -> Result<Vec<Check>> {
    let found: Page<api::Check> = client.get(As::Operator, "/api/v1/admin/checks", &[])?;
    let daemons: Page<DaemonRow> = client.get(As::Operator, "/api/v1/admin/daemons", &[])?;
    let check = |c: api::Check| Check {
        check: c.what,
        ok: c.ok,
        detail: c.found,
        hint: c.hint.unwrap_or_default(),
    };
    let checks = found.items.into_iter().map(check);
    Ok(checks.chain([daemon_versions(&daemons.items)]).collect())
}

fn daemon_versions(daemons: &[DaemonRow]) -> Check {
    let versions: BTreeSet<&str> = daemons.iter().map(|d| d.version.as_str()).collect();
    let list: Vec<String> = daemons
        .iter()
        .map(|d| format!("{} ({})", d.address, d.roles))
        .collect();
    if versions.len() > 1 {
        let versions: Vec<&str> = versions.into_iter().collect();
        let hint = format!(
            "mixed versions {}: finish the rolling upgrade",
            versions.join(", ")
        );
        return Check::failed("daemons", list.join(", "), hint);
    }
    Check::passed("daemons", list.join(", "))
}

/// Which stores the server reaches, as its readiness says without a key.
fn store_checks(client: &Client) -> Result<Vec<Check>> {
    let text = client.text("/readyz?verbose")?;
    let check = |line: &str| {
        let (store, state) = line.rsplit_once(' ')?;
        Some(match state {
            "ok" => Check::passed(store, state),
            _ => Check::failed(store, state, "see the kgrcad log for the reason"),
        })
    };
    Ok(text.lines().filter_map(check).collect())
}
