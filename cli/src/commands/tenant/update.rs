//! `kgrca tenant update`, `suspend` and `resume`

use kgrca_core::api::{Served, TenantChange, TenantStatus};
use kgrca_core::billing::Overrides;
use reqwest::Method;

use super::{Env, id_of, path, view};
use crate::client::As;
use crate::error::{CliError, Result};

const LIMITS: &str = "limits are events_day, rca_hour, api_minute, clusters and retention_days; \
                      `none` restores the plan's limits";

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
    /// Agreed limits that replace the plan's, e.g. `rca_hour=500`; `none` restores the plan's
    #[arg(long, value_delimiter = ',', value_name = "LIMIT=NUMBER")]
    limits: Vec<String>,
    /// Partitions per topic (can only be increased)
    #[arg(long, value_name = "NUMBER")]
    partitions: Option<u32>,
}

pub(super) fn run(env: &Env<'_>, args: Args) -> Result {
    let limits = match args.limits.as_slice() {
        [] => None,
        pairs => Some(overrides(pairs)?),
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
    change(env, &id_of(env, args.id)?, &request)
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
    env.out
        .value(&status, || view::table(env, std::slice::from_ref(&status)))
}

/// Agreed limits from `LIMIT=NUMBER` pairs.
fn overrides(pairs: &[String]) -> Result<Overrides> {
    let mut all = serde_json::Map::new();
    for pair in pairs.iter().filter(|p| *p != "none") {
        let limit = pair
            .split_once('=')
            .and_then(|(name, value)| Some((name, value.parse::<u64>().ok()?)));
        let Some((name, value)) = limit else {
            let message = format!("invalid limit `{pair}`: expected LIMIT=NUMBER");
            return Err(CliError::usage(message).hint(LIMITS));
        };
        all.insert(name.to_owned(), value.into());
    }
    serde_json::from_value(all.into())
        .map_err(|e| CliError::usage("invalid limits").source(&e).hint(LIMITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_pairs_of_known_names_and_numbers() {
        let parsed = |pairs: &[&str]| {
            let pairs: Vec<String> = pairs.iter().map(|p| (*p).to_owned()).collect();
            overrides(&pairs)
        };
        assert_eq!(parsed(&["rca_hour=500"]).unwrap().rca_hour, Some(500));
        assert_eq!(parsed(&["none"]).unwrap().rca_hour, None);
        let error = parsed(&["rca_hour"]).unwrap_err();
        assert_eq!(
            error.message,
            "invalid limit `rca_hour`: expected LIMIT=NUMBER"
        );
        let error = parsed(&["rca_week=1"]).unwrap_err();
        assert_eq!(error.message, "invalid limits");
    }
}
