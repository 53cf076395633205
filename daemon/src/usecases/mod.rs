//! What callers can do, one function each, grouped by noun. A use case takes an [`Actor`] and plain
//! arguments; it authorises, holds quotas, and writes the audit log, so that no interface can
//! forget to. It knows neither HTTP nor any other interface.

pub mod actor;
pub mod agents;
pub mod analyze;
mod app;
pub mod archive;
pub mod audit;
pub mod audit_anchor;
pub mod audit_counts;
pub mod authentication;
pub mod billing;
pub mod budgets;
mod cluster_quota;
pub mod dlq;
pub mod encryption;
mod error;
pub mod graph;
pub mod incident_feed;
pub mod incidents;
pub mod ingest;
pub mod jobs;
mod key_limits;
pub mod key_uses;
pub mod keys;
pub mod known_sources;
pub mod maintenance;
pub mod notify;
pub mod query;
pub mod rca;
mod rca_cache;
pub mod recount;
pub mod sagas;
pub mod stats;
pub mod system;
mod tenant_checks;
pub mod tenants;
pub mod usage;

use crate::workers::Writing;
pub use actor::Actor;
use actor::TenantScope;
pub use app::App;
pub use error::{Code, Error, Result};

/// Begins to write for a tenant: its deletion waits until the result is dropped.
///
/// # Errors
/// `forbidden` when the tenant was deleted meanwhile.
async fn begin_writing(app: &App, tenant: TenantScope<'_>) -> Result<Writing> {
    let begun = app.fleet.begin_writing(tenant.id).await?;
    begun.ok_or_else(|| {
        Error::forbidden("this tenant is being offboarded").hint("contact your provider")
    })
}

/// Checks text that a caller chooses and that is stored, shown and logged.
///
/// # Errors
/// `invalid_request` names the field.
fn text(field: &str, value: &str, max_characters: usize) -> Result<()> {
    if value.chars().count() > max_characters {
        return Err(Error::invalid(format!(
            "`{field}` must be at most {max_characters} characters"
        )));
    }
    if value.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "`{field}` must not contain control characters"
        )));
    }
    Ok(())
}

/// The longest name that a caller chooses for a request or its records, in bytes.
const MAX_LABEL: usize = 255;

/// Checks a label of a request, such as its idempotency key: it is stored and compared.
///
/// # Errors
/// `invalid_request` names the field.
fn label(field: &str, value: &str) -> Result<()> {
    let is_printable = value.bytes().all(|b| (b' '..=b'~').contains(&b));
    if is_printable && !value.trim().is_empty() && value.len() <= MAX_LABEL {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "`{field}` must have 1 to {MAX_LABEL} printable ASCII characters"
    )))
}

/// A number that a caller may choose from 1 to `max`, such as the size of a page; else `default`.
///
/// # Errors
/// `invalid_request` names the parameter.
pub fn within(
    parameter: &str,
    requested: Option<usize>,
    default: usize,
    max: usize,
) -> Result<usize> {
    match requested {
        None => Ok(default),
        Some(n) if (1..=max).contains(&n) => Ok(n),
        Some(n) => Err(Error::invalid(format!(
            "`{parameter}` must be between 1 and {max}, not {n}"
        ))),
    }
}
