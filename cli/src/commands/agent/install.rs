//! Puts the agent into a cluster, and takes it out again.

use std::time::{Duration, Instant};

use kgrca_core::api::{Agent, AgentMode, CreatedKey, NewOwnKey, Page, Stats};
use kgrca_core::model::{Time, Topic};
use kgrca_core::tenancy::{ApiKey, Role};
use kube::api::DynamicObject;
use rand::RngExt;
use reqwest::Method;
use serde_json::Value;

use super::cluster::{Cluster, Owner, Target, owner};
use super::manifest::{self, Secrets};
use super::{Env, Settings, status, tenant_of};
use crate::client::{As, Client};
use crate::error::{CliError, Result, exit};
use crate::output::Format;

/// Install or upgrade an agent.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    target: Target,
    /// Let the API server say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Wait until data of the cluster arrives at the server
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    wait: bool,
    /// How many seconds to wait for data
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    timeout: u64,
}

/// Prints objects: YAML for people and kubectl, JSON when asked for.
pub fn show(env: &Env<'_>, objects: &[Value]) -> Result {
    if env.out.format == Format::Json {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        return env.out.text(&format!("{list:#}\n"));
    }
    env.out
        .text(&manifest::yaml(objects).map_err(|e| CliError::failed(e.to_string()))?)
}

/// The name of the keys that the agents of a cluster use.
pub fn key_name(cluster: &str) -> String {
    format!("agent of {cluster}")
}

pub fn install(env: &Env<'_>, args: &Args, is_upgrade: bool) -> Result {
    let wanted = args.settings.wanted(env)?;
    let is_printed = matches!(env.out.format, Format::Yaml | Format::Json);
    if args.dry_run && is_printed {
        return show(env, &manifest::objects(&wanted, Vec::new()));
    }
    let cluster = Cluster::of(&args.target)?;
    env.out.message(&format!(
        "context `{}` at {}",
        cluster.context, cluster.address
    ));
    let installed = installed(&cluster)?;
    if is_upgrade && installed.is_none() {
        let hint = "kgrca agent install --cluster NAME";
        return Err(
            CliError::new(exit::NOT_FOUND, "no agent is installed in this cluster").hint(hint),
        );
    }
    if let Some(other) = installed.filter(|name| *name != wanted.cluster) {
        return Err(CliError::usage(format!(
            "this cluster is known as `{other}`, not as `{}`",
            wanted.cluster
        ))
        .hint(format!(
            "--cluster {other}; or kgrca agent uninstall --cluster {other} first"
        )));
    }
    warn_of_loopback(env, &wanted);
    let wanted = if is_upgrade {
        with_kept(&cluster, &args.settings, wanted)?
    } else {
        wanted
    };
    let client = env.client()?;
    if let Some(url) = args.settings.kafka() {
        is_ours(&client, url)?;
    }
    let known = watching(&status::agents(&client, Some(&wanted.cluster))?).map(|a| a.seen_at);
    let began = Instant::now();
    let has_secret = cluster.get(&manifest::of_kind("Secret"))?.is_some();
    let made = match (has_secret, args.dry_run) {
        (true, _) => None,
        (false, true) => Some(untried_secrets(&client)?),
        (false, false) => Some(new_secrets(&client, &wanted.cluster)?),
    };
    let mut secrets: Vec<Value> = made
        .iter()
        .map(|(secrets, _)| manifest::secret(secrets))
        .collect();
    secrets.extend(args.settings.kafka().map(manifest::kafka_secret));
    if let Err(e) = apply(
        env,
        &cluster,
        &manifest::objects(&wanted, secrets),
        args.dry_run,
    ) {
        if let Some((_, Some(key_id))) = made {
            // A key that nobody has is of no use, and a Secret with a dead one would be kept by the
            // next try.
            let _ = cluster.delete(&manifest::of_kind("Secret"));
            let _ = client.call(
                Method::DELETE,
                As::Tenant,
                &format!("/api/v1/keys/{key_id}"),
            );
        }
        return Err(e);
    }
    // After the others: what ran before needs it until then.
    remove_unwanted(env, &cluster, &wanted, args.dry_run)?;
    if args.dry_run {
        env.out.message("nothing was changed");
        return Ok(());
    }
    if !args.wait {
        env.out.message(&format!(
            "`kgrca agent status --cluster {}` tells when its data arrives",
            wanted.cluster
        ));
        return Ok(());
    }
    wait(
        env,
        &client,
        &wanted.cluster,
        known,
        (began, Duration::from_secs(args.timeout)),
    )
}

pub fn warn_of_loopback(env: &Env<'_>, wanted: &manifest::Wanted) {
    if is_loopback(&wanted.server) {
        env.out.message(&format!(
            "agents in the cluster hardly reach {}: --server names what they reach",
            wanted.server
        ));
    }
}

fn is_loopback(server: &str) -> bool {
    let host = reqwest::Url::parse(server)
        .ok()
        .and_then(|u| u.host_str().map(str::to_owned))
        .unwrap_or_default();
    host == "localhost" || host.starts_with("127.") || host == "[::1]"
}

/// Under which name the cluster's agent is installed.
pub fn installed(cluster: &Cluster) -> Result<Option<String>> {
    let Some(deployment) = cluster.get(&manifest::of_kind("Deployment"))? else {
        return Ok(None);
    };
    match owner(&deployment) {
        Owner::Us => {}
        Owner::Helm(release) => {
            return Err(CliError::usage("Helm manages the agent of this cluster")
                .hint(format!("helm upgrade|uninstall {release}")));
        }
        Owner::SomebodyElse => {
            let error =
                CliError::usage(format!("deployment/{} is somebody else's", manifest::NAME));
            return Err(error.hint(
                "it lacks our label app.kubernetes.io/managed-by=kgrca; nothing is overwritten",
            ));
        }
    }
    Ok(Some(
        setting(&deployment, "KGRCA_CLUSTER").unwrap_or_default(),
    ))
}

fn apply(env: &Env<'_>, cluster: &Cluster, objects: &[Value], dry_run: bool) -> Result {
    for object in objects {
        let there = if object["kind"] == "Namespace" {
            cluster.get(object)?
        } else {
            None
        };
        if there.is_some_and(|n| owner(&n) != Owner::Us) {
            env.out.message(&format!(
                "{} is there and stays as it is",
                manifest::name(object)
            ));
            continue;
        }
        let applied = cluster.apply(object, dry_run)?;
        env.out
            .message(&format!("{} {}", manifest::name(object), applied.word()));
    }
    Ok(())
}

/// What an upgrade does not name stays as it is: where the agents send to, whether they read logs,
/// whom they trust.
fn with_kept(
    cluster: &Cluster,
    given: &Settings,
    mut wanted: manifest::Wanted,
) -> Result<manifest::Wanted> {
    let there = |object: &Value| {
        cluster
            .get(object)
            .map(|o| o.filter(|o| owner(o) == Owner::Us))
    };
    if let Some(deployment) = there(&manifest::of_kind("Deployment"))? {
        if given.kafka.is_none() && setting(&deployment, "KGRCA_KAFKA_URL").is_some() {
            if cluster.get(&manifest::kafka_secret(""))?.is_none() {
                return Err(CliError::usage(format!(
                    "the agent ships to Kafka, and the Secret {} is gone",
                    manifest::KAFKA
                ))
                .hint("give --kafka again, or --kafka none"));
            }
            wanted.kafka = true;
        }
        if let (None, Some(server)) = (&given.server, setting(&deployment, "KGRCA_URL")) {
            wanted.server = server;
        }
    }
    wanted.logs |= there(&manifest::of_kind("DaemonSet"))?.is_some();
    if wanted.ca.is_none()
        && let Some(certificates) = there(&manifest::of_kind("ConfigMap"))?
    {
        wanted.ca = certificates
            .data
            .pointer("/data/ca.crt")
            .and_then(Value::as_str)
            .map(str::to_owned);
    }
    Ok(wanted)
}

/// A variable of the agent's container.
fn setting(deployment: &DynamicObject, name: &str) -> Option<String> {
    let env = deployment
        .data
        .pointer("/spec/template/spec/containers/0/env")?
        .as_array()?;
    env.iter().find(|v| v["name"] == name)?["value"]
        .as_str()
        .map(str::to_owned)
}

/// Takes away what an earlier installation had and this one has not.
fn remove_unwanted(
    env: &Env<'_>,
    cluster: &Cluster,
    wanted: &manifest::Wanted,
    dry_run: bool,
) -> Result {
    let mut kept: Vec<String> = manifest::objects(wanted, Vec::new())
        .iter()
        .map(manifest::name)
        .collect();
    // Secrets are made once, or given anew.
    kept.push(manifest::name(&manifest::of_kind("Secret")));
    kept.extend(
        wanted
            .kafka
            .then(|| manifest::name(&manifest::kafka_secret(""))),
    );
    for object in manifest::all() {
        let name = manifest::name(&object);
        if kept.contains(&name)
            || !cluster
                .get(&object)?
                .is_some_and(|o| owner(&o) == Owner::Us)
        {
            continue;
        }
        if !dry_run {
            cluster.delete(&object)?;
        }
        env.out.message(&format!("{name} deleted"));
    }
    Ok(())
}

/// Whether an address of Kafka is of the tenant whose key is used: else one tenant's cluster would
/// be told to another.
fn is_ours(client: &Client, url: &str) -> Result {
    let (stats, tenant): (Stats, _) = (
        client.get(As::Tenant, "/api/v1/stats", &[])?,
        tenant_of(url)?,
    );
    // An older server does not say it.
    if stats.client_id.is_empty() || stats.client_id == tenant.as_str() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "--kafka names the user of {tenant}; the key is one of {}",
        stats.client_id
    ))
    .hint("use the user of the same tenant, or another context"))
}

fn needs_admin(e: CliError) -> CliError {
    if e.exit == exit::NOT_ALLOWED {
        e.hint("making the agents' key needs a key with the scope `admin`")
    } else {
        e
    }
}

/// Secrets for the API server to look at, once it is known that real ones could be made.
fn untried_secrets(client: &Client) -> Result<(Secrets, Option<String>)> {
    let _: Page<ApiKey> = client
        .get(As::Tenant, "/api/v1/keys", &[])
        .map_err(needs_admin)?;
    Ok((
        Secrets {
            api_key: "untried".into(),
            alerts_token: "untried".into(),
        },
        None,
    ))
}

/// Makes the agents' secrets. Returns the key's id, too.
fn new_secrets(client: &Client, cluster: &str) -> Result<(Secrets, Option<String>)> {
    let wish = NewOwnKey {
        name: key_name(cluster),
        role: Role::Agent,
    };
    let created: CreatedKey = client
        .send(Method::POST, As::Tenant, "/api/v1/keys", &wish)
        .map_err(needs_admin)?;
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut random = rand::rng();
    let alerts_token = (0..32)
        .map(|_| char::from(letters[random.random_range(0..letters.len())]))
        .collect();
    Ok((
        Secrets {
            api_key: created.api_key,
            alerts_token,
        },
        Some(created.key.key_id),
    ))
}

fn watching(agents: &[Agent]) -> Option<&Agent> {
    agents.iter().find(|a| a.status.mode == AgentMode::Watch)
}

/// Waits until the cluster's agent was heard of anew, and state of it was taken.
fn wait(
    env: &Env<'_>,
    client: &Client,
    cluster: &str,
    known: Option<Time>,
    (began, patience): (Instant, Duration),
) -> Result {
    let deadline = Instant::now() + patience;
    let mut told = String::new();
    loop {
        let agents = status::agents(client, Some(cluster))?;
        let stats: Stats = client.get(As::Tenant, "/api/v1/stats", &[])?;
        let is_known = stats.clusters.iter().any(|c| c.cluster == cluster);
        let Some(hangs) = what_hangs(&agents, known, is_known) else {
            let seconds = began.elapsed().as_secs_f64();
            env.out.message(&format!(
                "data of `{cluster}` arrives, {seconds:.0} s after it was installed"
            ));
            return status::show(env, &agents);
        };
        if hangs != told {
            env.out.message(hangs);
            hangs.clone_into(&mut told);
        }
        if Instant::now() >= deadline {
            let (namespace, name) = (manifest::NAMESPACE, manifest::NAME);
            let message = format!(
                "no data of `{cluster}` arrived in {} s: {hangs}",
                patience.as_secs()
            );
            let hint = format!(
                "kubectl -n {namespace} get pods,events; kubectl -n {namespace} logs deployment/{name}"
            );
            return Err(CliError::new(exit::UNREACHABLE, message).hint(hint));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What keeps data from arriving; by the server's own times, as clocks differ.
fn what_hangs(agents: &[Agent], known: Option<Time>, is_known: bool) -> Option<&'static str> {
    let Some(agent) = watching(agents).filter(|a| known.is_none_or(|known| a.seen_at > known))
    else {
        return Some("no agent was heard of yet");
    };
    let shipped = agent
        .status
        .shipped
        .get(Topic::Resource.as_str())
        .copied()
        .unwrap_or(0);
    let arrives = !agent.status.kinds.is_empty() && shipped > 0;
    match (arrives, is_known) {
        (true, true) => None,
        (true, false) => Some("the agent ships; the server did not hear of the cluster yet"),
        (false, _) => Some("the agent is up; the cluster's state did not arrive yet"),
    }
}
