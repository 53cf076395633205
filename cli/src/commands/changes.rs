//! `kgrca changes` and `kgrca diff`

use kgrca_core::api::Page;
use kgrca_core::change::ClusterChange;
use kgrca_core::model::Time;

use super::Env;
use super::analyze::time;
use crate::client::As;
use crate::error::{CliError, Result};
use crate::output::{Output, Table};

/// How many pages are read at most.
const MAX_PAGES: usize = 50;

/// List what was changed on objects: fields, old and new values, by whom and when
///
/// Examples:
///   kgrca changes --since 1h -n shop
///   kgrca changes --kind Deployment --since 2026-01-01T10:00:00Z
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Changes since this time: RFC 3339, or how long ago, e.g. 10m
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    since: Time,
    /// Changes before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Time>,
    /// Namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// Cluster
    #[arg(long)]
    cluster: Option<String>,
    /// Kind, e.g. Deployment
    #[arg(long)]
    kind: Option<String>,
}

/// Show what was changed on one object between two times
///
/// Example:
///   kgrca diff Deployment/web -n shop --from 2h --to 1h
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct DiffArgs {
    /// The object
    #[arg(value_name = "KIND/NAME")]
    object: String,
    /// Namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// Cluster
    #[arg(long)]
    cluster: Option<String>,
    /// Start: RFC 3339, or how long ago, e.g. 2h
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = time)]
    from: Time,
    /// End; default: now
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Time>,
}

/// All changes that a query names, over the pages of the list.
fn read(env: &Env<'_>, wanted: &[(&'static str, Option<String>)]) -> Result<Page<ClusterChange>> {
    let client = env.client()?;
    let fields = wanted
        .iter()
        .filter_map(|(name, value)| Some((*name, value.clone()?)));
    let fields: Vec<(&str, String)> = fields.collect();
    let (mut items, mut next) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let cursor = next.map(|next| ("cursor", next));
        let query: Vec<(&str, String)> = fields.iter().cloned().chain(cursor).collect();
        let page: Page<ClusterChange> = client.get(As::Tenant, "/api/v1/changes", &query)?;
        items.extend(page.items);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    Ok(Page { items, next })
}

pub(super) fn list(env: &Env<'_>, args: &Args) -> Result {
    let page = read(
        env,
        &[
            ("since", Some(args.since.to_string())),
            ("until", args.until.map(|until| until.to_string())),
            ("namespace", args.namespace.clone()),
            ("cluster", args.cluster.clone()),
            ("kind", args.kind.clone()),
        ],
    )?;
    env.out.value(&page, || table(env.out, &page.items))?;
    if page.next.is_some() {
        env.out
            .message("more changes match; narrow the time with --until");
    }
    Ok(())
}

pub(super) fn diff(env: &Env<'_>, args: &DiffArgs) -> Result {
    let Some((kind, name)) = args.object.split_once('/') else {
        let message = format!("`{}` is not KIND/NAME", args.object);
        return Err(CliError::usage(message).hint("kgrca diff Deployment/web -n shop"));
    };
    let page = read(
        env,
        &[
            ("since", Some(args.from.to_string())),
            ("until", args.to.map(|to| to.to_string())),
            ("namespace", args.namespace.clone()),
            ("cluster", args.cluster.clone()),
            ("kind", Some(kind.to_owned())),
            ("name", Some(name.to_owned())),
        ],
    )?;
    if page.items.is_empty() {
        let message = format!("no change of {kind} `{name}` in this time");
        let hint = "kgrca changes --since 1d lists the changes of all objects";
        return Err(CliError::not_found(message).hint(hint));
    }
    env.out.value(&page, || table(env.out, &page.items))
}

/// A row for each field that changed.
pub(super) fn table(out: &Output, changes: &[ClusterChange]) -> Table {
    let lines = changes.iter().flat_map(|of| {
        let lines = of.change.lines().into_iter();
        lines.map(move |line| (&of.change, line))
    });
    let lines: Vec<_> = lines.collect();
    Table::new(&["TIME", "NAMESPACE", "OBJECT", "CHANGE", "BY"]).rows(&lines, |(change, line)| {
        [
            match change.undated {
                true => "unknown".to_owned(),
                false => out.time(change.at),
            },
            change.namespace.clone(),
            format!("{}/{}", change.kind, change.name),
            line.clone(),
            change.author().unwrap_or_else(|| "-".to_owned()),
        ]
    })
}
