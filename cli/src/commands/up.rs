//! `kgrca up`

use std::path::Path;

use kgrca_core::api::{CreatedKey, CreatedTenant, KeyOfScopes, NewTenant, Page, TenantStatus};
use kgrca_core::tenancy::Scope;
use reqwest::Method;

use super::Env;
use crate::client::{As, Client};
use crate::context::{self, Context, Secret, xdg};
use crate::daemon::{self, Daemon, Serving};
use crate::error::{CliError, Result};
use crate::output::Table;

/// Where the API is when nobody says.
const LISTEN: &str = "127.0.0.1:7600";

/// Runs a server here, on embedded stores in the XDG data folder, and makes the context `local`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, help = format!("Address of the API; {LISTEN} when absent"))]
    listen: Option<String>,
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
        if let Some(listen) = args
            .listen
            .as_ref()
            .filter(|l| !serving.url.ends_with(&format!("//{l}")))
        {
            let error = CliError::usage(format!(
                "kgrcad serves {} already, not {listen}",
                serving.url
            ));
            return Err(error.hint("kgrca up --stop, then start it anew"));
        }
        (serving, None)
    } else {
        let started = daemon::start(
            &folder,
            args.listen.as_deref().unwrap_or(LISTEN),
            args.detach,
        )?;
        if let Err(e) = choose(&started.serving) {
            started.give_up()?;
            return Err(e);
        }
        let Daemon { serving, child } = started;
        (serving, Some(child))
    };
    if started.is_none() {
        choose(&serving)?;
    }
    let how = if started.is_some() {
        "serves"
    } else {
        "serves already at"
    };
    env.out.message(&format!(
        "kgrcad {how} {} (process {}); data in {}",
        serving.url,
        serving.process,
        folder.display()
    ));
    match started {
        // It gets the terminal's signals itself and ends in order; so does this process, by waiting
        // for it.
        Some(mut child) if !args.detach => daemon::wait(&mut child)?,
        _ => env.out.message("stop it with: kgrca up --stop"),
    }
    Ok(())
}

/// Makes the server the current context, with a tenant of its own.
fn choose(serving: &Serving) -> Result {
    let mut all = context::load()?;
    let known = all.contexts.get("local").and_then(|c| c.api_key.clone());
    let mut local = Context {
        url: serving.url.clone(),
        api_key: known,
        operator_key: Some(serving.operator_key.clone()),
    };
    let client = Client::new(local.clone())?;
    let asked = client.get::<serde_json::Value>(As::Tenant, "/api/v1/limits", &[]);
    // Only a key that is missing or unknown is replaced: every other trouble is not cured by
    // another tenant.
    if local.api_key.is_none() || asked.as_ref().is_err_and(|e| e.status == Some(401)) {
        local.api_key = Some(new_key(&client)?);
    } else {
        asked?;
    }
    all.contexts.insert("local".into(), local);
    all.current = Some("local".into());
    context::save(&all)
}

/// A key of the tenant `local`, which is made when there is none.
fn new_key(client: &Client) -> Result<Secret> {
    let all: Page<TenantStatus> = client.get(As::Operator, "/api/v1/admin/clients", &[])?;
    let own = all
        .items
        .into_iter()
        .map(|s| s.client)
        .find(|c| c.name == "local" && c.deleted_at.is_none());
    if let Some(own) = own {
        let wish = KeyOfScopes {
            name: "up".into(),
            scopes: vec![Scope::Ingest, Scope::Read, Scope::Query, Scope::Admin],
        };
        let path = format!("/api/v1/admin/clients/{}/keys", own.client_id);
        let created: CreatedKey = client.send(Method::POST, As::Operator, &path, &wish)?;
        return Ok(Secret::new(created.api_key));
    }
    let wish = NewTenant {
        name: "local".into(),
        plan: "enterprise".into(),
        contact_email: String::new(),
    };
    let created: CreatedTenant =
        client.send(Method::POST, As::Operator, "/api/v1/admin/clients", &wish)?;
    Ok(Secret::new(created.api_key))
}

fn stop(env: &Env<'_>, folder: &Path, running: Option<Serving>) -> Result {
    let Some(serving) = running else {
        env.out
            .message(&format!("no kgrcad works in {}", folder.display()));
        return Ok(());
    };
    daemon::stop(folder, serving.process)?;
    env.out.message(&format!(
        "kgrcad (process {}) has ended; data stays in {}",
        serving.process,
        folder.display()
    ));
    Ok(())
}

fn status(env: &Env<'_>, folder: &Path, running: Option<Serving>) -> Result {
    let Some(serving) = running else {
        env.out
            .message(&format!("no kgrcad works in {}", folder.display()));
        return Err(CliError::found());
    };
    let status = Status {
        url: serving.url,
        process: serving.process,
        data: folder.display().to_string(),
    };
    env.out.value(&status, || {
        Table::new(&["URL", "PROCESS", "DATA"]).row([
            status.url.clone(),
            status.process.to_string(),
            status.data.clone(),
        ])
    })
}

/// A daemon that runs here.
#[derive(serde::Serialize)]
struct Status {
    url: String,
    process: u32,
    data: String,
}
