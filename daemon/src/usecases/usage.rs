//! What a tenant uses, and what its plan allows.

use kgrca_core::api::{LimitsView, Usage};
use kgrca_core::billing::Metric;
use kgrca_core::model::time::DAY;
use kgrca_core::storage::ClusterRow;
use kgrca_core::tenancy::{Scope, TenantId};
use serde::{Deserialize, Serialize};

use super::actor::Actor;
use super::app::App;
use super::error::{Error, Result};
use crate::clock::now;

/// Days in UTC, `YYYY-MM-DD`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaySpan {
    /// The first day.
    pub from: String,
    /// The day after the last.
    pub to: String,
}

impl DaySpan {
    /// Reads two days; by default from the first of this month through today.
    ///
    /// # Errors
    /// `invalid_request` names the one that is not a date.
    pub fn parse(from: Option<&str>, to: Option<&str>) -> Result<Self> {
        let day = |parameter: &str, text: &str| match text.parse::<jiff::civil::Date>() {
            Ok(day) => Ok(day.to_string()),
            Err(_) => Err(Error::invalid(format!(
                "`{parameter}`: invalid date `{text}`, expected YYYY-MM-DD"
            ))),
        };
        Ok(Self {
            from: match from {
                Some(text) => day("from", text)?,
                None => format!("{}-01", &now().day()[..7]),
            },
            to: match to {
                Some(text) => day("to", text)?,
                None => now().plus(DAY).day(),
            },
        })
    }
}

/// Usage of the actor's tenant by day and metric.
///
/// # Errors
/// When the store does not answer.
pub async fn show(app: &App, actor: &Actor, span: DaySpan) -> Result<Usage> {
    of_tenant(app, actor.tenant(Scope::Billing)?.id, span).await
}

/// Usage of a tenant by day and metric, up to this moment.
pub(super) async fn of_tenant(app: &App, tenant: &TenantId, span: DaySpan) -> Result<Usage> {
    app.flush_usage().await?;
    let rows = app.stores.meta.usage(tenant, &span.from, &span.to).await?;
    Ok(Usage {
        from: span.from,
        to: span.to,
        rows,
    })
}

/// The limits of the actor's plan, and what today used of them.
///
/// # Errors
/// When the store does not answer.
pub async fn limits(app: &App, actor: &Actor) -> Result<LimitsView> {
    let tenant = actor.tenant(Scope::Read)?;
    Ok(LimitsView {
        plan: tenant.plan.clone(),
        events_today: today(app, tenant.id).await?.events,
        live_objects: live_objects(&app.stores.meta.clusters(tenant.id).await?),
    })
}

/// Live objects of all clusters.
pub fn live_objects(clusters: &[ClusterRow]) -> u64 {
    let counts = clusters.iter().filter_map(|row| row.counts);
    counts.map(|counts| counts.resources as u64).sum()
}

/// What is known of a tenant's usage today.
pub struct Today {
    /// Events accepted today, as far as they are applied.
    pub events: u64,
    /// Bytes stored, as last measured: today or yesterday.
    pub storage_bytes: u64,
}

pub async fn today(app: &App, tenant: &TenantId) -> Result<Today> {
    let today = now().day();
    let (yesterday, tomorrow) = (now().plus(-DAY).day(), now().plus(DAY).day());
    let rows = app.stores.meta.usage(tenant, &yesterday, &tomorrow).await?;
    let amount = |amount: i64| amount.max(0) as u64;
    let events = rows
        .iter()
        .filter(|r| r.metric == Metric::EventsIngested && r.day == today)
        .map(|r| amount(r.amount))
        .sum();
    let measured = rows.iter().rev().find(|r| r.metric == Metric::StorageBytes);
    Ok(Today {
        events,
        storage_bytes: measured.map(|r| amount(r.amount)).unwrap_or(0),
    })
}
