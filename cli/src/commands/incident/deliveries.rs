//! `kgrca incident deliveries`

use kgrca_core::api::{Delivery, Page, Redelivered};
use reqwest::Method;

use super::path;
use crate::client::As;
use crate::commands::Env;
use crate::commands::notify::named;
use crate::error::Result;
use crate::output::{Table, count};

/// Show who was notified of an incident, and who was not and why
///
/// Examples:
///   kgrca incident deliveries inc-12
///   kgrca incident deliveries inc-12 --retry
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(in crate::commands) struct Args {
    /// Incident ID, e.g. inc-12
    #[arg(add = crate::complete::incidents())]
    id: String,
    /// Send again what could not be delivered
    #[arg(long)]
    retry: bool,
}

pub(super) fn run(env: &Env<'_>, args: &Args) -> Result {
    let client = env.client()?;
    let path = format!("{}/deliveries", path(&args.id));
    if args.retry {
        let none = serde_json::json!({});
        let retry = format!("{path}/retry");
        let again: Redelivered = client.send(Method::POST, As::Tenant, &retry, &none)?;
        let again = count(again.retried, "notification");
        env.out.message(&format!("sending {again} again"));
        return Ok(());
    }
    let page: Page<Delivery> = client.get(As::Tenant, &path, &[])?;
    if page.items.is_empty() {
        env.out
            .message("no receivers were set up when it changed: `kgrca notify apply`");
    }
    env.out.value(&page, || {
        let columns = ["TIME", "CHANGE", "RECEIVER", "STATE", "TRIES", "REASON"];
        Table::new(&columns).rows(&page.items, |delivery| {
            [
                env.out.time(delivery.updated_at),
                delivery.to.as_str().to_owned(),
                named(&delivery.receiver),
                delivery.state.as_str().to_owned(),
                delivery.attempts.to_string(),
                delivery.reason.clone().unwrap_or_default(),
            ]
        })
    })
}
