//! `kgrca changes` and `kgrca diff`

use kgrca_core::api::{Page, ResourceView};
use kgrca_core::change::{ClusterChange, ObjectChange};
use kgrca_core::model::{Kind, Time};

use super::Env;
use super::analyze::time;
use crate::client::As;
use crate::error::{CliError, Result};
use crate::output::{Output, Table, now};

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
/// Examples:
///   kgrca diff deploy/web -n shop --from 2h --to 1h
///   kgrca diff configmap settings -n shop
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct DiffArgs {
    /// The object: KIND/NAME, or KIND NAME; kinds as kubectl takes them, e.g. deploy
    #[arg(value_name = "KIND/NAME", num_args = 1..=2, required = true)]
    object: Vec<String>,
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

fn kind_word(word: &str) -> String {
    Kind::of_word(word).as_str().to_owned()
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
    if let Some(until) = args.until.filter(|until| *until <= args.since) {
        let message = format!(
            "--until {} is not after --since {}",
            until.to_seconds(),
            args.since.to_seconds()
        );
        return Err(CliError::usage(message).hint("swap them: --since is the earlier time"));
    }
    let page = read(
        env,
        &[
            ("since", Some(args.since.to_string())),
            ("until", args.until.map(|until| until.to_string())),
            ("namespace", args.namespace.clone()),
            ("cluster", args.cluster.clone()),
            ("kind", args.kind.as_deref().map(kind_word)),
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
    let (kind, name) = object(&args.object)?;
    let (kind, name) = (kind.as_str(), name);
    let to = args.to.unwrap_or_else(now);
    if args.from >= to {
        let message = format!(
            "--from {} is not before --to {}",
            args.from.to_seconds(),
            to.to_seconds()
        );
        return Err(CliError::usage(message).hint("swap them: --from is the earlier time"));
    }
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
        known(env, args, kind, name)?;
        let message = format!(
            "{kind} `{name}` was not changed between {} and {}",
            args.from.to_seconds(),
            to.to_seconds()
        );
        env.out.message(&message);
    }
    env.out.value(&page, || table(env.out, &page.items))
}

/// The kind and name of `KIND/NAME` or `KIND NAME`.
pub(super) fn object(words: &[String]) -> Result<(Kind, &str)> {
    let parts = match words {
        [kind, name] => Some((kind.as_str(), name.as_str())),
        [one] => one.split_once('/'),
        _ => None,
    };
    match parts {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() => {
            Ok((Kind::of_word(kind), name))
        }
        _ => {
            let message = format!("`{}` is not KIND/NAME", words.join(" "));
            Err(CliError::usage(message).hint("kgrca diff deploy/web -n shop"))
        }
    }
}

/// Most objects that are looked through for one of a similar name.
const MAX_NAMES: usize = 1000;

/// Whether an object is known: else nothing was compared.
fn known(env: &Env<'_>, args: &DiffArgs, kind: &str, name: &str) -> Result {
    let wanted = [
        ("kind", Some(kind.to_owned())),
        ("namespace", args.namespace.clone()),
        ("limit", Some(MAX_NAMES.to_string())),
    ];
    let query = wanted
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let query: Vec<(&str, String)> = query.collect();
    let page: Page<ResourceView> = env.client()?.get(As::Tenant, "/api/v1/resources", &query)?;
    let names: Vec<&str> = page
        .items
        .iter()
        .map(|r| r.resource.name.as_str())
        .collect();
    if names.contains(&name) || page.next.is_some() {
        return Ok(());
    }
    let place = match &args.namespace {
        Some(namespace) => format!(" in namespace `{namespace}`"),
        None => String::new(),
    };
    let message = format!("{kind} `{name}` is not known{place}");
    let hint = match similar(name, &names) {
        Some(similar) => format!("did you mean `{similar}`?"),
        None => format!("list what is known with `kgrca resource list --kind {kind}`"),
    };
    Err(CliError::not_found(message).hint(&hint))
}

/// The name that is most like another one, if one is.
pub(super) fn similar<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let rated = names.iter().map(|other| (distance(name, other), *other));
    let nearest = rated.min();
    nearest
        .filter(|(distance, _)| *distance <= 1 + name.chars().count() / 4)
        .map(|(_, other)| other)
}

/// How many characters have to be put in, left out or replaced to get from one name to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(253).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(253).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The object of a change: KIND/NAME; `-` for a change of the cluster as a whole.
fn shown(change: &ObjectChange) -> String {
    if change.name.is_empty() {
        return "-".to_owned();
    }
    format!("{}/{}", change.kind, change.name)
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
            if change.undated {
                "unknown".to_owned()
            } else {
                out.time(change.at)
            },
            change.namespace.clone(),
            shown(change),
            line.clone(),
            change.author().unwrap_or_else(|| "-".to_owned()),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_slip_is_found() {
        let names = ["api", "web", "checkout"];
        assert_eq!(similar("apii", &names), Some("api"));
        assert_eq!(similar("chekcout", &names), Some("checkout"));
        assert_eq!(similar("postgres", &names), None);
        assert_eq!(similar("x", &[]), None);
    }

    #[test]
    fn an_object_is_named_as_for_kubectl() {
        let of = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            object(&words)
                .map(|(kind, name)| format!("{kind} {name}"))
                .ok()
        };
        assert_eq!(of(&["deploy/api"]).as_deref(), Some("Deployment api"));
        assert_eq!(of(&["svc", "api"]).as_deref(), Some("Service api"));
        assert_eq!(of(&["api"]), None);
        assert_eq!(of(&["deploy/"]), None);
    }
}
