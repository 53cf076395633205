//! `kgrca up`

use kgrca_core::api::{CreatedClient, NewClient};
use reqwest::Method;

use super::Env;
use crate::client::{As, Client};
use crate::context::{self, Context, Secret, xdg};
use crate::daemon;
use crate::error::Result;

/// Runs a server here, on embedded stores in the XDG data folder, and makes the context `local`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address of the API
    #[arg(long, default_value = "127.0.0.1:7600")]
    listen: String,
    /// Go on in the background
    #[arg(long)]
    detach: bool,
}

pub(super) fn run(env: &Env<'_>, args: &Args) -> Result {
    let folder = xdg("XDG_DATA_HOME", ".local/share")?;
    let daemon = daemon::start(&folder, &args.listen)?;
    let mut all = context::load()?;
    let known = all.contexts.get("local").and_then(|c| c.api_key.clone());
    let mut local = Context { url: daemon.url.clone(), api_key: known, operator_key: Some(daemon.operator_key.clone()) };
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
    context::save(&all)?;
    env.out.message(&format!("kgrcad serves {} (process {}); data in {}", daemon.url, daemon.id(), folder.display()));
    if args.detach {
        env.out.message(&format!("stop it with: kill {}", daemon.id()));
        return Ok(());
    }
    daemon.wait()
}
