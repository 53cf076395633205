//! Puts the agent into a cluster, and takes it out again.

use std::time::{Duration, Instant};

use kgrca_core::api::{Agent, AgentMode, CreatedKey, NewOwnKey, Page};
use kgrca_core::model::Time;
use kgrca_core::storage::{ApiKey, Role};
use rand::RngExt;
use reqwest::Method;
use serde_json::Value;

use super::cluster::{Cluster, Target};
use super::manifest::{self, Secrets};
use super::{Env, Settings, status};
use crate::client::{As, Client};
use crate::error::{CliError, Result, exit};
use crate::output::Format;
use crate::prompt;

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

/// Remove an agent.
#[derive(Debug, clap::Args)]
pub struct Removal {
    /// Name under which the cluster is known
    #[arg(long, value_name = "NAME")]
    cluster: String,
    #[command(flatten)]
    target: Target,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Prints objects: YAML for people and kubectl, JSON when asked for.
pub fn show(env: &Env<'_>, objects: &[Value]) -> Result {
    if env.out.format == Format::Json {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        return env.out.text(&format!("{list:#}\n"));
    }
    env.out.text(&manifest::yaml(objects).map_err(|e| CliError::failed(e.to_string()))?)
}

fn key_name(cluster: &str) -> String {
    format!("agent of {cluster}")
}

pub fn install(env: &Env<'_>, args: &Args, is_upgrade: bool) -> Result {
    let wanted = args.settings.wanted(env)?;
    if env.out.format == Format::Yaml || env.out.format == Format::Json {
        return show(env, &manifest::objects(&wanted, None));
    }
    let cluster = Cluster::of(&args.target)?;
    env.out.message(&format!("context `{}` at {}", cluster.context, cluster.address));
    let probe = manifest::objects(&wanted, Some(&Secrets { api_key: String::new(), alerts_token: String::new() }));
    let find = |kind: &str| probe.iter().find(|o| o["kind"] == kind);
    let is_there = find("Deployment").map(|o| cluster.get(o)).transpose()?.flatten().is_some();
    if is_upgrade && !is_there {
        let hint = "kgrca agent install --cluster NAME";
        return Err(CliError::new(exit::NOT_FOUND, "no agent is installed in this cluster").hint(hint));
    }
    let client = env.client()?;
    let began = Instant::now();
    let has_secret = find("Secret").map(|o| cluster.get(o)).transpose()?.flatten().is_some();
    let secrets = if has_secret || args.dry_run { None } else { Some(new_secrets(&client, &wanted.cluster)?) };
    let made = secrets.is_some();
    if let Err(e) = apply(env, &cluster, &manifest::objects(&wanted, secrets.as_ref()), args.dry_run) {
        // A key that nobody has is of no use.
        if made {
            forget_keys(&client, &wanted.cluster)?;
        }
        return Err(e);
    }
    if args.dry_run {
        env.out.message("nothing was changed; the agents' key would be made, too");
        return Ok(());
    }
    if !args.wait {
        env.out.message(&format!("`kgrca agent status --cluster {}` tells when its data arrives", wanted.cluster));
        return Ok(());
    }
    wait(env, &client, &wanted.cluster, began, Duration::from_secs(args.timeout))
}

fn apply(env: &Env<'_>, cluster: &Cluster, objects: &[Value], dry_run: bool) -> Result {
    for object in objects {
        if object["kind"] == "Namespace" && is_somebody_elses(cluster, object)? {
            env.out.message(&format!("{} is there and stays as it is", manifest::name(object)));
            continue;
        }
        let applied = cluster.apply(object, dry_run)?;
        env.out.message(&format!("{} {}", manifest::name(object), applied.word()));
    }
    Ok(())
}

/// A namespace that we did not make is used and left as it is.
fn is_somebody_elses(cluster: &Cluster, namespace: &Value) -> Result<bool> {
    let there = cluster.get(namespace)?;
    let is_ours = |labels: &std::collections::BTreeMap<String, String>| {
        labels.get("app.kubernetes.io/managed-by").is_some_and(|by| by == "kgrca")
    };
    Ok(there.is_some_and(|n| !n.metadata.labels.as_ref().is_some_and(is_ours)))
}

fn new_secrets(client: &Client, cluster: &str) -> Result<Secrets> {
    let wish = NewOwnKey { name: key_name(cluster), role: Role::Agent };
    let created: CreatedKey = client.send(Method::POST, As::Tenant, "/api/v1/keys", &wish).map_err(|e| {
        if e.exit == exit::NOT_ALLOWED { e.hint("making the agents' key needs a key with the scope `admin`") } else { e }
    })?;
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut random = rand::rng();
    let alerts_token = (0..32).map(|_| char::from(letters[random.random_range(0..letters.len())])).collect();
    Ok(Secrets { api_key: created.api_key, alerts_token })
}

fn forget_keys(client: &Client, cluster: &str) -> Result<usize> {
    let keys: Page<ApiKey> = client.get(As::Tenant, "/api/v1/keys", &[])?;
    let name = key_name(cluster);
    let ours: Vec<&ApiKey> = keys.items.iter().filter(|k| k.name == name && k.revoked_at.is_none()).collect();
    for key in &ours {
        client.call(Method::DELETE, As::Tenant, &format!("/api/v1/keys/{}", key.key_id))?;
    }
    Ok(ours.len())
}

/// Waits until an agent of the cluster was heard of after it was installed, and state of it was taken.
fn wait(env: &Env<'_>, client: &Client, cluster: &str, began: Instant, patience: Duration) -> Result {
    let since = Time(jiff::Timestamp::now().as_microsecond()).plus(-(began.elapsed().as_micros() as i64));
    let deadline = Instant::now() + patience;
    let mut told = String::new();
    loop {
        let agents = status::agents(client, Some(cluster))?;
        let hangs = what_hangs(&agents, since);
        let Some(hangs) = hangs else {
            env.out
                .message(&format!("data of `{cluster}` arrives, {:.0} s after it was installed", began.elapsed().as_secs_f64()));
            return status::show(env, &agents);
        };
        if hangs != told {
            env.out.message(&hangs);
            told.clone_from(&hangs);
        }
        if Instant::now() >= deadline {
            let hint =
                format!("kubectl -n {} get pods,events; kubectl -n {0} logs deployment/{}", manifest::NAMESPACE, manifest::NAME);
            return Err(CliError::new(
                exit::UNREACHABLE,
                format!("no data of `{cluster}` arrived in {} s: {hangs}", patience.as_secs()),
            )
            .hint(hint));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn what_hangs(agents: &[Agent], since: Time) -> Option<String> {
    let Some(watching) = agents.iter().find(|a| a.status.mode == AgentMode::Watch && a.seen_at >= since) else {
        return Some("no agent was heard of yet".into());
    };
    let shipped = watching.status.shipped.get(kgrca_core::model::Topic::Resource.as_str()).copied().unwrap_or(0);
    if watching.status.kinds.is_empty() || shipped == 0 {
        return Some("the agent is up; the cluster's state did not arrive yet".into());
    }
    None
}

pub fn uninstall(env: &Env<'_>, args: &Removal) -> Result {
    let cluster = Cluster::of(&args.target)?;
    env.out.message(&format!("context `{}` at {}", cluster.context, cluster.address));
    prompt::confirm("removing the agent of", &args.cluster, args.yes)?;
    let everything = manifest::Wanted {
        cluster: args.cluster.clone(),
        server: String::new(),
        image: String::new(),
        logs: true,
        ca: Some(String::new()),
    };
    let mut objects = manifest::objects(&everything, Some(&Secrets { api_key: String::new(), alerts_token: String::new() }));
    objects.reverse();
    for object in &objects {
        if object["kind"] == "Namespace" && is_somebody_elses(&cluster, object)? {
            env.out.message(&format!("{} was there before and stays", manifest::name(object)));
            continue;
        }
        if cluster.delete(object)? {
            env.out.message(&format!("{} deleted", manifest::name(object)));
        }
    }
    let revoked = forget_keys(&env.client()?, &args.cluster)?;
    env.out.message(&format!("{revoked} key of the agent revoked"));
    Ok(())
}
