//! `kgrca silence`

use kgrca_core::api::{NewSilence, Page};
use kgrca_core::model::{Severity, Time};
use kgrca_core::notify::{Matcher, Silence};
use reqwest::Method;

use super::Env;
use super::analyze::time_ahead;
use crate::client::As;
use crate::error::Result;
use crate::output::Table;

/// Silence notifications for a while
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    Add(AddArgs),
    /// List the silences in effect, in the order of their ends
    List,
    /// End a silence at once
    Expire {
        /// Silence ID, e.g. `sil_4k2j9x0a1b`
        id: String,
    },
}

/// Add a silence
///
/// All conditions that are given have to hold; `*` in a name stands for any characters. Receivers
/// that were notified of an incident before are still notified of its end.
///
/// Examples:
///   kgrca silence add -n shop --for 2h --reason "database migration"
///   kgrca silence add --component app/cart --fault 'image.*' --for 1d --reason "being fixed"
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true)
    .args(["namespace", "cluster", "component", "fault", "severity"])))]
pub(super) struct AddArgs {
    /// Namespace of the component at fault
    #[arg(short, long)]
    namespace: Option<String>,
    /// Cluster
    #[arg(long)]
    cluster: Option<String>,
    /// Component at fault, e.g. app/cart
    #[arg(long)]
    component: Option<String>,
    /// Fault, e.g. `runtime.oom_killed`
    #[arg(long)]
    fault: Option<String>,
    /// Minimum severity
    #[arg(long, ignore_case = true,
        value_parser = ["debug", "info", "warning", "error", "critical", "fatal"])]
    severity: Option<String>,
    /// How long, e.g. 30m, 2h or 1d
    #[arg(long = "for", value_name = "DURATION", value_parser = time_ahead)]
    ends_at: Time,
    /// Why
    #[arg(long)]
    reason: String,
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Add(args) => add(env, args),
        Verb::List => list(env),
        Verb::Expire { id } => expire(env, &id),
    }
}

const ROUTE: &str = "/api/v1/silences";

fn add(env: &Env<'_>, args: AddArgs) -> Result {
    let new = NewSilence {
        matcher: Matcher {
            severity: args.severity.as_deref().and_then(Severity::parse),
            confidence: None,
            cluster: args.cluster,
            namespace: args.namespace,
            component: args.component,
            fault: args.fault,
            states: Vec::new(),
        },
        reason: args.reason,
        ends_at: args.ends_at,
    };
    let added: Silence = env.client()?.send(Method::POST, As::Tenant, ROUTE, &new)?;
    env.out
        .value(&added, || table(env, std::slice::from_ref(&added)))
}

fn list(env: &Env<'_>) -> Result {
    let page: Page<Silence> = env.client()?.get(As::Tenant, ROUTE, &[])?;
    env.out.value(&page, || table(env, &page.items))
}

fn table(env: &Env<'_>, silences: &[Silence]) -> Table {
    Table::new(&["ID", "ENDS", "MATCH", "BY", "REASON"]).rows(silences, |silence| {
        [
            silence.silence_id.clone(),
            env.out.time(silence.ends_at),
            conditions(&silence.matcher),
            silence.by.clone(),
            silence.reason.clone(),
        ]
    })
}

/// The conditions in the words of the flags.
fn conditions(matcher: &Matcher) -> String {
    let share = matcher.confidence.map(|share| share.to_string());
    let severity = matcher.severity.map(|s| s.as_str().to_lowercase());
    let all = [
        ("namespace", matcher.namespace.clone()),
        ("cluster", matcher.cluster.clone()),
        ("component", matcher.component.clone()),
        ("fault", matcher.fault.clone()),
        ("severity", severity),
        ("confidence", share),
    ];
    let set = all
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let set: Vec<String> = set.map(|(name, value)| format!("{name}={value}")).collect();
    set.join(" ")
}

fn expire(env: &Env<'_>, id: &str) -> Result {
    let path = format!("{ROUTE}/{id}");
    env.client()?.call(Method::DELETE, As::Tenant, &path)?;
    env.out.message(&format!("{id} has ended"));
    Ok(())
}
