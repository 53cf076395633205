//! `kgrca tenant update`, `suspend` and `resume`

use std::collections::BTreeMap;

use kgrca_core::api::{Served, TenantChange, TenantStatus};
use kgrca_core::billing::Overrides;
use reqwest::Method;

use super::{Env, id_of, path, view};
use crate::client::As;
use crate::error::{CliError, Result};

fn hint() -> String {
    let names = Overrides::NAMES.join(", ");
    format!("limits are {names}; LIMIT=none restores the plan's limit, `none` all of them")
}

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
    let id = id_of(env, args.id)?;
    let limits = (!changes.is_empty()).then_some(changes);
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

/// Changes as `LIMIT=NUMBER`, `LIMIT=none` or `none`, in their order.
fn changes(words: &[String]) -> Result<BTreeMap<String, Option<u64>>> {
    let mut all = BTreeMap::new();
    for word in words {
        if word == "none" {
            all = Overrides::NAMES
                .map(|name| (name.to_owned(), None))
                .into_iter()
                .collect();
            continue;
        }
        let limit = word.split_once('=').and_then(|(name, value)| match value {
            "none" => Some((name, None)),
            number => Some((name, Some(number.parse::<u64>().ok()?))),
        });
        let Some((name, value)) = limit else {
            let message = format!("invalid limit `{word}`: expected LIMIT=NUMBER");
            return Err(CliError::usage(message).hint(hint()));
        };
        all.insert(name.to_owned(), value);
    }
    // Before the server is asked: a name that does not exist is a usage error.
    let invalid = |e| CliError::usage("invalid limits").source(&e).hint(hint());
    Overrides::default().changed(&all).map_err(invalid)?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn changes_of_limits_are_in_their_order() {
        let sent = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            changes(&words).map(|changes| json!(changes))
        };
        let two = sent(&["clusters=2", "events_day=none"]).unwrap();
        assert_eq!(two, json!({"clusters": 2, "events_day": null}));
        let all = sent(&["rca_hour=7", "none", "clusters=9"]).unwrap();
        assert_eq!(
            (&all["rca_hour"], &all["clusters"]),
            (&Value::Null, &json!(9))
        );
        assert_eq!(all.as_object().unwrap().len(), Overrides::NAMES.len());
        let error = sent(&["rca_hour"]).unwrap_err();
        assert_eq!(
            error.message,
            "invalid limit `rca_hour`: expected LIMIT=NUMBER"
        );
        let error = sent(&["rca_week=1"]).unwrap_err();
        assert_eq!(error.message, "invalid limits");
    }
}
