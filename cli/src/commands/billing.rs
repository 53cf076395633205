//! `kgrca billing`

use kgrca_core::api::{Page, Usage, VerifiedDay};
use kgrca_core::billing::{self, Invoice, Line, Plan};

use super::Env;
use super::tenant::id_of;
use crate::client::As;
use crate::error::{CliError, Result};
use crate::output::{Format, Table};

/// Plans, usage and invoices.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List the plans
    Plans,
    /// Usage of a tenant by day
    Report(SpanArgs),
    /// The invoice of a month as it stands, to the cent
    Preview {
        /// `TenantId`'s id or name
        #[arg(long, add = crate::complete::tenants())]
        tenant: String,
        /// Month, YYYY-MM; this one when absent
        #[arg(long)]
        month: Option<String>,
    },
    /// Recount events from the log; exit 10 when a day differs
    Verify(SpanArgs),
}

/// Whose usage, and when.
#[derive(Debug, clap::Args)]
pub(super) struct SpanArgs {
    /// `TenantId`'s id or name
    #[arg(long, add = crate::complete::tenants())]
    tenant: String,
    /// First day, YYYY-MM-DD; the first of this month when absent
    #[arg(long)]
    from: Option<String>,
    /// Day after the last; tomorrow when absent
    #[arg(long)]
    to: Option<String>,
    /// Sum up by month
    #[arg(long)]
    by_month: bool,
}

impl SpanArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        [("from", &self.from), ("to", &self.to)]
            .into_iter()
            .filter_map(|(k, v)| Some((k, v.clone()?)))
            .collect()
    }
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Plans => plans(env),
        Verb::Report(args) => {
            let path = format!(
                "/api/v1/admin/billing/{}/report",
                id_of(env, args.tenant.clone())?
            );
            let mut usage: Usage = env.client()?.get(As::Operator, &path, &args.query())?;
            if args.by_month {
                by_month(&mut usage);
            }
            env.out.value(&usage, || {
                Table::new(&["DAY", "METRIC", "AMOUNT"]).rows(&usage.rows, |r| {
                    [r.day.clone(), r.metric.clone(), r.amount.to_string()]
                })
            })
        }
        Verb::Preview { tenant, month } => {
            let query: Vec<(&str, String)> = month.into_iter().map(|m| ("month", m)).collect();
            let tenant = id_of(env, tenant)?;
            let invoice: Invoice = env.client()?.get(
                As::Operator,
                &format!("/api/v1/admin/billing/{tenant}/preview"),
                &query,
            )?;
            env.out.value(&invoice, || {
                let line = |l: &Line| {
                    [
                        l.item.clone(),
                        l.quantity.to_string(),
                        l.unit_price.to_string(),
                        l.amount.to_string(),
                    ]
                };
                let table = Table::new(&["ITEM", "QUANTITY", "UNIT PRICE", "AMOUNT USD"])
                    .rows(&invoice.lines, line);
                table.row([
                    "total".into(),
                    String::new(),
                    String::new(),
                    invoice.total.to_string(),
                ])
            })
        }
        Verb::Verify(args) => {
            let path = format!(
                "/api/v1/admin/billing/{}/verify",
                id_of(env, args.tenant.clone())?
            );
            let page: Page<VerifiedDay> = env.client()?.get(As::Operator, &path, &args.query())?;
            let verdict = |d: &VerifiedDay| match d.agrees {
                Some(true) => "agrees",
                Some(false) => "differs",
                None => "beyond the log",
            };
            let cells = |d: &VerifiedDay| {
                [
                    d.day.clone(),
                    d.counted.to_string(),
                    d.in_log.map_or(String::new(), |n| n.to_string()),
                    verdict(d).into(),
                ]
            };
            env.out.value(&page, || {
                Table::new(&["DAY", "COUNTED", "IN LOG", "VERDICT"]).rows(&page.items, cells)
            })?;
            if page.items.iter().any(|d| d.agrees == Some(false)) {
                Err(CliError::found())
            } else {
                Ok(())
            }
        }
    }
}

fn plans(env: &Env<'_>) -> Result {
    let all = billing::plans();
    let number = |n: Option<u64>| n.map_or("unlimited".to_owned(), |n| n.to_string());
    let cells = |p: &Plan| {
        let price = p.price_month.map_or("custom".to_owned(), |d| d.to_string());
        [
            p.name.clone(),
            price,
            number(p.events_day),
            number(p.rca_hour),
            number(p.api_minute),
            number(p.clusters),
            format!("{} d", p.retention_days),
        ]
    };
    let header = [
        "PLAN",
        "USD/MONTH",
        "EVENTS/DAY",
        "RCA/HOUR",
        "API/MIN",
        "CLUSTERS",
        "RETENTION",
    ];
    env.out
        .value(&all, || Table::new(&header).rows(all, cells))?;
    if env.out.format == Format::Table && env.out.terminal {
        env.out.message("beyond: -o yaml");
    }
    Ok(())
}

fn by_month(usage: &mut Usage) {
    let mut sums: std::collections::BTreeMap<(String, String), i64> =
        std::collections::BTreeMap::new();
    for row in &usage.rows {
        *sums
            .entry((row.day.chars().take(7).collect(), row.metric.clone()))
            .or_default() += row.amount;
    }
    usage.rows = sums
        .into_iter()
        .map(|((day, metric), amount)| kgrca_core::storage::UsageRow {
            day,
            metric,
            amount,
        })
        .collect();
}
