//! `kgrca tenant update`, `suspend` and `resume`

use kgrca_core::api::{Served, TenantChange, TenantStatus};
use kgrca_core::billing::Overrides;
use reqwest::Method;

use super::{Env, id_of, path, view};
use crate::client::As;
use crate::error::{CliError, Result};

const LIMITS: &str = "limits are events_day, rca_hour, api_minute, clusters and retention_days; \
                      LIMIT=none restores the plan's limit, `none` all of them";

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Args {
    /// Tenant ID or name
    #[arg(value_name = "TENANT", add = crate::complete::tenants())]
    id: String,
    /// Plan: free, basic, pro or enterprise
    #[arg(long)]
    plan: Option<String>,
    /// Contact e-mail
    #[arg(long)]
    email: Option<String>,
    /// Agreed limits that replace the plan's, e.g. `rca_hour=500`; those not named stay. LIMIT=none
    /// restores the plan's limit, `none` all of them
    #[arg(long, value_delimiter = ',', value_name = "LIMIT=NUMBER")]
    limits: Vec<String>,
    /// Partitions per topic (can only be increased)
    #[arg(long, value_name = "NUMBER")]
    partitions: Option<u32>,
}

pub(super) fn run(env: &Env<'_>, args: Args) -> Result {
    let changes = changes(&args.limits)?;
    // Before the server is asked: a name that does not exist is a usage error.
    merged(&Overrides::default(), &changes)?;
    let id = id_of(env, args.id)?;
    let limits = if changes.is_empty() {
        None
    } else {
        let status: TenantStatus = env.client()?.get(As::Operator, &path(&id), &[])?;
        Some(merged(&status.client.limits, &changes)?)
    };
    let request = TenantChange {
        state: None,
        plan: args.plan,
        contact_email: args.email,
        limits,
        partitions: args.partitions,
    };
    if request.plan.is_none()
        && request.contact_email.is_none()
        && request.limits.is_none()
        && request.partitions.is_none()
    {
        return Err(CliError::usage("nothing to change")
            .hint("pass --plan, --email, --limits or --partitions"));
    }
    change(env, &id, &request)
}

/// Suspends or reactivates a tenant.
pub(super) fn set_state(env: &Env<'_>, id: &str, state: Served) -> Result {
    let request = TenantChange {
        state: Some(state),
        ..TenantChange::default()
    };
    change(env, id, &request)
}

fn change(env: &Env<'_>, id: &str, request: &TenantChange) -> Result {
    let status: TenantStatus =
        env.client()?
            .send(Method::PATCH, As::Operator, &path(id), request)?;
    view::print(env, &status)
}

/// A change of the agreed limits.
enum Change {
    /// All become those of the plan.
    Reset,
    /// One has another value; `None` is that of the plan.
    Set(String, Option<u64>),
}

/// Changes as `LIMIT=NUMBER`, `LIMIT=none` or `none`.
fn changes(words: &[String]) -> Result<Vec<Change>> {
    let change = |word: &String| {
        if word == "none" {
            return Ok(Change::Reset);
        }
        let limit = word.split_once('=').and_then(|(name, value)| {
            let value = match value {
                "none" => None,
                number => Some(number.parse().ok()?),
            };
            Some(Change::Set(name.to_owned(), value))
        });
        limit.ok_or_else(|| {
            CliError::usage(format!("invalid limit `{word}`: expected LIMIT=NUMBER")).hint(LIMITS)
        })
    };
    words.iter().map(change).collect()
}

/// Agreed limits with changes, in their order.
fn merged(agreed: &Overrides, changes: &[Change]) -> Result<Overrides> {
    let invalid = |e: serde_json::Error| {
        let unknown = CliError::usage("invalid limits").source(&e);
        unknown.hint(LIMITS)
    };
    let mut all = serde_json::to_value(agreed).map_err(invalid)?;
    for change in changes {
        match change {
            Change::Reset => all = serde_json::json!({}),
            Change::Set(name, value) => all[name] = (*value).into(),
        }
    }
    serde_json::from_value(all).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_are_not_named_stay() {
        let agreed = Overrides {
            rca_hour: Some(7),
            events_day: Some(20),
            ..Overrides::default()
        };
        let after = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            merged(&agreed, &changes(&words)?)
        };
        let limits = after(&["clusters=2"]).unwrap();
        assert_eq!((limits.rca_hour, limits.clusters), (Some(7), Some(2)));
        let limits = after(&["events_day=none"]).unwrap();
        assert_eq!((limits.rca_hour, limits.events_day), (Some(7), None));
        assert!(after(&["none"]).unwrap().is_empty());
        let limits = after(&["none", "rca_hour=9"]).unwrap();
        assert_eq!((limits.rca_hour, limits.events_day), (Some(9), None));
        let error = after(&["rca_hour"]).unwrap_err();
        assert_eq!(
            error.message,
            "invalid limit `rca_hour`: expected LIMIT=NUMBER"
        );
        let error = after(&["rca_week=1"]).unwrap_err();
        assert_eq!(error.message, "invalid limits");
    }
}
