//! `kgrca tenant`

mod archive;
mod moving;

use std::path::PathBuf;
use std::time::Duration;

use kgrca_core::api::{CreatedTenant, NewTenant, Page, Served, TenantChange, TenantStatus};
use kgrca_core::billing::Overrides;
use kgrca_core::model::Time;
use kgrca_core::tenancy::{Saga, TenantId};
use reqwest::Method;

use super::Env;
use crate::client::As;
use crate::error::{CliError, Result, exit};
use crate::output::{Format, Table};
use crate::prompt;

/// How long a server that went away is waited for.
const PATIENCE: Duration = Duration::from_mins(2);
const LIMITS: &str = "events_day, rca_hour, api_minute, clusters, retention_days; or none";

/// What tenants are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Sort {
    /// Id
    Id,
    /// Records that wait
    Lag,
    /// Time since the last record
    LastRecord,
    /// Share of the day's events that is used
    Quota,
    /// Stored bytes
    Storage,
    /// Rejected records
    Rejected,
}

impl Sort {
    fn apply(self, items: &mut [TenantStatus]) {
        use std::cmp::Reverse;
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

/// Manages tenants.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Create a tenant; its first key is shown once
    Create {
        /// What the customer is called
        name: String,
        /// Plan: free, basic, pro or enterprise
        #[arg(long, default_value = "free")]
        plan: String,
        /// Whom to write to
        #[arg(long, default_value = "")]
        email: String,
    },
    /// List tenants with lag, last record, usage and storage
    List {
        /// What to sort by; the largest first, but for names
        #[arg(long, value_enum, default_value_t = Sort::Id)]
        sort: Sort,
    },
    /// Show a tenant
    Show {
        /// `TenantId`'s id or name
        #[arg(add = crate::complete::tenants())]
        id: String,
    },
    /// Change plan, contact, agreed limits or partitions; it takes effect at once
    Update {
        /// `TenantId`'s id or name
        #[arg(add = crate::complete::tenants())]
        id: String,
        /// Plan: free, basic, pro or enterprise
        #[arg(long)]
        plan: Option<String>,
        /// Whom to write to
        #[arg(long)]
        email: Option<String>,
        /// Agreed limits instead of the plan's, such as `rca_hour=500`; all of them, `none` for the
        /// plan's
        #[arg(long, value_delimiter = ',', value_name = "LIMIT=NUMBER")]
        limits: Vec<String>,
        /// Partitions of each of its topics; they only grow
        #[arg(long)]
        partitions: Option<u32>,
    },
    /// Stop serving a tenant; nothing is lost
    Suspend {
        /// `TenantId`'s id or name
        #[arg(add = crate::complete::tenants())]
        id: String,
    },
    /// Serve a suspended tenant again, or one within its time of grace
    Resume {
        /// `TenantId`'s id or name
        #[arg(add = crate::complete::tenants())]
        id: String,
    },
    /// Take a tenant down; its data is removed after a time of grace
    Delete {
        /// `TenantId`'s id or name
        #[arg(add = crate::complete::tenants())]
        id: String,
        /// Days in which `tenant resume` brings it back; 0 removes its data at once
        #[arg(long, default_value_t = 30)]
        grace_days: u32,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Only show what would be deleted
        #[arg(long)]
        dry_run: bool,
    },
    /// Write a tenant's graph, incidents, answers and state to a folder, as lines of JSON with a
    /// manifest
    Export {
        /// `TenantId`'s id or name
        #[arg(add = crate::complete::tenants())]
        id: String,
        /// Folder to write, which is not there yet
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Create a tenant from an export, whatever stores it came from; its key is shown once
    Import {
        /// Folder that an export wrote
        folder: PathBuf,
        /// What the customer is called, instead of what the export says
        #[arg(long, conflicts_with = "resume")]
        name: Option<String>,
        /// Plan, instead of what the export says
        #[arg(long, conflicts_with = "resume")]
        plan: Option<String>,
        /// Whom to write to
        #[arg(long, default_value = "")]
        email: String,
        /// Go on with an import that stopped
        #[arg(long, value_name = "SAGA")]
        resume: Option<String>,
    },
    /// Move a tenant's graph to another server of Neo4j while it is served
    Move {
        /// `TenantId`'s id or name
        #[arg(add = crate::complete::tenants())]
        id: String,
        /// The server, as the URL of the graph names it
        #[arg(long, value_name = "HOST:PORT")]
        graph_server: String,
    },
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Create { name, plan, email } => create(
            env,
            &NewTenant {
                name,
                plan,
                contact_email: email,
            },
        ),
        Verb::List { sort } => {
            let mut page: Page<TenantStatus> =
                env.client()?
                    .get(As::Operator, "/api/v1/admin/clients", &[])?;
            sort.apply(&mut page.items);
            env.out.value(&page, || table(env, &page.items))
        }
        Verb::Show { id } => {
            let status: TenantStatus =
                env.client()?
                    .get(As::Operator, &path(&id_of(env, id)?), &[])?;
            let is_for_people = env.out.format == Format::Table;
            env.out.value(&status, || {
                if is_for_people {
                    details(env, &status)
                } else {
                    table(env, std::slice::from_ref(&status))
                }
            })
        }
        Verb::Update {
            id,
            plan,
            email,
            limits,
            partitions,
        } => {
            if plan.is_none() && email.is_none() && limits.is_empty() && partitions.is_none() {
                return Err(CliError::usage("nothing is to be changed")
                    .hint("--plan, --email, --limits or --partitions"));
            }
            let limits = if limits.is_empty() {
                None
            } else {
                Some(overrides(&limits)?)
            };
            let wish = TenantChange {
                state: None,
                plan,
                contact_email: email,
                limits,
                partitions,
            };
            change(env, &id_of(env, id)?, &wish)
        }
        Verb::Suspend { id } => change(env, &id_of(env, id)?, &served(Served::Suspended)),
        Verb::Resume { id } => change(env, &id_of(env, id)?, &served(Served::Active)),
        Verb::Delete {
            id,
            grace_days,
            yes,
            dry_run,
        } => {
            let id = id_of(env, id)?;
            let status: TenantStatus = env.client()?.get(As::Operator, &path(&id), &[])?;
            if dry_run {
                env.out.message(&format!(
                    "would take down tenant {id} ({}) with {} bytes of records, and remove them after {grace_days} days",
                    status.client.name, status.storage_bytes
                ));
                return Ok(());
            }
            prompt::confirm("Takes down tenant", &id, yes)?;
            let path = format!("{}?grace_days={grace_days}", path(&id));
            let saga: Saga = env.client()?.send(
                Method::DELETE,
                As::Operator,
                &path,
                &serde_json::Value::Null,
            )?;
            if saga.is_over() {
                env.out.message(&format!("tenant {id} was deleted"));
            } else {
                env.out.message(&format!(
                    "tenant {id} is not served any more; `kgrca tenant resume {id}` brings it back"
                ));
            }
            env.out.value(&saga, || {
                super::saga::table(env, std::slice::from_ref(&saga))
            })
        }
        Verb::Export { id, out } => archive::export(env, &id_of(env, id)?, &out),
        Verb::Import {
            folder,
            name,
            plan,
            email,
            resume,
        } => archive::import(
            env,
            &folder,
            archive::Wish {
                name,
                plan,
                email,
                resume,
            },
        ),
        Verb::Move { id, graph_server } => moving::run(env, &id_of(env, id)?, graph_server),
    }
}

/// The id of a tenant that was given by id or by name.
pub(super) fn id_of(env: &Env<'_>, given: String) -> Result<String> {
    if TenantId::parse(&given).is_some() {
        return Ok(given);
    }
    let page: Page<TenantStatus> = env
        .client()?
        .get(As::Operator, "/api/v1/admin/clients", &[])?;
    let mut named = page
        .items
        .into_iter()
        .map(|s| s.client)
        .filter(|c| c.name == given);
    match (named.next(), named.next()) {
        (Some(only), None) => Ok(only.client_id),
        (Some(_), Some(_)) => Err(
            CliError::usage(format!("several tenants are called `{given}`"))
                .hint("give the id: `kgrca tenant list`"),
        ),
        _ => Err(
            CliError::new(exit::NOT_FOUND, format!("there is no tenant `{given}`"))
                .hint("kgrca tenant list"),
        ),
    }
}

fn path(id: &str) -> String {
    format!("/api/v1/admin/clients/{id}")
}

/// Creates a tenant. The request has a key of its own: when the server goes away in the middle, the
/// same request goes on where it was.
fn create(env: &Env<'_>, wish: &NewTenant) -> Result {
    let request = format!("{:032x}", rand::random::<u128>());
    let created: CreatedTenant = env.client()?.send_until(
        As::Operator,
        "/api/v1/admin/clients",
        wish,
        &request,
        PATIENCE,
        &mut once(env),
    )?;
    show_created(env, &created)
}

/// Tells once why a request is tried again.
fn once<'a>(env: &'a Env<'_>) -> impl FnMut(&str) + 'a {
    let mut told = false;
    move |why| {
        if !std::mem::replace(&mut told, true) {
            env.out.message(&format!(
                "{why}; trying again for up to 2 minutes, the tenant is set up once"
            ));
        }
    }
}

/// Shows a new tenant's secrets and how its agent is installed.
pub(super) fn show_created(env: &Env<'_>, created: &CreatedTenant) -> Result {
    env.out.message(if created.kafka_password.is_some() {
        "key and password are shown only now"
    } else {
        "the key is shown only now"
    });
    if env.out.format == Format::Name {
        // A name alone would lose what nobody can show again.
        env.out.message(&format!("key: {}", created.api_key));
        if let Some(password) = &created.kafka_password {
            env.out.message(&format!("kafka password: {password}"));
        }
    }
    env.out.value(created, || {
        let (id, key) = (created.client_id.clone(), created.api_key.clone());
        match (&created.kafka_username, &created.kafka_password) {
            (Some(user), Some(password)) => Table::new(&[
                "ID",
                "API KEY",
                "KAFKA USER",
                "KAFKA PASSWORD",
            ])
            .row([id, key, user.clone(), password.clone()]),
            _ => Table::new(&["ID", "API KEY"]).row([id, key]),
        }
    })
}

fn served(state: Served) -> TenantChange {
    TenantChange {
        state: Some(state),
        ..TenantChange::default()
    }
}

/// Agreed limits as they are typed.
fn overrides(given: &[String]) -> Result<Overrides> {
    let mut all = serde_json::Map::new();
    for pair in given.iter().filter(|p| *p != "none") {
        let number = pair
            .split_once('=')
            .and_then(|(name, value)| Some((name, value.parse::<u64>().ok()?)));
        let (name, value) = number
            .ok_or_else(|| CliError::usage(format!("`{pair}` is not LIMIT=NUMBER")).hint(LIMITS))?;
        all.insert(name.to_owned(), value.into());
    }
    serde_json::from_value(all.into())
        .map_err(|e| CliError::usage("these are no limits").cause(e).hint(LIMITS))
}

fn change(env: &Env<'_>, id: &str, wish: &TenantChange) -> Result {
    let status: TenantStatus = env
        .client()?
        .send(Method::PATCH, As::Operator, &path(id), wish)?;
    env.out
        .value(&status, || table(env, std::slice::from_ref(&status)))
}

/// Everything of one tenant, a line for each thing.
fn details(env: &Env<'_>, s: &TenantStatus) -> Table {
    let now = Time(jiff::Timestamp::now().as_microsecond());
    let c = &s.client;
    let limits = serde_json::to_value(&c.limits)
        .ok()
        .and_then(|v| v.as_object().cloned())
        .unwrap_or_default();
    let limits = limits
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(", ");
    let lines = [
        ("id", c.client_id.clone()),
        ("name", c.name.clone()),
        ("state", c.state.as_str().to_owned()),
        ("plan", c.plan.clone()),
        (
            "agreed limits",
            if limits.is_empty() {
                "the plan's".to_owned()
            } else {
                limits
            },
        ),
        ("contact", c.contact_email.clone()),
        ("created", env.out.age(now, c.created_at)),
        (
            "leaving since",
            c.deleted_at.map_or(String::new(), |t| env.out.age(now, t)),
        ),
        ("partitions", c.partitions.to_string()),
        ("graph server", s.graph_server.clone().unwrap_or_default()),
        ("lag", s.lag.to_string()),
        (
            "last record",
            s.last_record
                .map_or("never".to_owned(), |t| env.out.age(now, t)),
        ),
        ("events today", s.events_today.to_string()),
        (
            "quota used",
            s.quota_percent.map_or(String::new(), |p| format!("{p} %")),
        ),
        ("rejected", s.rejected.to_string()),
        ("storage", env.out.size(s.storage_bytes)),
    ];
    let told = lines.into_iter().filter(|(_, value)| !value.is_empty());
    Table::new(&["WHAT", "VALUE"]).rows(told, |(name, value)| [name.to_owned(), value])
}

fn table(env: &Env<'_>, items: &[TenantStatus]) -> Table {
    let now = Time(jiff::Timestamp::now().as_microsecond());
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
        let last = s
            .last_record
            .map_or("never".into(), |t| env.out.age(now, t));
        [
            s.client.client_id.clone(),
            s.client.name.clone(),
            s.client.state.as_str().into(),
            s.client.plan.clone(),
            s.lag.to_string(),
            last,
            s.events_today.to_string(),
            s.quota_percent.map_or("-".into(), |p| format!("{p} %")),
            s.rejected.to_string(),
            env.out.size(s.storage_bytes),
        ]
    })
}
