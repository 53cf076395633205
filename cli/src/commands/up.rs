//! `kgrca up`

use std::net::SocketAddr;
use std::path::Path;

use kgrca_core::api::{
    CreatedKey, CreatedTenant, KeyLimits, KeyOfScopes, NewTenant, Page, TenantStatus,
};
use kgrca_core::tenancy::Role;
use reqwest::Method;

use super::Env;
use crate::client::{As, Client};
use crate::context::{self, Context, Secret, xdg};
use crate::daemon::{self, Serving};
use crate::error::{CliError, Result};
use crate::output::Table;

/// Default listen address of the API.
const LISTEN: &str = "127.0.0.1:7600";
/// Name of the context, and of the tenant on the server.
const LOCAL: &str = "local";

/// What to do with a server that has just been started.
const NEXT: &str = "next: kgrca demo              try it with a recorded incident\n      \
                    kgrca agent install     watch the cluster of the current kubeconfig context\n      \
                    kgrca rca               ask for the cause of what is wrong\n      \
                    kgrca down              stop the server";

/// Run a local server with embedded storage
///
/// Data is kept in the XDG data directory. The server is selected as context `local`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "HOST:PORT", value_parser = loopback,
        help = format!("Listen address of the API, on the loopback interface [default: {LISTEN}]"))]
    listen: Option<String>,
    /// Run in the background
    #[arg(long)]
    detach: bool,
    /// Only report whether a local server is running (exits 10 if not)
    #[arg(long, conflicts_with_all = ["detach", "stop"])]
    status: bool,
    /// Stop the local server
    #[arg(long, conflicts_with = "detach")]
    stop: bool,
}

/// The local server has no TLS, and listens for this machine only.
fn loopback(text: &str) -> std::result::Result<String, String> {
    let address: Option<SocketAddr> = text.parse().ok();
    if address.is_some_and(|a| !a.ip().is_loopback()) {
        return Err(
            "not a loopback address; to serve a network, run `kgrcad --listen` with \
                    --tls-cert and --tls-key"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

pub(super) fn run(env: &Env<'_>, args: &Args) -> Result {
    let directory = xdg("XDG_DATA_HOME", ".local/share")?;
    match daemon::running(&directory)? {
        running if args.stop => stop(env, &directory, running),
        running if args.status => status(env, &directory, running),
        Some(serving) => reuse(env, args, &directory, &serving),
        None => start(env, args, &directory),
    }
}

fn start(env: &Env<'_>, args: &Args, directory: &Path) -> Result {
    let listen = args.listen.as_deref().unwrap_or(LISTEN);
    let mut daemon = daemon::start(directory, listen, args.detach)?;
    if let Err(e) = select(&daemon.serving) {
        daemon.shut_down()?;
        return Err(e);
    }
    report(env, "is serving at", &daemon.serving, directory);
    if args.detach {
        env.out.message(NEXT);
        return Ok(());
    }
    // The daemon gets the terminal's signals itself and shuts down; this process waits for it.
    daemon::wait(&mut daemon.child)
}

/// Selects a server that is already running.
fn reuse(env: &Env<'_>, args: &Args, directory: &Path, serving: &Serving) -> Result {
    if let Some(listen) = &args.listen
        && !serving.url.ends_with(&format!("//{listen}"))
    {
        let message = format!("kgrcad is already serving at {}, not {listen}", serving.url);
        return Err(CliError::usage(message).hint("stop it with `kgrca down` first"));
    }
    select(serving)?;
    report(env, "is already serving at", serving, directory);
    env.out.message("stop it with: kgrca down");
    Ok(())
}

fn report(env: &Env<'_>, state: &str, serving: &Serving, directory: &Path) {
    env.out.message(&format!(
        "kgrcad {state} {} (process {}); data is in {}",
        serving.url,
        serving.process,
        directory.display()
    ));
}

/// Makes the server the current context, with a tenant of its own.
fn select(serving: &Serving) -> Result {
    let mut all = context::load()?;
    let stored_key = all.contexts.get(LOCAL).and_then(|c| c.api_key.clone());
    let mut local = Context {
        url: serving.url.clone(),
        api_key: stored_key,
        operator_key: Some(serving.operator_key.clone()),
    };
    let client = Client::new(local.clone())?;
    let limits = client.get::<serde_json::Value>(As::Tenant, "/api/v1/limits", &[]);
    // Only a missing or unknown key is replaced; another key would not help against other errors.
    if local.api_key.is_none() || limits.as_ref().is_err_and(|e| e.has_status(401)) {
        local.api_key = Some(new_key(&client)?);
    } else {
        limits?;
    }
    all.contexts.insert(LOCAL.into(), local);
    all.current = Some(LOCAL.into());
    context::save(&all)
}

/// A new key of the tenant `local`, which is created if it does not exist.
fn new_key(client: &Client) -> Result<Secret> {
    let page: Page<TenantStatus> = client.get(As::Operator, "/api/v1/admin/clients", &[])?;
    let existing = page
        .items
        .into_iter()
        .map(|s| s.client)
        .find(|t| t.name == LOCAL && t.deleted_at.is_none());
    let Some(tenant) = existing else {
        let request = NewTenant {
            name: LOCAL.into(),
            plan: "enterprise".into(),
            contact_email: String::new(),
        };
        let path = "/api/v1/admin/clients";
        let created: CreatedTenant = client.send(Method::POST, As::Operator, path, &request)?;
        return Ok(Secret::new(created.api_key));
    };
    let scopes = Role::Admin.scopes();
    let request = KeyOfScopes::new("up".into(), scopes, KeyLimits::default());
    let path = format!("/api/v1/admin/clients/{}/keys", tenant.client_id);
    let created: CreatedKey = client.send(Method::POST, As::Operator, &path, &request)?;
    Ok(Secret::new(created.api_key))
}

pub(super) fn stop(env: &Env<'_>, directory: &Path, running: Option<Serving>) -> Result {
    let Some(serving) = running else {
        report_none(env, directory);
        return Ok(());
    };
    daemon::stop(directory, serving.process)?;
    env.out.message(&format!(
        "stopped kgrcad (process {}); its data stays in {}",
        serving.process,
        directory.display()
    ));
    Ok(())
}

fn status(env: &Env<'_>, directory: &Path, running: Option<Serving>) -> Result {
    let Some(serving) = running else {
        report_none(env, directory);
        return Err(CliError::found());
    };
    let status = Status {
        url: serving.url,
        process: serving.process,
        data: directory.display().to_string(),
    };
    env.out.value(&status, || {
        Table::new(&["URL", "PROCESS", "DATA"]).row([
            status.url.clone(),
            status.process.to_string(),
            status.data.clone(),
        ])
    })
}

fn report_none(env: &Env<'_>, directory: &Path) {
    env.out
        .message(&format!("no kgrcad is running in {}", directory.display()));
}

/// A running local server.
#[derive(serde::Serialize)]
struct Status {
    url: String,
    process: u32,
    data: String,
}
