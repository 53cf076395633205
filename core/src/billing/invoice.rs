//! Monthly invoices. Money is decimal; each line is rounded once, half up, to the cent.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::Plan;

/// The usage of a tenant in a month.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MonthUsage {
    /// Accepted events, logs and alerts.
    pub events: u64,
    /// Answered RCA queries.
    pub rca_queries: u64,
    /// Mean of the daily storage, in bytes.
    pub storage_bytes: u64,
    /// Days of the month on which the tenant existed.
    pub days: u32,
    /// Days of the month.
    pub days_in_month: u32,
}

/// One line of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Line {
    /// Description of the charge.
    pub item: String,
    /// Number of units.
    #[schema(value_type = String)]
    pub quantity: Decimal,
    /// Price per unit in US dollars.
    #[schema(value_type = String)]
    pub unit_price: Decimal,
    /// Amount in US dollars, rounded to the cent.
    #[schema(value_type = String)]
    pub amount: Decimal,
}

/// An invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Invoice {
    /// Id of the tenant.
    pub client_id: String,
    /// The month, `YYYY-MM`.
    pub month: String,
    /// Name of the plan.
    pub plan: String,
    /// Always `USD`.
    pub currency: String,
    /// The charges.
    pub lines: Vec<Line>,
    /// The sum of the lines.
    #[schema(value_type = String)]
    pub total: Decimal,
}

/// The number of days of a month `YYYY-MM`; `None` if it is invalid.
pub fn days_in_month(month: &str) -> Option<u32> {
    let first: jiff::civil::Date = format!("{month}-01").parse().ok()?;
    Some(first.days_in_month() as u32)
}

/// The invoice of a month: the fee, pro rata by days, and usage beyond the plan.
pub fn invoice(client_id: &str, month: &str, plan: &Plan, usage: &MonthUsage) -> Invoice {
    let days = Decimal::from(usage.days_in_month.max(1));
    let mut lines = Vec::new();
    if let Some(price) = plan.price_month {
        let share = Decimal::from(usage.days) / days;
        lines.push(line(
            format!(
                "{} plan, {} of {} days",
                plan.name, usage.days, usage.days_in_month
            ),
            share,
            price,
        ));
    }
    if let Some(prices) = &plan.overage {
        let included = plan
            .events_day
            .unwrap_or(u64::MAX)
            .saturating_mul(u64::from(usage.days));
        let thousands =
            Decimal::from(usage.events.saturating_sub(included)) / Decimal::ONE_THOUSAND;
        let rca = Decimal::from(
            usage
                .rca_queries
                .saturating_sub(plan.rca_month.unwrap_or(u64::MAX)),
        );
        let gigabyte = Decimal::from(1_000_000_000_u64);
        let stored = Decimal::from(usage.storage_bytes) / gigabyte;
        let included = plan.storage_gb.map(Decimal::from).unwrap_or(stored);
        let storage = (stored - included).max(Decimal::ZERO);
        for (item, quantity, price) in [
            (
                "events beyond the plan, in thousands",
                thousands,
                prices.events_1000,
            ),
            ("RCA queries beyond the plan", rca, prices.rca),
            ("storage beyond the plan, in GB", storage, prices.storage_gb),
        ] {
            if !quantity.is_zero() {
                lines.push(line(item.into(), quantity, price));
            }
        }
    }
    let total = lines.iter().map(|l| l.amount).sum();
    Invoice {
        client_id: client_id.into(),
        month: month.into(),
        plan: plan.name.clone(),
        currency: "USD".into(),
        lines,
        total,
    }
}

fn line(item: String, quantity: Decimal, unit_price: Decimal) -> Line {
    let mut amount =
        (quantity * unit_price).round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    amount.rescale(2);
    Line {
        item,
        quantity: quantity.round_dp(6).normalize(),
        unit_price,
        amount,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::find;

    #[test]
    fn the_golden_invoice() {
        let usage = MonthUsage {
            events: 35_000_000,
            rca_queries: 12_000,
            storage_bytes: 150_000_000_000,
            days: 30,
            days_in_month: 30,
        };
        let invoice = invoice(
            "client-acme-7f3k2a",
            "2026-06",
            find("pro").unwrap(),
            &usage,
        );
        let amounts: Vec<String> = invoice.lines.iter().map(|l| l.amount.to_string()).collect();
        assert_eq!(amounts, ["499.00", "250.00", "500.00", "50.00"]);
        assert_eq!(invoice.total.to_string(), "1299.00");
    }

    #[test]
    fn the_free_plan_costs_nothing() {
        let usage = MonthUsage {
            events: 300_000,
            days: 30,
            days_in_month: 30,
            ..MonthUsage::default()
        };
        assert_eq!(
            invoice("c", "2026-06", find("free").unwrap(), &usage).total,
            Decimal::ZERO
        );
    }

    #[test]
    fn the_fee_is_pro_rata_by_days() {
        let usage = MonthUsage {
            days: 10,
            days_in_month: 31,
            ..MonthUsage::default()
        };
        assert_eq!(
            invoice("c", "2026-07", find("basic").unwrap(), &usage)
                .total
                .to_string(),
            "31.94"
        );
    }
}
