//! `kgrca tenant list` and `kgrca tenant show`

use std::cmp::Reverse;

use kgrca_core::api::{DamagedRecords, Page, TenantStatus};

use super::{Env, TENANTS, path};
use crate::client::As;
use crate::error::Result;
use crate::output::{Format, Table, now};

/// Sort keys of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::commands) enum Sort {
    /// ID
    Id,
    /// Number of records waiting to be processed
    Lag,
    /// Time of the last record, oldest first
    LastRecord,
    /// Share of the daily event quota used
    Quota,
    /// Stored bytes
    Storage,
    /// Number of rejected records
    Rejected,
}

impl Sort {
    fn apply(self, items: &mut [TenantStatus]) {
        match self {
            Self::Id => items.sort_by(|a, b| a.client.client_id.cmp(&b.client.client_id)),
            Self::Lag => items.sort_by_key(|s| Reverse(s.lag)),
            Self::LastRecord => items.sort_by_key(|s| s.last_record),
            Self::Quota => items.sort_by_key(|s| Reverse(s.quota_percent)),
            Self::Storage => items.sort_by_key(|s| Reverse(s.storage_bytes)),
            Self::Rejected => items.sort_by_key(|s| Reverse(s.rejected)),
        }
    }
}

pub(super) fn list(env: &Env<'_>, sort: Sort) -> Result {
    let mut page: Page<TenantStatus> = env.client()?.get(As::Operator, TENANTS, &[])?;
    sort.apply(&mut page.items);
    env.out.value(&page, || table(env, &page.items))
}

pub(super) fn show(env: &Env<'_>, id: &str) -> Result {
    print(env, &env.client()?.get(As::Operator, &path(id), &[])?)
}

/// Prints one tenant with all its properties.
pub(super) fn print(env: &Env<'_>, status: &TenantStatus) -> Result {
    let has_details = env.out.format == Format::Table;
    env.out.value(status, || {
        if has_details {
            details(env, status)
        } else {
            table(env, std::slice::from_ref(status))
        }
    })
}

/// A line per property of one tenant; unset ones are left out.
fn details(env: &Env<'_>, s: &TenantStatus) -> Table {
    let now = now();
    let age = |t| env.out.age(now, t);
    let tenant = &s.client;
    let limits = serde_json::to_value(&tenant.limits)
        .ok()
        .and_then(|v| v.as_object().cloned())
        .unwrap_or_default();
    let limits: Vec<String> = limits
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let damaged: Vec<String> = s.damaged.iter().map(DamagedRecords::place).collect();
    let properties = [
        ("id", tenant.client_id.clone()),
        ("name", tenant.name.clone()),
        ("state", tenant.state.as_str().to_owned()),
        ("plan", tenant.plan.clone()),
        ("agreed limits", limits.join(", ")),
        ("contact", tenant.contact_email.clone()),
        ("created", age(tenant.created_at)),
        (
            "leaving since",
            tenant.deleted_at.map(age).unwrap_or_default(),
        ),
        ("partitions", tenant.partitions.to_string()),
        ("graph server", s.graph_server.clone().unwrap_or_default()),
        ("lag", s.lag.to_string()),
        ("last record", last_record(env, s)),
        ("events today", s.events_today.to_string()),
        ("live objects", s.live_objects.to_string()),
        ("quota used", quota(s).unwrap_or_default()),
        ("rejected", s.rejected.to_string()),
        ("storage", env.out.size(s.storage_bytes)),
        ("damaged, and missing", damaged.join("; ")),
    ];
    let set = properties.into_iter().filter(|(_, v)| !v.is_empty());
    Table::new(&["PROPERTY", "VALUE"]).rows(set, |(name, value)| [name.to_owned(), value])
}

fn last_record(env: &Env<'_>, s: &TenantStatus) -> String {
    match s.last_record {
        Some(at) => env.out.age(now(), at),
        None => "never".to_owned(),
    }
}

/// The share of the daily event quota used; `None` without a limit.
fn quota(s: &TenantStatus) -> Option<String> {
    s.quota_percent.map(|p| format!("{p} %"))
}

/// A row per tenant.
fn table(env: &Env<'_>, items: &[TenantStatus]) -> Table {
    Table::new(&[
        "ID",
        "NAME",
        "STATE",
        "PLAN",
        "LAG",
        "LAST RECORD",
        "EVENTS TODAY",
        "QUOTA",
        "REJECTED",
        "STORAGE",
    ])
    .rows(items, |s| {
        [
            s.client.client_id.clone(),
            s.client.name.clone(),
            s.client.state.as_str().into(),
            s.client.plan.clone(),
            s.lag.to_string(),
            last_record(env, s),
            s.events_today.to_string(),
            quota(s).unwrap_or_else(|| "-".to_owned()),
            s.rejected.to_string(),
            env.out.size(s.storage_bytes),
        ]
    })
}
