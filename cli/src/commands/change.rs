//! `kgrca change`

use kgrca_core::api::Ingested;
use kgrca_core::model::Time;
use serde_json::{Value, json};

use super::Env;
use super::analyze::time;
use super::changes::object;
use crate::error::{CliError, Result};
use crate::output::now;

/// Report changes that no cluster shows
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    Record(RecordArgs),
}

/// Record a change: a deployment, a flag, a migration, maintenance
///
/// It is listed by `kgrca changes`, and beside the causes of incidents that began soon after it. It
/// counts as one event.
///
/// Examples:
///   kgrca change record "api 1.4.2" --reason deploy --object deploy/api -n shop --revision 9fceb02
///   kgrca change record "new checkout on for 10 % of users" --reason flag --by jane
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct RecordArgs {
    /// What was changed
    message: String,
    /// Kind of change, e.g. deploy, flag, migration or maintenance
    #[arg(long, default_value = "change")]
    reason: String,
    /// The object that was changed: KIND/NAME; default: the cluster as a whole
    #[arg(long, value_name = "KIND/NAME")]
    object: Option<String>,
    /// Namespace of the object
    #[arg(short, long, requires = "object")]
    namespace: Option<String>,
    /// Cluster; default: that of the key
    #[arg(long)]
    cluster: Option<String>,
    /// Who made it
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Tool that made it
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Commit, version or release that it brought
    #[arg(long)]
    revision: Option<String>,
    /// When it was made: RFC 3339, or how long ago, e.g. 10m; default: now
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Time>,
    /// Makes a repetition within 24 h harmless, for scripts that retry
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Record(args) => record(env, &args),
    }
}

fn record(env: &Env<'_>, args: &RecordArgs) -> Result {
    let change = change(args)?;
    let client = env.client()?;
    let path = "/api/v1/ingest/changes";
    let answer: Ingested = match &args.id {
        Some(id) => client.post_once(path, id, &change)?,
        None => client.post_bytes(path, change.to_string().into_bytes())?,
    };
    if let Some(rejected) = answer.rejected.first() {
        let error = CliError::usage(format!("the change was rejected: {}", rejected.message));
        return Err(match rejected.reason.as_str() {
            "cluster_missing" => error.hint("name the cluster: --cluster NAME"),
            _ => error,
        });
    }
    if answer.accepted == 0 {
        env.out
            .message("recorded before: a batch with this ID was accepted within 24 h");
    } else {
        env.out.message("change recorded");
    }
    Ok(())
}

/// The record of a change.
fn change(args: &RecordArgs) -> Result<Value> {
    let at = args.at.unwrap_or_else(now);
    let mut value = json!({
        "etype": "change",
        "event_time": at.to_string(),
        "reason": args.reason,
        "message": args.message,
    });
    let texts = [
        ("event_id", &args.id),
        ("cluster", &args.cluster),
        ("by", &args.by),
        ("source", &args.source),
        ("revision", &args.revision),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            value[name] = text.as_str().into();
        }
    }
    if let Some(word) = &args.object {
        let words = [word.clone()];
        let (kind, name) = object(&words)?;
        if args.namespace.is_none() && !kind.is_cluster_scoped() {
            let message = format!("{kind} `{name}` needs a namespace");
            return Err(CliError::usage(message).hint("pass -n NAMESPACE"));
        }
        value["subject"] = json!({"kind": kind.as_str(), "name": name, "ns": args.namespace});
    }
    Ok(value)
}
