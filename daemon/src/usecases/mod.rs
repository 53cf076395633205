//! What callers can do, one function each, grouped by noun. A use case takes an [`Actor`] and plain
//! arguments; it authorises, holds quotas, and writes the audit log, so that no interface can
//! forget to. It knows neither HTTP nor any other interface.

pub mod actor;
mod app;
pub mod audit;
pub mod authentication;
pub mod cluster_quota;
mod error;
pub mod graph;
pub mod incidents;
pub mod jobs;
pub mod rca_cache;
pub mod recount;

pub use actor::Actor;
pub use app::App;
pub use error::{Code, Error, Result, seconds_until_retry};

/// How many items a page has: `requested`, which must be from 1 to `max`, else `default`.
///
/// # Errors
/// `invalid_request` names the parameter.
pub fn page_size(
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
