//! `kgrca up`

use std::path::Path;

use kgrca_core::api::{CreatedClient, NewClient};
use reqwest::Method;

use super::Env;
use crate::client::{As, Client};
use crate::context::{self, Context, Secret, xdg};
use crate::daemon::{self, Daemon, Serving};
use crate::error::{CliError, Result};
use crate::output::Table;

/// Runs a server here, on embedded stores in the XDG data folder, and makes the context `local`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address of the API
    #[arg(long, default_value = "127.0.0.1:7600")]
    listen: String,
    /// Go on in the background
    #[arg(long)]
    detach: bool,
    /// Only say whether one runs here; exit 10 when none does
    #[arg(long, conflicts_with_all = ["detach", "stop"])]
    status: bool,
    /// Stop the one that runs here
    #[arg(long, conflicts_with = "detach")]
    stop: bool,
}

pub(super) fn run(env: &Env<'_>, args: &Args) -> Result {
    let folder = xdg("XDG_DATA_HOME", ".local/share")?;
    let running = daemon::running(&folder)?;
    if args.stop {
        return stop(env, &folder, running);
    }
    if args.status {
        return status(env, &folder, running);
    }
    let (serving, started) = if let Some(serving) = running {
        (serving, None)
    } else {
        let Daemon { serving, child } = daemon::start(&folder, &args.listen)?;
        (serving, Some(child))
    };
    choose(&serving)?;
    let how = if started.is_some() { "serves" } else { "serves already at" };
    env.out.message(&format!("kgrcad {how} {} (process {}); data in {}", serving.url, serving.process, folder.display()));
    match started {
        Some(mut child) if !args.detach => {
            child.wait()?;
        }
        _ => env.out.message("stop it with: kgrca up --stop"),
    }
    Ok(())
}

/// Makes the server the current context, with a tenant of its own.
fn choose(serving: &Serving) -> Result {
    let mut all = context::load()?;
    let known = all.contexts.get("local").and_then(|c| c.api_key.clone());
    let mut local = Context { url: serving.url.clone(), api_key: known, operator_key: Some(serving.operator_key.clone()) };
    let works = local.api_key.is_some()
        && Client::new(local.clone())?.get::<serde_json::Value>(As::Tenant, "/api/v1/limits", &[]).is_ok();
    if !works {
        let wish = NewClient { name: "local".into(), plan: "enterprise".into(), contact_email: String::new() };
        let created: CreatedClient =
            Client::new(local.clone())?.send(Method::POST, As::Operator, "/api/v1/admin/clients", &wish)?;
        local.api_key = Some(Secret::new(created.api_key));
    }
    all.contexts.insert("local".into(), local);
    all.current = Some("local".into());
    context::save(&all)
}

fn stop(env: &Env<'_>, folder: &Path, running: Option<Serving>) -> Result {
    let Some(serving) = running else {
        env.out.message(&format!("no kgrcad works in {}", folder.display()));
        return Ok(());
    };
    daemon::stop(folder, serving.process)?;
    env.out.message(&format!("kgrcad (process {}) has ended; data stays in {}", serving.process, folder.display()));
    Ok(())
}

fn status(env: &Env<'_>, folder: &Path, running: Option<Serving>) -> Result {
    let Some(serving) = running else {
        env.out.message(&format!("no kgrcad works in {}", folder.display()));
        return Err(CliError::found());
    };
    let status = Status { url: serving.url, process: serving.process, data: folder.display().to_string() };
    env.out.value(&status, || {
        Table::new(&["URL", "PROCESS", "DATA"]).row([status.url.clone(), status.process.to_string(), status.data.clone()])
    })
}

/// A daemon that runs here.
#[derive(serde::Serialize)]
struct Status {
    url: String,
    process: u32,
    data: String,
}
