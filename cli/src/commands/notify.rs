//! `kgrca notify`

use std::io::Read;
use std::path::PathBuf;

use kgrca_core::api::{NotifyConfig, NotifyPlan, TestedReceiver};
use kgrca_core::notify::Config;
use reqwest::Method;

use super::Env;
use crate::client::As;
use crate::error::{CliError, Result};
use crate::output::{Table, count};

/// Choose who is notified of incidents
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    Apply(ApplyArgs),
    /// Show receivers and routes as YAML; secrets are shown as ********
    Show,
    /// Show who would be notified of an incident, without sending anything
    Test {
        /// Incident ID, e.g. inc-12
        #[arg(add = crate::complete::incidents())]
        id: String,
    },
    /// Send a test notification to a receiver
    Send {
        /// Name of the receiver
        receiver: String,
    },
}

/// Replace receivers and routes by those of a YAML file
///
/// Where a secret is ********, as `kgrca notify show` prints it, the stored one is kept.
///
/// Examples:
///   kgrca notify apply -f notify.yaml
///   kgrca notify show > notify.yaml
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ApplyArgs {
    /// The file, or `-` for stdin
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Apply(args) => apply(env, &args),
        Verb::Show => show(env),
        Verb::Test { id } => test(env, &id),
        Verb::Send { receiver } => send(env, &receiver),
    }
}

const ROUTE: &str = "/api/v1/notify";

fn apply(env: &Env<'_>, args: &ApplyArgs) -> Result {
    let (name, config) = read(&args.file)?;
    // What is wrong is found before anything is sent.
    let parsed = Config::parse(&config)
        .map_err(|e| CliError::usage(format!("{name}: invalid configuration: {e}")))?;
    let body = NotifyConfig { config };
    let _: NotifyConfig = env.client()?.send(Method::PUT, As::Tenant, ROUTE, &body)?;
    let (receivers, routes) = (parsed.receivers.len(), parsed.routes.len());
    env.out.message(&format!(
        "applied {} and {}",
        count(receivers as u64, "receiver"),
        count(routes as u64, "route")
    ));
    Ok(())
}

/// The name and the text of a file, or of stdin.
fn read(file: &PathBuf) -> Result<(String, String)> {
    let name = file.display().to_string();
    if name == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|e| CliError::failed("cannot read stdin").source(&e))?;
        return Ok(("stdin".to_owned(), text));
    }
    let text = std::fs::read_to_string(file)
        .map_err(|e| CliError::failed(format!("cannot read {name}")).source(&e))?;
    Ok((name, text))
}

fn show(env: &Env<'_>) -> Result {
    let config: NotifyConfig = env.client()?.get(As::Tenant, ROUTE, &[])?;
    env.out.text(&config.config)
}

fn test(env: &Env<'_>, id: &str) -> Result {
    let path = format!("/api/v1/incidents/{id}/receivers");
    let plan: NotifyPlan = env.client()?.get(As::Tenant, &path, &[])?;
    env.out.message(&plan.title);
    env.out.value(&plan, || {
        Table::new(&["RECEIVER", "SENT", "REASON"]).rows(&plan.receivers, |planned| {
            [
                named(&planned.receiver),
                if planned.sends { "yes" } else { "no" }.to_owned(),
                planned.reason.clone().unwrap_or_default(),
            ]
        })
    })
}

/// The name of a receiver; `-` where no route matched.
pub(super) fn named(receiver: &str) -> String {
    if receiver.is_empty() { "-" } else { receiver }.to_owned()
}

fn send(env: &Env<'_>, receiver: &str) -> Result {
    let path = format!("{ROUTE}/receivers/{receiver}/test");
    let none = serde_json::json!({});
    let tested: TestedReceiver = env.client()?.send(Method::POST, As::Tenant, &path, &none)?;
    if tested.accepted {
        env.out
            .message(&format!("receiver `{receiver}` accepted it"));
        return Ok(());
    }
    let reason = tested.reason.unwrap_or_default();
    Err(CliError::failed(format!("receiver `{receiver}`: {reason}")))
}
