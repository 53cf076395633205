//! `kgrca billing`

use kgrca_core::api::{LimitsView, Page, TenantStatus, Usage, VerifiedDay};
use kgrca_core::billing::{self, Invoice, Line, Plan};
use kgrca_core::storage::{UsageCounts, UsageRow};
use serde_json::Value;

use super::Env;
use super::owner::{Owner, TenantArg};
use super::tenant::id_of;
use crate::client::As;
use crate::error::{CliError, Result};
use crate::output::Table;

/// Show plans, usage, limits and invoices
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List the plans
    Plans,
    /// Show a tenant's limits, and how many events it has sent today
    Limits {
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Show a tenant's usage by day
    Report {
        #[command(flatten)]
        tenant: TenantArg,
        #[command(flatten)]
        days: DaysArgs,
        /// Aggregate by month
        #[arg(long)]
        by_month: bool,
    },
    /// Preview the invoice of a month as of now (operator)
    Preview {
        /// Tenant ID or name
        #[arg(long, add = crate::complete::tenants())]
        tenant: String,
        /// Month as YYYY-MM [default: this month]
        #[arg(long)]
        month: Option<String>,
    },
    /// Verify billed event counts against the log (operator; exits 10 on mismatch)
    Verify {
        /// Tenant ID or name
        #[arg(long, add = crate::complete::tenants())]
        tenant: String,
        #[command(flatten)]
        days: DaysArgs,
    },
}

/// A range of days.
#[derive(Debug, clap::Args)]
pub(super) struct DaysArgs {
    /// First day as YYYY-MM-DD [default: the first of this month]
    #[arg(long)]
    from: Option<String>,
    /// Day after the last one [default: tomorrow]
    #[arg(long)]
    to: Option<String>,
}

impl DaysArgs {
    fn query(self) -> Result<Vec<(&'static str, String)>> {
        if let (Some(from), Some(to)) = (&self.from, &self.to)
            && from >= to
        {
            let message = format!("no days from {from} to {to}");
            return Err(CliError::usage(message).hint("--to is the day after the last one"));
        }
        let from = self.from.map(|day| ("from", day));
        let to = self.to.map(|day| ("to", day));
        Ok(from.into_iter().chain(to).collect())
    }
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Plans => plans(env),
        Verb::Limits { tenant } => limits(env, tenant),
        Verb::Report {
            tenant,
            days,
            by_month,
        } => report(env, tenant, days, by_month),
        Verb::Preview { tenant, month } => preview(env, tenant, month),
        Verb::Verify { tenant, days } => verify(env, tenant, days),
    }
}

fn plans(env: &Env<'_>) -> Result {
    let all = billing::plans();
    let cells = |p: &Plan| {
        let price = p.price_month.map(|d| d.to_string());
        [
            p.name.clone(),
            price.unwrap_or_else(|| "custom".to_owned()),
            number(p.events_day),
            number(p.rca_hour),
            number(p.api_minute),
            number(p.clusters),
            format!("{} d", p.retention_days),
            number(p.rca_month),
            gigabytes(p),
            beyond(p).into(),
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
        "RCA/MONTH",
        "STORAGE",
        "EVENTS BEYOND",
    ];
    env.out
        .value(&all, || Table::new(&header).rows(all, cells))?;
    if env.out.is_for_people() {
        env.out.message(
            "events are Kubernetes events, log records and alerts; RCA queries and storage beyond \
             the numbers per month are charged (prices: -o yaml)",
        );
    }
    Ok(())
}

/// A limit of a plan.
fn number(limit: Option<u64>) -> String {
    match limit {
        Some(n) => n.to_string(),
        None => "unlimited".to_owned(),
    }
}

/// What happens to events beyond the daily number.
fn beyond(plan: &Plan) -> &'static str {
    match plan.events_day {
        Some(_) if plan.events_are_hard => "rejected",
        Some(_) => "charged",
        None => "-",
    }
}

fn gigabytes(plan: &Plan) -> String {
    match plan.storage_gb {
        Some(n) => format!("{n} GB"),
        None => number(None),
    }
}

fn megabytes(plan: &Plan) -> String {
    match plan.state_mb_day {
        Some(n) => format!("{n} MB"),
        None => number(None),
    }
}

fn limits(env: &Env<'_>, tenant: TenantArg) -> Result {
    let client = env.client()?;
    let view = match tenant.resolve(env, &client)? {
        Owner::Tenant(id) => {
            let path = format!("/api/v1/admin/clients/{id}");
            of_status(client.get(As::Operator, &path, &[])?)?
        }
        Owner::Caller | Owner::Operator => client.get(As::Tenant, "/api/v1/limits", &[])?,
    };
    let plan = &view.plan;
    let rows = [
        ("plan", plan.name.clone()),
        ("events/day", number(plan.events_day)),
        ("events beyond", beyond(plan).into()),
        ("events today", view.events_today.to_string()),
        ("rca/hour", number(plan.rca_hour)),
        ("rca/month", number(plan.rca_month)),
        ("api/min", number(plan.api_minute)),
        ("clusters", number(plan.clusters)),
        ("live objects", number(plan.live_objects)),
        ("live objects now", view.live_objects.to_string()),
        ("state/day", megabytes(plan)),
        ("storage", gigabytes(plan)),
        ("retention", format!("{} d", plan.retention_days)),
    ];
    env.out.value(&view, || {
        Table::new(&["LIMIT", "VALUE"]).rows(&rows, |(name, value)| [(*name).into(), value.clone()])
    })
}

/// The limits of a tenant, as its plan and the agreed limits give them.
fn of_status(status: TenantStatus) -> Result<LimitsView> {
    let tenant = &status.client;
    let plan = billing::find(&tenant.plan)
        .ok_or_else(|| CliError::failed(format!("unknown plan `{}`", tenant.plan)))?;
    Ok(LimitsView {
        plan: plan.with(&tenant.limits),
        events_today: status.events_today,
        live_objects: status.live_objects,
    })
}

fn report(env: &Env<'_>, tenant: TenantArg, days: DaysArgs, by_month: bool) -> Result {
    let client = env.client()?;
    let owner = tenant.resolve(env, &client)?;
    let path = match &owner {
        Owner::Tenant(id) => format!("/api/v1/admin/billing/{id}/report"),
        Owner::Caller | Owner::Operator => "/api/v1/usage".to_owned(),
    };
    let mut usage: Usage = client.get(owner.key(), &path, &days.query()?)?;
    if by_month {
        usage.rows = sum_by_month(usage.rows);
    }
    env.out.value(&usage, || {
        let period = if by_month { "MONTH" } else { "DAY" };
        Table::new(&[period, "METRIC", "AMOUNT"]).rows(&usage.rows, |r| {
            [r.day.clone(), r.metric.to_string(), r.amount.to_string()]
        })
    })
}

/// Rows whose `day` is a month, `YYYY-MM`.
fn sum_by_month(rows: Vec<UsageRow>) -> Vec<UsageRow> {
    let mut sums = UsageCounts::default();
    for row in rows {
        let month: String = row.day.chars().take(7).collect();
        sums.add(month, row.metric, row.amount);
    }
    sums.rows().collect()
}

fn preview(env: &Env<'_>, tenant: String, month: Option<String>) -> Result {
    let query: Vec<(&str, String)> = month.into_iter().map(|m| ("month", m)).collect();
    let path = format!("/api/v1/admin/billing/{}/preview", id_of(env, tenant)?);
    let invoice: Invoice = env.client()?.get(As::Operator, &path, &query)?;
    env.out.value(&invoice, || {
        let line = |l: &Line| {
            [
                l.item.clone(),
                l.quantity.to_string(),
                l.unit_price.to_string(),
                l.amount.to_string(),
            ]
        };
        Table::new(&["ITEM", "QUANTITY", "UNIT PRICE", "AMOUNT USD"])
            .rows(&invoice.lines, line)
            .row([
                "total".into(),
                String::new(),
                String::new(),
                invoice.total.to_string(),
            ])
    })
}

/// Recounts a tenant's events; waits for the server's job where that takes long.
fn recount(env: &Env<'_>, path: &str, days: DaysArgs) -> Result<Page<VerifiedDay>> {
    let client = env.client()?;
    let mut answer: Value = client.get(As::Operator, path, &days.query()?)?;
    while let Some(job) = answer["job_id"].as_str() {
        let progress = answer["progress"].as_str().unwrap_or("queued");
        env.out.message(&format!("counting ({job}): {progress}"));
        // The server answers when it is done, at the latest after 20 s.
        answer = client.get(As::Operator, &format!("{path}/{job}"), &[])?;
    }
    serde_json::from_value(answer).map_err(|e| {
        CliError::failed("unexpected answer; the server may be of another version").cause(e)
    })
}

fn verify(env: &Env<'_>, tenant: String, days: DaysArgs) -> Result {
    let path = format!("/api/v1/admin/billing/{}/verify", id_of(env, tenant)?);
    let page = recount(env, &path, days)?;
    let result = |d: &VerifiedDay| match (d.agrees, d.damaged.first()) {
        (Some(true), _) => "ok",
        (Some(false), _) => "mismatch",
        (None, Some(_)) => "damaged log",
        (None, None) => "older than log retention",
    };
    env.out.value(&page, || {
        Table::new(&["DAY", "BILLED", "IN LOG", "RESULT"]).rows(&page.items, |d| {
            [
                d.day.clone(),
                d.counted.to_string(),
                d.in_log.map(|n| n.to_string()).unwrap_or_default(),
                result(d).into(),
            ]
        })
    })?;
    for day in &page.items {
        for records in &day.damaged {
            let text = format!("{}: damaged, and missing: {}", day.day, records.place());
            env.out.message(&text);
        }
    }
    let is_wrong = |d: &VerifiedDay| d.agrees == Some(false) || !d.damaged.is_empty();
    if page.items.iter().any(is_wrong) {
        return Err(CliError::found());
    }
    Ok(())
}
