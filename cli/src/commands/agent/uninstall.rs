//! `kgrca agent uninstall`

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::cluster::{Cluster, Owner, Target, owner};
use super::{Env, install, keys, manifest};
use crate::client::{As, Client};
use crate::error::{CliError, Kind, Result};
use crate::prompt;

/// How long the deletion of the namespace may take.
const NAMESPACE_TIMEOUT: Duration = Duration::from_mins(1);

/// Uninstall an agent.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the cluster
    #[arg(long, value_name = "NAME")]
    cluster: String,
    #[command(flatten)]
    target: Target,
    /// Skip the confirmation prompt
    #[arg(long)]
    yes: bool,
}

pub fn uninstall(env: &Env<'_>, args: &Args) -> Result {
    let cluster = Cluster::of(&args.target)?;
    cluster.announce(env);
    if let Some(other) = install::installed(&cluster)?.filter(|name| *name != args.cluster) {
        let hint = "pass another --kube-context or --cluster";
        return Err(install::registered_as(&other).hint(hint));
    }
    prompt::confirm("uninstall the agent of", &args.cluster, args.yes)?;
    let terminating = delete_objects(env, &cluster)?;
    forget(env, &env.client()?, &args.cluster)?;
    if let Some(namespace) = terminating {
        wait_until_deleted(&cluster, &namespace)?;
        env.out
            .message(&format!("{} deleted", manifest::name(&namespace)));
    }
    Ok(())
}

/// Deletes all objects managed by kgrca. Returns the namespace, if its deletion has begun.
fn delete_objects(env: &Env<'_>, cluster: &Cluster) -> Result<Option<Value>> {
    let mut terminating = None;
    // In reverse order: the namespace, which is created first, goes last.
    for object in manifest::all().into_iter().rev() {
        let name = manifest::name(&object);
        let Some(existing) = cluster.get(&object)? else {
            continue;
        };
        if owner(&existing) != Owner::Kgrca {
            env.out
                .message(&format!("{name} is not managed by kgrca; left in place"));
            continue;
        }
        if object["kind"] != "Namespace" {
            cluster.delete(&object)?;
            env.out.message(&format!("{name} deleted"));
            continue;
        }
        let others = cluster.foreign_objects(manifest::NAMESPACE)?;
        if let Some(first) = others.first() {
            env.out.message(&format!(
                "{name} left in place: it has {} other objects, e.g. {first}",
                others.len()
            ));
            continue;
        }
        cluster.delete(&object)?;
        env.out.message(&format!("{name} is being deleted"));
        terminating = Some(object);
    }
    Ok(terminating)
}

/// Revokes the agents' keys and removes the agents from the server's list.
fn forget(env: &Env<'_>, client: &Client, cluster: &str) -> Result {
    let revoked = keys::revoke_all(client, cluster).map_err(|e| {
        e.hint("the agent is uninstalled, but its key still works: run this command again")
    })?;
    let noun = if revoked == 1 { "key" } else { "keys" };
    env.out
        .message(&format!("revoked {revoked} {noun} of the agent"));
    let path = format!("/api/v1/agents/{cluster}");
    match client.call(Method::DELETE, As::Tenant, &path) {
        Err(e) if e.kind != Kind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Objects created while their namespace terminates would be refused.
fn wait_until_deleted(cluster: &Cluster, object: &Value) -> Result {
    let deadline = Instant::now() + NAMESPACE_TIMEOUT;
    while cluster.get(object)?.is_some() {
        if Instant::now() >= deadline {
            let name = manifest::name(object);
            let seconds = NAMESPACE_TIMEOUT.as_secs();
            let message = format!("{name} was not deleted within {seconds} s");
            return Err(CliError::new(Kind::Unreachable, message).hint(format!(
                "`kubectl get {name} -o yaml` shows what it waits for; then run this command again"
            )));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
