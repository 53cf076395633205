//! Plans, usage and invoices of tenants, as the operator's accountant sees them.

use kgrca_core::api::Usage;
use kgrca_core::billing::{self, Invoice, Metric, MonthUsage, Plan};
use kgrca_core::model::Time;
use kgrca_core::storage::UsageRow;
use kgrca_core::tenancy::Tenant;

use super::actor::Actor;
use super::app::App;
use super::audit_counts;
use super::error::{Error, Result};
use super::tenants::{self, FoundTenant};
use super::usage::{self, DaySpan};
use crate::clock::now;

/// The catalogue of plans.
///
/// # Errors
/// `forbidden` for all but the operator's accountants.
pub fn plans(actor: &Actor) -> Result<Vec<Plan>> {
    actor.accountant()?;
    Ok(billing::plans().to_vec())
}

/// The invoice of a month so far; by default of this month.
///
/// # Errors
/// `invalid_request` for a month that is not `YYYY-MM`; `conflict` when the plan is unknown.
pub async fn preview(app: &App, actor: &Actor, id: &str, month: Option<String>) -> Result<Invoice> {
    actor.accountant()?;
    let FoundTenant { id, row } = tenants::find(app, id).await?;
    audit_counts::read(app, actor, Some(id.as_str()), "invoice");
    let month = month.unwrap_or_else(|| now().day()[..7].to_owned());
    let days = billing::days_in_month(&month).ok_or_else(|| {
        Error::invalid(format!(
            "`month`: invalid month `{month}`, expected YYYY-MM"
        ))
    })?;
    let plan = billing::find(&row.plan).ok_or_else(|| {
        let message = format!("the plan `{}` of {id} is not in plans.yaml", row.plan);
        Error::conflict(message).hint(format!("kgrca tenant update {id} --plan PLAN"))
    })?;
    let span = DaySpan {
        from: format!("{month}-01"),
        // Days are compared as text: this is after the last day of every month.
        to: format!("{month}-32"),
    };
    let usage = usage::of_tenant(app, &id, span).await?;
    Ok(billing::invoice(
        id.as_str(),
        &month,
        &plan.with(&row.limits),
        &month_usage(&row, &month, days, &usage.rows),
    ))
}

fn month_usage(tenant: &Tenant, month: &str, days: u32, rows: &[UsageRow]) -> MonthUsage {
    let amounts = |metric: Metric| {
        rows.iter()
            .filter(move |r| r.metric == metric)
            .map(|r| r.amount.max(0) as u64)
    };
    let stored: Vec<u64> = amounts(Metric::StorageBytes).collect();
    MonthUsage {
        events: amounts(Metric::EventsIngested).sum(),
        rca_queries: amounts(Metric::RcaQueries).sum(),
        storage_bytes: stored.iter().sum::<u64>() / stored.len().max(1) as u64,
        days: days_of_existence(tenant, month, days),
        days_in_month: days,
    }
}

/// On how many days of a month the tenant existed, for at least a part of the day.
fn days_of_existence(tenant: &Tenant, month: &str, days: u32) -> u32 {
    let first = tenant.created_at.day();
    let last = tenant.deleted_at.map(Time::day);
    let existed = |day: String| match &last {
        Some(last) => day >= first && day <= *last,
        None => day >= first,
    };
    (1..=days)
        .filter(|day| existed(format!("{month}-{day:02}")))
        .count() as u32
}

/// A tenant's usage by day and metric.
///
/// # Errors
/// `not_found` when there is no such tenant.
pub async fn report(app: &App, actor: &Actor, id: &str, span: DaySpan) -> Result<Usage> {
    actor.accountant()?;
    let tenant = tenants::find(app, id).await?;
    audit_counts::read(app, actor, Some(id), "usage");
    usage::of_tenant(app, &tenant.id, span).await
}

#[cfg(test)]
mod tests {
    use kgrca_core::billing::Overrides;
    use kgrca_core::tenancy::TenantState;

    use super::*;

    #[test]
    fn a_tenant_pays_for_the_days_on_which_it_existed() {
        let day = |text: &str| {
            let time = format!("{text}T12:00:00Z").parse::<jiff::Timestamp>();
            Time(time.unwrap().as_microsecond())
        };
        let mut tenant = Tenant {
            client_id: "client-acme-7f3k2a".into(),
            name: "Acme".into(),
            plan: "pro".into(),
            state: TenantState::Active,
            contact_email: String::new(),
            created_at: day("2026-01-10"),
            deleted_at: None,
            partitions: 1,
            limits: Overrides::default(),
        };
        assert_eq!(days_of_existence(&tenant, "2026-01", 31), 22);
        tenant.deleted_at = Some(day("2026-01-12"));
        assert_eq!(days_of_existence(&tenant, "2026-01", 31), 3);
        assert_eq!(days_of_existence(&tenant, "2026-02", 28), 0);
    }
}
