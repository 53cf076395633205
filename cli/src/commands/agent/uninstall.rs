//! Takes the agent out of a cluster, and nothing else.

use std::time::{Duration, Instant};

use kgrca_core::api::Page;
use kgrca_core::tenancy::ApiKey;
use reqwest::Method;
use serde_json::Value;

use super::cluster::{Cluster, Owner, Target, owner};
use super::{Env, install, manifest};
use crate::client::{As, Client};
use crate::error::{CliError, Result, exit};
use crate::prompt;

/// How long a namespace may take to go.
const PATIENCE: Duration = Duration::from_mins(1);

/// Remove an agent.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name under which the cluster is known
    #[arg(long, value_name = "NAME")]
    cluster: String,
    #[command(flatten)]
    target: Target,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub fn uninstall(env: &Env<'_>, args: &Args) -> Result {
    let cluster = Cluster::of(&args.target)?;
    env.out.message(&format!(
        "context `{}` at {}",
        cluster.context, cluster.address
    ));
    if let Some(other) = install::installed(&cluster)?.filter(|name| *name != args.cluster) {
        let hint = "another --kube-context, or another --cluster";
        return Err(CliError::usage(format!(
            "this cluster is known as `{other}`, not as `{}`",
            args.cluster
        ))
        .hint(hint));
    }
    prompt::confirm("removing the agent of", &args.cluster, args.yes)?;
    let mut objects = manifest::all();
    objects.reverse();
    let mut ending = None;
    for object in &objects {
        let Some(there) = cluster.get(object)? else {
            continue;
        };
        if owner(&there) != Owner::Us {
            env.out.message(&format!(
                "{} is somebody else's and stays",
                manifest::name(object)
            ));
            continue;
        }
        if object["kind"] == "Namespace" {
            let others = cluster.others(manifest::NAMESPACE)?;
            if let Some(first) = others.first() {
                let message = format!(
                    "{} stays: it holds {} objects of others, such as {first}",
                    manifest::name(object),
                    others.len()
                );
                env.out.message(&message);
                continue;
            }
        }
        cluster.delete(object)?;
        if object["kind"] == "Namespace" {
            env.out
                .message(&format!("{} is being deleted", manifest::name(object)));
            ending = Some(object);
            continue;
        }
        env.out
            .message(&format!("{} deleted", manifest::name(object)));
    }
    let client = env.client()?;
    let revoked = revoke_keys(&client, &args.cluster).map_err(|e| {
        e.hint("the agent is gone from the cluster; its key still works: run this again")
    })?;
    let keys = if revoked == 1 { "key" } else { "keys" };
    env.out
        .message(&format!("{revoked} {keys} of the agent revoked"));
    match client.call(
        Method::DELETE,
        As::Tenant,
        &format!("/api/v1/agents/{}", args.cluster),
    ) {
        Err(e) if e.exit != exit::NOT_FOUND => return Err(e),
        _ => {}
    }
    let Some(namespace) = ending else {
        return Ok(());
    };
    gone(&cluster, namespace)?;
    env.out
        .message(&format!("{} deleted", manifest::name(namespace)));
    Ok(())
}

/// Waits until an object is gone: what is made while its namespace ends is refused.
fn gone(cluster: &Cluster, object: &Value) -> Result {
    let deadline = Instant::now() + PATIENCE;
    while cluster.get(object)?.is_some() {
        if Instant::now() >= deadline {
            let name = manifest::name(object);
            return Err(CliError::new(
                exit::UNREACHABLE,
                format!("{name} is not gone after {} s", PATIENCE.as_secs()),
            )
            .hint(format!(
                "kubectl get {name} -o yaml says what it waits for; then run this again"
            )));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn revoke_keys(client: &Client, cluster: &str) -> Result<usize> {
    let keys: Page<ApiKey> = client.get(As::Tenant, "/api/v1/keys", &[])?;
    let name = install::key_name(cluster);
    let ours: Vec<&ApiKey> = keys
        .items
        .iter()
        .filter(|k| k.name == name && k.revoked_at.is_none())
        .collect();
    for key in &ours {
        client.call(
            Method::DELETE,
            As::Tenant,
            &format!("/api/v1/keys/{}", key.key_id),
        )?;
    }
    Ok(ours.len())
}
